"""Leading equations of a posterior + the field -> their trajectories, and all equations judged by the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.field import validate_field
from bayespde.core.posterior import Posterior
from bayespde.core.random import checked_seed, spawn_seeds
from bayespde.model.prior import Prior
from bayespde.noise.covariance import noise_of
from bayespde.noise.observation_model import ObservationModel
from bayespde.results.checks import format_checks, model_checks
from bayespde.results.equations import equations, format_equations
from bayespde.smc.base import SMCConfig
from bayespde.smooth.registration import register_if_jittering
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.model_average import EXACT_TERMS
from bayespde.stages.sample import sample
from bayespde.stages.trajectory_search import Search, select_domain
from bayespde.trajectory.fit import Trajectory, TrajectoryConfig
from bayespde.weak.relinearise import occam_window

# Looks for noise of pixels; the random walk of a front is none.
PIXELS = "frame_jitter"
LEAST_JITTER = 1e-3
# Of the first frame, for the scatter of its waves.
DRAWS = 20


@dataclass(frozen=True, eq=False)
class TrajectoryPosterior:
    """All equations of a library by the likelihood of the pixels, and trajectories of those that lead.

    Attributes:
        posterior: Over all equations: the pixels along the trajectory of the best one, `statistics.provenance` says
            which. `model_checks` says what not to trust.
        trajectories: One per equation that was fitted, by their own evidence, the best first.
        probability: Of these equations among themselves, each by its own trajectory, `[n]`.
        failed: Terms of equations that have no trajectory, and why.
        observation: Noise of the pixels and jitter of the frames, as the residuals of the smooth field show them.
        config: Settings, with the boundary that was chosen.
    """

    posterior: Posterior
    trajectories: tuple[Trajectory, ...]
    probability: np.ndarray
    failed: tuple[tuple[tuple[str, ...], str], ...]
    observation: ObservationModel
    config: TrajectoryConfig

    @property
    def is_trusted(self) -> bool:
        """Whether the best trajectory has converged, is no comb, and leaves nothing but noise."""
        failed = {c.name for c in model_checks(self.posterior) if not c.passed}
        return not failed & {"trajectory", "comb", "excess noise", "slow residual"}

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of every term, `(term,)`."""
        return self.posterior.inclusion_probability

    def __str__(self) -> str:
        lines = [f"noise of a pixel by the smooth field: {self.observation}"]
        lines += [format_equations(equations(self.posterior, top=3)), "trajectories, among themselves"]
        for probability, found in zip(self.probability, self.trajectories, strict=True):
            errors = ", ".join(f"{n} {s:.2g}" for n, s in zip(found.equation.names, found.sd, strict=True))
            lines.append(f"{probability:.3f} {found.equation} (sd {errors}; noise {found.noise_scale:.4g})")
        lines += [f"no trajectory: {' + '.join(names)}: {why}" for names, why in self.failed]
        return "\n".join([*lines, format_checks(model_checks(self.posterior))])


def fit_trajectories(
    posterior: Posterior,
    field: xr.DataArray,
    *,
    smooth: SmoothField,
    top: int = 8,
    prior: Prior | None = None,
    sampler: SMCConfig | None = None,
    enumerate_up_to: int = EXACT_TERMS,
    config: TrajectoryConfig | Sequence[TrajectoryConfig] | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: bool = False,
) -> TrajectoryPosterior:
    """ModelPosterior all equations by the pixels themselves: coefficients without the bias of rows, and true odds.

    The leading equations of the posterior are integrated from an unknown initial state and fitted to the pixels: the
    most probable, it without each of its terms, the best that lacks each of them, the best of every size, and the
    next most probable; where rows have confirmed a wrong equation, the right one need not be near it. Along the
    trajectory of the best all other terms are tried (`trajectory_rows`); what then leads is fitted too, until the best
    stays the best.

    Args:
        posterior: Whose leading equations are taken, with their coefficients as a start.
        field: The raw field.
        smooth: The smooth field made from it: pilot of the initial state, and of the noise: independent pixels, a
            variance that grows with the value, neighbours that hang together, frames that jitter.
        top: How many equations to begin with.
        prior: Of the spin model; best the one that the posterior was made with.
        sampler: Settings of sampling.
        enumerate_up_to: Enumerate as well where the library has at most so many terms.
        config: Settings; by default the field is periodic in space. `TrajectoryConfig(method=SolverConfig(...))` says
            otherwise; held edges stay at the values of the initial state. `TrajectoryConfig(padding=1.0)` takes it for a
            window out of a larger field. Of several, the one with which the most probable equation explains the pixels
            best.
        seed: Of sampling, and of the draws of the first frame that show which of its waves are more than scatter.
        workers: Sampler runs at a time.
        progress: Show bars.

    Returns:
        The posterior and the trajectories. A chaotic or unstable equation has no fit over many of its own time scales.

    Raises:
        ConfigError: If `top` is not positive, the smooth field has another grid, or no equation has a trajectory.
        FitError: If the best trajectory runs away with the smallest share of another term.
        IntegrationError: If there is no trajectory beside it.
    """
    field, prior = validate_field(field), prior or Prior()
    _check_belongs(field, smooth)
    draw_seed, sample_seed = spawn_seeds(seed, 2)
    pilot, draws, observation = estimate_observation_model(field, smooth, seed=draw_seed)
    config = TrajectoryConfig() if config is None else config
    leading, configs = _leading(posterior, top), [config] if isinstance(config, TrajectoryConfig) else config
    search = select_domain(
        [Search(posterior.library, prior, field, pilot, draws, observation, c, progress) for c in configs],
        leading[:1],
        posterior.statistics,
    )
    search.fit_until_adequate(leading, posterior.statistics)
    found = sample(
        prior.model(search.converged_statistics(), posterior.library),
        config=sampler,
        seed=sample_seed,
        enumerate_up_to=enumerate_up_to,
        workers=workers,
        progress=progress,
    )
    kept = {k: posterior.provenance[k] for k in ("seed", "units", "data", "settings") if k in posterior.provenance}
    trajectories, probability = search.ranked()
    return TrajectoryPosterior(
        posterior=replace(found, provenance=dict(found.provenance) | kept),
        trajectories=trajectories,
        probability=probability,
        failed=tuple(search.failed.items()),
        observation=observation,
        config=search.config,
    )


def _leading(posterior: Posterior, top: int) -> np.ndarray:
    """Configurations worth a trajectory, `[<= top, K]`, bool."""
    if top < 1:
        raise ConfigError("No equation is asked for.", got=f"top={top}", wanted="1 or more", fix="top=8")
    spins, probability = posterior.configurations()
    order = np.argsort(-probability, kind="stable")
    order = order[spins[order].any(axis=1)]
    return occam_window(spins[order], probability[order], top) if len(order) else spins[:0]


def estimate_observation_model(
    field: xr.DataArray, smooth: SmoothField, *, seed: int = 0
) -> tuple[xr.DataArray, np.ndarray, ObservationModel]:
    """The first frame of a smooth field, draws of it, and what the residuals show of how the field was recorded.

    Both by the spline, as for the rows; where frames are displaced, by that of the frames put back.

    Args:
        field: The raw, checked field.
        smooth: The smooth field made from it.
        seed: Of the draws.

    Returns:
        A frame, dims of space; draws of it, `[n, *space]`; and the observation.
    """
    rest = register_if_jittering(field, config=smooth.spline_config, spline=smooth.spline)
    spline, none = rest.spline, (0,) * field.ndim
    noise = noise_of(rest.field.values, spline.evaluate, spline.noise_scale, PIXELS, rest.jitter)
    frame = field.isel(time=0, drop=True).copy(data=spline.evaluate(none)[0])
    # An axis along which nothing is displaced still needs a number.
    jitter = tuple(max(j, LEAST_JITTER * max(rest.jitter)) for j in rest.jitter)
    first = (field["time"].values[:1], *(field[d].values for d in field.dims[1:]))
    generator = np.random.default_rng(checked_seed(seed))
    draws = np.stack([spline.draw(generator).evaluate(none, first)[0] for _ in range(DRAWS)])
    return frame, draws, ObservationModel(noise.pixel, noise.correlation[1:], jitter)


def _check_belongs(field: xr.DataArray, smooth: SmoothField) -> None:
    same = field.dims == smooth.field.dims and all(
        np.array_equal(field[d].values, smooth.field[d].values) for d in field.dims
    )
    if not same:
        raise ConfigError(
            "The smooth field was not made from this field.",
            got=f"field {dict(field.sizes)}, smooth field {dict(smooth.field.sizes)}, or other coordinates",
            wanted="the same dimensions and coordinates",
            fix="smooth=bayespde.fit_field(field), or fit_trajectories(posterior, smooth.field, smooth=smooth)",
        )
