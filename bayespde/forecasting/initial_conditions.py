"""Posterior + where a prediction starts -> draws of law and first frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.coupled import CoupledEquations
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.forecasting.ensemble import ForecastEnsemble, ensemble_from_draws, ensemble_from_trajectories
from bayespde.forecasting.propagate import ACCURACY, DIVERGENCE_THRESHOLD, SAME
from bayespde.results.equation_draws import draw_equations
from bayespde.smooth.boundary_conditions import infer_boundary_conditions
from bayespde.smooth.frame_draws import draw_frames, likely_boundaries
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.boundary_data import DirichletData, boundary_mask
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.stages.fit_trajectories import TrajectoryPosterior
from bayespde.trajectory.padding import sample_extension

BOUNDARIES = ("periodic", "neumann", "dirichlet", "open")
# Points beyond a window without boundary, per point of it.
PADDING = 1.0
MOST_STEPS = 20_000


@dataclass(frozen=True)
class ForecastConfig:
    """How to predict.

    Attributes:
        draws: Of law and start together.
        boundary: "auto", as the field at the start looks like; "periodic", "neumann" or "dirichlet" (boundary_data stay at the
            values of the start), as for `SolverConfig`; or "open", a window out of a larger field with the same law.
        noise_scale: Standard deviation of a pixel; None means that of the field at the start, 0 for a frame.
        rtol: Tolerated error of a step, relative to the largest `|u|`.
        accuracy: What more points in space may change, over the deviation of the first frames.
        divergence_threshold: Largest `|u|` of a draw, over the largest that was seen, with which it is still taken for a prediction.
    """

    draws: int = 100
    boundary: str = "auto"
    noise_scale: float | None = None
    rtol: float = 1e-5
    accuracy: float = ACCURACY
    divergence_threshold: float = DIVERGENCE_THRESHOLD

    def __post_init__(self) -> None:
        noise = 0.0 if self.noise_scale is None else self.noise_scale
        if not (
            isinstance(self.draws, int)
            and self.draws >= 1
            and self.boundary in ("auto", *BOUNDARIES)
            and 0 <= noise < math.inf
            and 1e-13 <= self.rtol < 1
            and 0 < self.accuracy < 1
            and self.divergence_threshold > 1
        ):
            raise ConfigError(
                "A setting of the prediction is out of range.",
                got=self,
                wanted=f"draws >= 1, a boundary among auto, {', '.join(BOUNDARIES)}, tolerances in (0, 1), divergence_threshold > 1",
                fix="ForecastConfig()",
            )

    def method(self, boundary: str, size: float) -> SolverConfig:
        """How to integrate with a boundary states of about this size; any for one that is 0."""
        method = SolverConfig(rtol=self.rtol, atol=self.rtol * (size or 1.0) * 1e-3, maximum_steps=MOST_STEPS)
        return method.within("periodic" if boundary == "open" else boundary)


class InitialCondition(NamedTuple):
    """Where a prediction starts.

    Attributes:
        ensemble: Draws of law and first frame.
        boundary: Of the field, as for `ForecastConfig`.
        noise_scales: Standard deviation of a pixel, of each field.
        kind: What the first frame is from: trajectories, smooth field or frame.
        time_attrs: Attributes of the time, its unit among them.
    """

    ensemble: ForecastEnsemble
    boundary: str
    noise_scales: tuple[float, ...]
    kind: str
    time_attrs: Mapping[Any, Any]


def from_trajectories(
    start: TrajectoryPosterior, posterior: Posterior, options: ForecastConfig, random: np.random.Generator
) -> InitialCondition:
    """At the first frame of a field: law and state together, from trajectories through all of its pixels.

    Raises:
        ConfigError: If another boundary is asked for than that of the trajectories.
    """
    boundary, best = start.config.boundary, start.trajectories[0]
    if options.boundary not in ("auto", boundary):
        raise ConfigError(
            "Trajectories go on with the boundary along which they were fitted.",
            got=options.boundary,
            wanted=f"'auto' or {boundary!r}",
            fix="ForecastConfig(boundary='auto'), or start=found.smooth",
        )
    probability = start.probability / start.probability.sum()
    ensemble = ensemble_from_trajectories(start.trajectories, probability, posterior.library, options.draws, random)
    ensemble = replace(ensemble, method=replace(ensemble.method, maximum_steps=MOST_STEPS, rtol=options.rtol))
    return InitialCondition(ensemble, boundary, (float(best.noise_scale),), "trajectories", best.fitted["time"].attrs)


def from_smooth(
    start: SmoothField, posterior: Posterior, first: float, options: ForecastConfig, random: np.random.Generator
) -> InitialCondition:
    """At draws of the last frame of a smooth field that is not after the first time.

    Raises:
        ConfigError: If all frames are after it.
    """
    times = start.field["time"].values
    index = int(np.searchsorted(times, first, side="right")) - 1
    if index < 0:
        raise ConfigError(
            "The prediction begins before the smooth field.",
            got=f"{first:g}",
            wanted=f"{times[0]:g} or later",
            fix=f"times=numpy.linspace({times[-1]:g}, ...)",
        )
    boundary = boundary_of(posterior, start) if options.boundary == "auto" else options.boundary
    states = draw_frames(start, index, options.draws, random)
    frame, states = placed(start.field.isel(time=index), states, boundary, random)
    ensemble = ensemble_from_draws(
        posterior.library,
        draw_equations(posterior, options.draws, random),
        states,
        time=float(times[index]),
        frame=frame,
        method=options.method(boundary, float(np.std(states))),
        largest=float(np.nanmax(np.abs(start.field))),
    )
    return InitialCondition(ensemble, boundary, (float(start.noise_scale),), "smooth field", start.field["time"].attrs)


def from_frame(
    start: xr.DataArray, posterior: Posterior, first: float, options: ForecastConfig, random: np.random.Generator
) -> InitialCondition:
    """At one frame that is known.

    Raises:
        FieldError: If it is not usable.
    """
    Grid.of(start)
    frame = start.astype(np.float64)
    boundary = options.boundary
    if boundary == "auto":
        by_edges = infer_boundary_conditions(frame.values[None], frame.values[None, None])[0]
        boundary = boundary_of_pixels(posterior) or by_edges
    states = np.broadcast_to(frame.values, (options.draws, *frame.shape))
    frame, states = placed(frame, states, boundary, random)
    ensemble = ensemble_from_draws(
        posterior.library,
        draw_equations(posterior, options.draws, random),
        states,
        time=float(start["time"]) if "time" in start.coords else first,
        frame=frame,
        method=options.method(boundary, float(np.std(states))),
    )
    return InitialCondition(ensemble, boundary, (0.0,), "frame", start["time"].attrs if "time" in start.coords else {})


def with_boundary_data(start: InitialCondition, boundary_data: xr.DataArray, last: float) -> InitialCondition:
    """The same start, its boundary_data held at those of frames that have come.

    Args:
        start: Between held boundary_data.
        boundary_data: Frames on its grid, from the start or after it to the last time.
        last: Time of the last frame to be predicted.

    Raises:
        ConfigError: If the frames are on another grid, do not come so far, or lack pixels of an edge.
    """
    ensemble = start.ensemble
    frame, checked = ensemble.frame, boundary_data.transpose("time", ...)
    dirichlet, times = boundary_mask(frame.shape), checked["time"].values.astype(np.float64)
    fits = checked.dims[1:] == frame.dims and all(
        np.allclose(checked[d], frame[d], rtol=1e-6) for d in frame.dims if checked.sizes[d] == frame.sizes[d]
    )
    if not fits or checked.shape[1:] != frame.shape or start.boundary != "dirichlet" or times[-1] < last * (1 - SAME):
        raise ConfigError(
            "The boundary_data do not fit the prediction.",
            got=f"{dict(checked.sizes)} until {times[-1]:g}, boundary {start.boundary!r}",
            wanted=f"frames of {dict(frame.sizes)} until {last:g}, boundary 'dirichlet' or 'auto'",
            fix="boundary_data=found.holdout",
        )
    if not np.isfinite(checked.values[:, dirichlet]).all():
        raise ConfigError(
            "Pixels of the boundary_data are missing.",
            got=f"{int(np.isnan(checked.values[:, dirichlet]).sum())} of them",
            wanted="a value at every pixel of an edge",
            fix="boundary_data=bayespde.fit_field(frames) evaluated at its pixels",
        )
    after = times > ensemble.time + SAME * max(abs(ensemble.time), abs(last))
    first = ensemble.states.mean(axis=0) if after[0] else checked.values[~after][-1]
    values = np.concatenate([first[None], checked.values[after]])
    known = DirichletData(np.concatenate([[ensemble.time], times[after]]), np.where(dirichlet, values, 0.0))
    return start._replace(ensemble=replace(ensemble, dirichlet=known))


def of_system(starts: Sequence[InitialCondition]) -> InitialCondition:
    """Those of the equations of a system, as one.

    Raises:
        ConfigError: If their boundaries differ.
    """
    ensembles, first = [s.ensemble for s in starts], starts[0]
    boundaries = {s.boundary for s in starts}
    if len(boundaries) > 1:
        raise ConfigError(
            "The fields of a system do not have one boundary.",
            got=", ".join(sorted(boundaries)),
            wanted="one for all",
            fix="ForecastConfig(boundary='open')",
        )
    ensemble = ForecastEnsemble(
        CoupledEquations(tuple(e for ensemble in ensembles for e in ensemble.equations)),
        np.concatenate([ensemble.coefficients for ensemble in ensembles], axis=1),
        np.stack([ensemble.states for ensemble in ensembles], axis=1),
        first.ensemble.time,
        first.ensemble.frame,
        replace(first.ensemble.method, atol=min(ensemble.method.atol for ensemble in ensembles)),
        max(ensemble.largest for ensemble in ensembles),
        tuple(ensemble.frame for ensemble in ensembles[1:]),
    )
    noise_scales = tuple(n for s in starts for n in s.noise_scales)
    return InitialCondition(ensemble, first.boundary, noise_scales, first.kind, first.time_attrs)


def shared_boundary(smooths: Iterable[SmoothField], seed: int = 0) -> str:
    """The likeliest that the boundary_data of all smooth fields look like; a window if there is none."""
    likely = [likely_boundaries(s, np.random.default_rng(seed)) for s in smooths]
    return next((b for b in likely[0] if all(b in others for others in likely)), "open")


def placed(
    frame: xr.DataArray, states: np.ndarray, boundary: str, random: np.random.Generator | None = None
) -> tuple[xr.DataArray, np.ndarray]:
    """A frame without gaps, and states `[draws, *space]` over the domain that is integrated, `[draws, *domain]`.

    What is beyond a window is drawn, or its mean if there is no source of randomness.
    """
    # What was seen there may have gaps, of which the states know nothing.
    filled = frame.reset_coords(drop=True).copy(data=states.mean(axis=0))
    padding = PADDING if boundary == "open" else 0.0
    return filled, np.ascontiguousarray(sample_extension(states, padding, random, dims=frame.ndim))


def boundary_of_pixels(posterior: Posterior) -> str | None:
    """That along which trajectories explained the pixels; None if equations were judged by rows."""
    refinement = posterior.provenance.get("refinement", {})
    return str(refinement["boundary"]) if refinement.get("by") == "pixels" else None


def boundary_of(posterior: Posterior, smooth: SmoothField, seed: int = 0) -> str:
    """That of the pixels, or else what the boundary_data of the smooth field look like."""
    known = boundary_of_pixels(posterior)
    return known or next(iter(likely_boundaries(smooth, np.random.default_rng(seed))), "open")
