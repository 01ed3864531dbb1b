"""Leading equations of a posterior + the field -> trajectories, and the posterior by the observation likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
import xarray as xr

from bayespde.core.annotations import Count, Range
from bayespde.core.checked import Checked, validated
from bayespde.core.field import validate_field
from bayespde.core.likelihood import Likelihood
from bayespde.core.noise import NoiseModel
from bayespde.core.one_line import one_line
from bayespde.core.one_order import in_one_order
from bayespde.core.posterior import Posterior
from bayespde.core.progress import Progress
from bayespde.core.random import checked_seed, spawn_seeds
from bayespde.model.prior import Prior
from bayespde.model.spin import SpinModel
from bayespde.noise.estimate import estimate_noise
from bayespde.results.checks import format_checks, model_checks
from bayespde.results.equations import equations, format_equations
from bayespde.smc.config import MOST_LINEAR_TERMS, SMCConfig
from bayespde.smooth.fit import fit_field
from bayespde.smooth.registration import register_if_jittering
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.model_average import ENUMERATE_UP_TO
from bayespde.stages.sample import sample
from bayespde.stages.select_domain import select_domain
from bayespde.stages.trajectory_search import Search
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.trajectory import Trajectory
from bayespde.weak.relinearise import occam_window

LEAST_JITTER = 1e-3
# Draws of the first frame, for the error of its waves.
DRAWS = 20
# Checks that say whether the observation likelihood can be trusted.
DECISIVE = {"trajectory", "cycle skipping", "excess noise", "slow residual"}


@dataclass(frozen=True)
class TrajectorySearchConfig(Checked):
    """How equations are searched by the observation likelihood.

    Attributes:
        top: Number of equations to begin with.
        prior: Of the spin model; the one that the posterior was made with.
        sampler: Settings of the sampler.
        enumerate_up_to: Also enumerate where the library has at most this many terms.
    """

    top: Count = 8
    prior: Prior = field(default_factory=Prior)
    sampler: SMCConfig = field(default_factory=SMCConfig)
    enumerate_up_to: Annotated[int, Range(0, MOST_LINEAR_TERMS)] = ENUMERATE_UP_TO


@dataclass(frozen=True, eq=False)
class TrajectoryPosterior(Checked):
    """All equations of a library by the observation likelihood, and trajectories of those that lead.

    Attributes:
        posterior: Over all equations, linearised along the trajectory of the best one; its likelihood names it.
        trajectories: One per equation that was fitted, by their own evidence, the best first.
        probability: Of these equations among themselves, each by its own trajectory, `[n]`.
        failed: Terms of equations that have no trajectory, and why.
        noise: Noise of the pixels and jitter of the frames, by the residuals of the smoothed field or of a trajectory
            that explains the pixels.
        config: Checked, with the boundary that was chosen.
    """

    posterior: Posterior
    trajectories: tuple[Trajectory, ...]
    probability: np.ndarray
    failed: tuple[tuple[tuple[str, ...], str], ...]
    noise: NoiseModel
    config: TrajectoryConfig

    def __repr__(self) -> str:
        best = str(self.trajectories[0].equation) if self.trajectories else None
        return one_line(self, best=best, trajectories=len(self.trajectories), failed=len(self.failed))

    @property
    def is_trusted(self) -> bool:
        """Whether the best trajectory has converged, does not skip cycles, and leaves nothing but noise."""
        return not DECISIVE & {c.name for c in model_checks(self.posterior) if not c.passed}

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of every term, `(term,)`."""
        return self.posterior.inclusion_probability

    def __str__(self) -> str:
        lines = [f"noise of the pixels: {self.noise}"]
        lines += [format_equations(equations(self.posterior, top=3)), "trajectories, among themselves"]
        for probability, found in zip(self.probability, self.trajectories, strict=True):
            errors = ", ".join(f"{n} {s:.2g}" for n, s in zip(found.equation.names, found.sd, strict=True))
            lines.append(f"{probability:.3f} {found.equation} (sd {errors}; noise {found.noise_scale:.4g})")
        lines += [f"no trajectory: {' + '.join(names)}: {why}" for names, why in self.failed]
        return "\n".join([*lines, format_checks(model_checks(self.posterior))])


@validated
@in_one_order
def fit_trajectories(
    posterior: Posterior,
    data: SmoothField | xr.DataArray,
    *,
    config: TrajectoryConfig | Sequence[TrajectoryConfig] | None = None,
    search: TrajectorySearchConfig | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> TrajectoryPosterior:
    """Compare all equations by the observation likelihood: coefficients without the bias of the weak form.

    The leading equations of the posterior are integrated from an unknown initial state and fitted to the pixels: the
    most probable one, it with one of its terms removed, the best one without each term, the best of every size, and
    the next most probable ones. Where the weak form has confirmed a wrong equation, the right one need not be close to
    it. Along the trajectory of the best all other terms are tried (`linearised_rows`); what then leads is fitted too,
    until the best stays the best.

    Args:
        posterior: Its leading equations are taken, with their coefficients as a start.
        data: The smoothed field, which gives the first guess of the initial state and of the noise (independent pixels,
            a variance that grows with the value, correlated neighbours, frames that jitter); or the raw field, which is
            then smoothed by the spline.
        config: Settings of a fit; by default the field is periodic in space.
            `TrajectoryConfig(method=SolverConfig(boundary=...))` sets another; Dirichlet boundaries keep the values of
            the initial state. `TrajectoryConfig(padding=1.0)` takes the field as a window of a larger one. Of several,
            the one is chosen with which the most probable equation explains the pixels best.
        search: Settings of the search and of sampling.
        seed: Of sampling, and of the draws of the first frame that show which of its waves are more than noise.
        progress: Show bars; `Progress(...).within(seconds)` also limits the CPU time. When it is spent, the best
            trajectory so far is the result, and the posterior's `likelihood.budget_exhausted` is True.

    Returns:
        The posterior and the trajectories. A chaotic or unstable equation has no fit over many of its own time scales.

    Raises:
        BudgetError: If the CPU time was spent before an equation had a trajectory.
        ConfigError: If no equation has a trajectory.
        FitError: If the best trajectory diverges with the smallest share of another term.
        IntegrationError: If there is no trajectory next to it.
    """
    smooth = data if isinstance(data, SmoothField) else fit_field(validate_field(data), seed=seed)
    search = search or TrajectorySearchConfig()
    draw_seed, sample_seed = spawn_seeds(seed, 2)
    observed = trajectory_data(smooth, seed=draw_seed)
    config = TrajectoryConfig() if config is None else config
    configs, watch = [config] if isinstance(config, TrajectoryConfig) else config, Progress.of(progress)
    leading, library = _leading(posterior, search.top), posterior.library
    chosen = select_domain(
        [Search(library, search.prior, observed, c, watch) for c in configs],
        leading[:1],
        posterior.statistics,
    )
    chosen.fit_until_adequate(leading, posterior.statistics)
    chosen.renew_noise()
    found = sample(
        SpinModel(chosen.converged_statistics(), library, prior=search.prior),
        config=search.sampler,
        seed=sample_seed,
        enumerate_up_to=search.enumerate_up_to,
        progress=watch,
    )
    trajectories, probability = chosen.ranked()
    return TrajectoryPosterior(
        posterior=_with_origin(found, posterior, chosen),
        trajectories=trajectories,
        probability=probability,
        failed=tuple(chosen.failed.items()),
        noise=chosen.data.noise,
        config=chosen.config,
    )


def _with_origin(found: Posterior, earlier: Posterior, search: Search) -> Posterior:
    """With the origin of the posterior that the search began with, the boundary that was chosen, and how it ended."""
    chosen = search.config
    return replace(
        found,
        likelihood=replace(
            Likelihood.of(found.statistics),
            boundary=chosen.boundary,
            padding=chosen.padding,
            budget_exhausted=search.budget_exhausted,
        ),
        units=earlier.units,
        provenance=dict(found.provenance) | dict(earlier.provenance),
    )


def _leading(posterior: Posterior, top: int) -> np.ndarray:
    """Configurations worth a trajectory, `[<= top, K]`, bool."""
    spins, probability = posterior.configurations()
    order = np.argsort(-probability, kind="stable")
    order = order[spins[order].any(axis=1)]
    return occam_window(spins[order], probability[order], top) if len(order) else spins[:0]


def trajectory_data(smooth: SmoothField, *, seed: int = 0) -> TrajectoryData:
    """The field of a smoothed field with its noise model, its first frame, and draws of that.

    All by the spline, as in the weak form; where frames jitter, by the spline of the registered frames.

    Args:
        smooth: The smoothed field.
        seed: Of the draws.

    Returns:
        The field with its first frame, draws of it, and the noise model.
    """
    field = smooth.field
    registered = register_if_jittering(field, config=smooth.spline_config, spline=smooth.spline)
    spline, none = registered.spline, (0,) * field.ndim
    noise = estimate_noise(
        registered.field.values, spline.evaluate, spline.noise_scale, kind="frame_jitter", jitter=registered.jitter
    )
    frame = field.isel(time=0, drop=True).copy(data=spline.evaluate(none)[0])
    # An axis along which nothing is displaced still needs a number.
    jitter = tuple(max(j, LEAST_JITTER * max(registered.jitter)) for j in registered.jitter)
    first = (field["time"].values[:1], *(field[d].values for d in field.dims[1:]))
    generator = np.random.default_rng(checked_seed(seed))
    draws = np.stack([spline.draw(generator).evaluate(none, first)[0] for _ in range(DRAWS)])
    return TrajectoryData(field, replace(noise, jitter=jitter), frame, draws)
