"""Leading equations of a posterior + the field -> their trajectories through all pixels, and their odds by these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from tqdm import tqdm

from bayespde.core.errors import ConfigError, FitError, IntegrationError
from bayespde.core.field import check_field
from bayespde.core.posterior import Posterior
from bayespde.core.random import checked_seed
from bayespde.library.noise_model import noise_of
from bayespde.library.rescore import contenders
from bayespde.model.priors import complexity_logits
from bayespde.results.equations import RankedEquation, equations_of
from bayespde.smooth.alignment import at_rest
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.recording import Recording
from bayespde.solve.trajectory import Trajectory, TrajectoryConfig, fit_trajectory

# Looks for noise of pixels; the random walk of a front is none.
PIXELS = "displaced"
LEAST_JITTER = 1e-3
# Of the first frame, for the scatter of its waves.
DRAWS = 20
# Noise left by a trajectory over that of the smooth field: beyond, the equation or its boundary does not fit.
MISFIT = 1.05


# Share of the information that waves owe to noise, beyond which other teeth are as good.
COMB = 0.3


@dataclass(frozen=True, eq=False)
class Refined:
    """Trajectory posteriors of leading equations.

    Attributes:
        trajectories: One per equation that could be integrated, most probable first.
        probability: Posterior probabilities among these equations, `[n]`: complexity prior times trajectory evidence.
        terms: The library.
        first: The same equations as the posterior over rows has them.
        failed: Terms of equations that have no trajectory, and why.
        recording: Noise of the pixels and jitter of the frames, as the residuals of the smooth field show them.
    """

    trajectories: tuple[Trajectory, ...]
    probability: np.ndarray
    terms: tuple[str, ...]
    first: tuple[RankedEquation, ...]
    failed: tuple[tuple[tuple[str, ...], str], ...]
    recording: Recording

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of every term, `(term,)`, among the equations that have a trajectory."""
        on = np.array([[name in t.equation.names for name in self.terms] for t in self.trajectories])
        return xr.DataArray(self.probability @ on, dims="term", coords={"term": list(self.terms)})

    def __str__(self) -> str:
        lines = [f"noise of a pixel by the smooth field: {self.recording}"]
        for probability, found in zip(self.probability, self.trajectories, strict=True):
            errors = ", ".join(f"{n} {s:.2g}" for n, s in zip(found.equation.names, found.sd, strict=True))
            doubts = "" if found.converged else "; not converged: do not trust it"
            if found.noise_share > COMB:
                doubts += "; short waves make a comb of its likelihood: keep the first estimate"
            if found.noise_scale > MISFIT * self.recording.size:
                doubts += "; misses the pixels: do not trust its errors"
            lines.append(f"{probability:.3f} {found.equation} (sd {errors}; noise {found.noise_scale:.4g}{doubts})")
        lines += [f"no trajectory: {' + '.join(names)}: {why}" for names, why in self.failed]
        return "\n".join(lines)


def refine(
    posterior: Posterior,
    field: xr.DataArray,
    *,
    smooth: SmoothField,
    top: int = 8,
    config: TrajectoryConfig | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Refined:
    """Fit the leading equations to the pixels themselves: coefficients without the bias of rows, and their odds.

    The most probable equation comes first, then it without each of its terms, the best that lacks each of them, the
    best of every size, and then the next most probable: where rows have confirmed a wrong equation, the right one need
    not be near it, nor probable.

    Args:
        posterior: Whose leading equations are taken, with their coefficients as a start.
        field: The raw field.
        smooth: The smooth field made from it: pilot of the initial state, and of the noise: independent pixels, a
            variance that grows with the value, neighbours that hang together, frames that jitter.
        top: How many equations.
        config: Settings; by default the field is periodic in space. `TrajectoryConfig(method=Method(...))` says
            otherwise; held edges stay at the values of the initial state.
        seed: Of the draws of the first frame that show which of its waves are more than scatter.
        progress: Show a bar.

    Returns:
        The trajectories. A chaotic or unstable equation has no fit over many of its own time scales.

    Raises:
        FieldError: If the field does not satisfy its schema.
        ConfigError: If `top` is not positive, the smooth field has another grid, or no equation has a trajectory.
    """
    field, config = check_field(field), config or TrajectoryConfig()
    _check_belongs(field, smooth)
    ranked = equations_of(posterior, _leading(posterior, top))
    pilot, draws, recording = recording_of(field, smooth, seed=seed)
    fitted: list[tuple[Trajectory, RankedEquation]] = []
    failed = []
    for one in tqdm(ranked, desc="trajectories", disable=not progress):
        start = one.equation(posterior.library)
        try:
            fitted.append(
                (fit_trajectory(start, field, pilot=pilot, draws=draws, recording=recording, config=config), one)
            )
        except (FitError, IntegrationError) as error:
            failed.append((one.names, str(error).splitlines()[0]))
    if not fitted:
        raise ConfigError(
            "None of the equations has a trajectory through the field.",
            got="; ".join(f"{' + '.join(names)}: {why}" for names, why in failed) or "equations without a term",
            wanted="an equation that can be integrated from the first to the last frame",
            fix="fewer frames, field.isel(time=slice(0, 40)), or a method whose boundary is that of the field",
        )
    log_mass = np.array([t.log_evidence + _log_prior(posterior, one.names) for t, one in fitted])
    probability = np.exp(log_mass - log_mass.max())
    order = np.argsort(-probability, kind="stable")
    return Refined(
        trajectories=tuple(fitted[k][0] for k in order),
        probability=probability[order] / probability.sum(),
        terms=posterior.library.names,
        first=tuple(fitted[k][1] for k in order),
        failed=tuple(failed),
        recording=recording,
    )


def _leading(posterior: Posterior, top: int) -> np.ndarray:
    """Configurations worth a trajectory, `[<= top, K]`, bool."""
    if top < 1:
        raise ConfigError("No equation is asked for.", got=f"top={top}", wanted="1 or more", fix="top=8")
    spins, probability = posterior.configurations()
    order = np.argsort(-probability, kind="stable")
    order = order[spins[order].any(axis=1)]
    return contenders(spins[order], probability[order], top) if len(order) else spins[:0]


def recording_of(
    field: xr.DataArray, smooth: SmoothField, *, seed: int = 0
) -> tuple[xr.DataArray, np.ndarray, Recording]:
    """The first frame of a smooth field, draws of it, and what the residuals show of how the field was recorded.

    Both by the spline, as for the rows; where frames are displaced, by that of the frames put back.

    Args:
        field: The raw, checked field.
        smooth: The smooth field made from it.
        seed: Of the draws.

    Returns:
        A frame, dims of space; draws of it, `[n, *space]`; and the recording.
    """
    rest = at_rest(field, config=smooth.spline_config, spline=smooth.spline)
    spline, none = rest.spline, (0,) * field.ndim
    noise = noise_of(rest.field.values, spline.evaluate, spline.noise_scale, PIXELS, rest.jitter)
    frame = field.isel(time=0, drop=True).copy(data=spline.evaluate(none)[0])
    # An axis along which nothing is displaced still needs a number.
    jitter = tuple(max(j, LEAST_JITTER * max(rest.jitter)) for j in rest.jitter)
    first = (field["time"].values[:1], *(field[d].values for d in field.dims[1:]))
    generator = np.random.default_rng(checked_seed(seed))
    draws = np.stack([spline.draw(generator).evaluate(none, first)[0] for _ in range(DRAWS)])
    return frame, draws, Recording(noise.pixel, noise.correlation[1:], jitter)


def _check_belongs(field: xr.DataArray, smooth: SmoothField) -> None:
    same = field.dims == smooth.field.dims and all(
        np.array_equal(field[d].values, smooth.field[d].values) for d in field.dims
    )
    if not same:
        raise ConfigError(
            "The smooth field was not made from this field.",
            got=f"field {dict(field.sizes)}, smooth field {dict(smooth.field.sizes)}, or other coordinates",
            wanted="the same dimensions and coordinates",
            fix="smooth=bayespde.fit_field(field), or refine(posterior, smooth.field, smooth=smooth)",
        )


def _log_prior(posterior: Posterior, names: tuple[str, ...]) -> float:
    """Of a set of terms, up to a constant."""
    expected = posterior.provenance.get("expected_terms", "default")
    wanted = None if expected == "default" else float(expected)
    logits = complexity_logits(posterior.library.complexities, expected_terms=wanted)
    return float(logits[posterior.library.spins(names)].sum())
