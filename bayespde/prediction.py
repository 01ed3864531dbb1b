"""Posterior + where it starts -> frames that have not been seen, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError, FitError, IntegrationError
from bayespde.core.posterior import Posterior
from bayespde.core.random import checked_seed, spawn_seeds
from bayespde.refine_stage import trajectories_again
from bayespde.refinement import Refined
from bayespde.smooth.edges import boundaries_like
from bayespde.smooth.frame_draws import draw_frames, likely_boundaries
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.derivatives import Grid
from bayespde.solve.launch import Launch, launch_of, launch_of_trajectories
from bayespde.solve.margin import beyond
from bayespde.solve.method import Method
from bayespde.solve.predict import ACCURACY, RUNAWAY, SAME, predict_frames

MOST_VALUES = 2**28
BOUNDARIES = ("periodic", "no-flux", "fixed", "open")
# Points beyond a window without boundary, per point of it.
MARGIN = 1.0
MOST_STEPS = 20_000
_KINDS = {"trajectories": Refined, "smooth field": SmoothField, "frame": xr.DataArray}


@dataclass(frozen=True)
class Forecast:
    """How to predict.

    Attributes:
        draws: Of law and start together.
        boundary: "auto", as the field at the start looks like; "periodic", "no-flux" or "fixed" (edges stay at the
            values of the start), as for `Method`; or "open", a window out of a larger field with the same law.
        noise_scale: Standard deviation of a pixel; None means that of the field at the start, 0 for a frame.
        rtol: Tolerated error of a step, relative to the largest `|u|`.
        accuracy: What more points in space may change, over the deviation of the first frames.
        runaway: Largest `|u|` of a draw, over the largest that was seen, with which it is still taken for a prediction.
    """

    draws: int = 100
    boundary: str = "auto"
    noise_scale: float | None = None
    rtol: float = 1e-5
    accuracy: float = ACCURACY
    runaway: float = RUNAWAY

    def __post_init__(self) -> None:
        noise = 0.0 if self.noise_scale is None else self.noise_scale
        if not (
            isinstance(self.draws, int)
            and self.draws >= 1
            and self.boundary in ("auto", *BOUNDARIES)
            and 0 <= noise < math.inf
            and 1e-13 <= self.rtol < 1
            and 0 < self.accuracy < 1
            and self.runaway > 1
        ):
            raise ConfigError(
                "A setting of the prediction is out of range.",
                got=self,
                wanted=f"draws >= 1, a boundary among auto, {', '.join(BOUNDARIES)}, tolerances in (0, 1), runaway > 1",
                fix="Forecast()",
            )

    def method(self, boundary: str, size: float) -> Method:
        """How to integrate with a boundary states of about this size; any for one that is 0."""
        method = Method(rtol=self.rtol, atol=self.rtol * (size or 1.0) * 1e-3, maximum_steps=MOST_STEPS)
        if boundary in ("periodic", "open"):
            return method
        return replace(method, space="difference", order=4, boundary=boundary)


def predict(
    posterior: Posterior,
    start: xr.DataArray | SmoothField | Refined,
    times: Any,
    *,
    options: Forecast | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Integrate draws of the posterior forward in time.

    Where it starts, and how uncertain that is, is up to `start`: one frame is taken to be known. A `SmoothField` starts
    at its last frame before the first of `times`, at as many draws of it as of the posterior. What `refine` returned
    starts at the first frame of its field, at draws of law and state together, and passes through all pixels on the
    way: the posterior predictive distribution as far as that posterior is normal, and the most precise start.

    Args:
        posterior: Over equations. With a `Refined` its library alone counts: equations with a trajectory are drawn, by
            the probability that the `Refined` gives them.
        start: A frame with dims of space; or a smooth field; or a `Refined`.
        times: Strictly increasing, in the unit of the field; the first is that of a frame without coordinate `time`.
        options: How.
        seed: Of all draws.
        progress: Show a bar.

    Returns:
        `u` (under the name of the field; `draw, time, [[z,] y,] x`), without noise of pixels; NaN from where a draw has
        ended, which `ended` (`draw`) says: the time at which it blew up, ran away or became too stiff, inf for most.
        `coefficient` (`draw, term`), physical units. Attributes: `noise_scale`, `boundary`, `start`, `share_ended`
        and others.

    Raises:
        ConfigError: If times, start and posterior do not fit together, or the answer would not fit into memory.
        FieldError: If the frame is not usable.
    """
    options, (seed_of_draws,) = options or Forecast(), spawn_seeds(checked_seed(seed), 1)
    random, clock = np.random.default_rng(seed_of_draws), _checked_clock(times)
    if isinstance(start, Refined):
        launch, boundary = _from_trajectories(start, posterior, options, random), start.config.boundary
        noise = float(start.trajectories[0].noise_scale)
    elif isinstance(start, SmoothField):
        _check_size(start.field.shape[1:], clock, options)
        launch, boundary = _from_smooth(start, posterior, clock, options, random)
        noise = float(start.noise_scale)
    else:
        launch, boundary = _from_frame(start, posterior, clock, options, random)
        noise = 0.0
    _check_size(launch.domain.points, clock, options)
    if clock[0] < launch.time - SAME * abs(launch.time):
        raise ConfigError(
            "The prediction begins before its start.",
            got=f"times from {clock[0]:g}",
            wanted=f"{launch.time:g} or later",
            fix="leave out the earlier times",
        )
    found = predict_frames(launch, clock, accuracy=options.accuracy, runaway=options.runaway, progress=progress)
    noise = noise if options.noise_scale is None else options.noise_scale
    attrs = getattr(times, "attrs", {}) or _time_attrs(start)
    return _described(launch, found.frames, found.ended, clock, attrs).assign_attrs(
        noise_scale=noise,
        boundary=boundary,
        start=launch.time,
        start_from=next(name for name, kind in _KINDS.items() if isinstance(start, kind)),
        share_ended=float(np.mean(found.ended <= clock[-1])),
        integrated_at=" x ".join(map(str, found.points)),
        seed=int(seed),
    )


def predict_onward(
    posterior: Posterior,
    smooth: SmoothField,
    times: Any,
    *,
    options: Forecast | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Predict from what a discovery knows: along trajectories if its equations were judged by pixels.

    Args:
        posterior: That of a discovery.
        smooth: Its smooth field: the start where equations were judged by rows.
        times: Strictly increasing, in the unit of the field.
        options: How.
        seed: Of all draws.
        progress: Show bars.

    Returns:
        What `predict` returns.
    """
    start: SmoothField | Refined = smooth
    if posterior.provenance.get("refinement", {}).get("by") == "pixels":
        # What fitted once may not fit again, from another beginning; the smooth field is there.
        with suppress(ConfigError, FitError, IntegrationError):
            start = trajectories_again(posterior, smooth, seed=spawn_seeds(seed, 2)[1], progress=progress)
    found = predict(posterior, start, times, options=options, seed=seed, progress=progress)
    covered = 1.0
    if isinstance(start, Refined):
        spins, probability = posterior.configurations()
        fitted = [posterior.library.spins(t.equation.names) for t in start.trajectories]
        covered = float(sum(probability[(spins == on).all(axis=1)].sum() for on in fitted))
    return found.assign_attrs(probability_covered=covered)


def prediction_errors(
    library: Library, coefficients: np.ndarray, smooth: SmoothField, frames: xr.DataArray, *, boundary: str
) -> np.ndarray:
    """How far equations are off frames that came after the smooth field.

    Args:
        library: The candidate terms.
        coefficients: Of every equation, `[n, K]`, physical units.
        smooth: Where they start: its mean at its last frame.
        frames: What came.
        boundary: As for `Forecast`, but "auto".

    Returns:
        Root mean square over all frames and pixels, over the standard deviation of the frames, `[n]`; NaN for an
        equation that does not come so far, or cannot be integrated.
    """
    index, none = smooth.field.sizes["time"] - 1, (0,) * len(smooth.dims)
    state = smooth.evaluate(none)[index]
    frame = smooth.field.isel(time=index).reset_coords(drop=True).copy(data=state)
    state = beyond(state, MARGIN if boundary == "open" else 0.0, dims=frame.ndim)
    errors, method = np.full(len(coefficients), np.nan), Forecast().method(boundary, float(np.std(state)))
    time, largest = float(smooth.field["time"][index]), float(np.nanmax(np.abs(smooth.field)))
    for row, law in enumerate(coefficients):
        launch = launch_of(library, law[None], state[None], time=time, frame=frame, method=method, largest=largest)
        try:
            found = predict_frames(launch, frames["time"].values).frames[0]
        except (ConfigError, IntegrationError):
            continue
        if np.isfinite(found).all():
            errors[row] = np.sqrt(np.nanmean((found - frames.values) ** 2)) / float(frames.std())
    return errors


def boundary_of(posterior: Posterior, smooth: SmoothField, seed: int = 0) -> str:
    """That along which the pixels were explained, or else what the edges of the smooth field look like."""
    known = posterior.provenance.get("refinement", {})
    if known.get("by") == "pixels":
        return str(known["boundary"])
    return next(iter(likely_boundaries(smooth, np.random.default_rng(seed))), "open")


def draw_equations(posterior: Posterior, draws: int, random: np.random.Generator) -> np.ndarray:
    """Coefficients of equations drawn from a posterior, `[draws, K]`, float64; runs by their weights."""
    runs, particles, terms = posterior.coefficients.shape
    weight = np.repeat(posterior.run_weights / particles, particles)
    chosen = random.choice(runs * particles, size=draws, p=weight / weight.sum())
    return np.asarray(posterior.coefficients.reshape(-1, terms)[chosen])


def _from_trajectories(start: Refined, posterior: Posterior, options: Forecast, random: np.random.Generator) -> Launch:
    if options.boundary not in ("auto", start.config.boundary):
        raise ConfigError(
            "Trajectories go on with the boundary along which they were fitted.",
            got=options.boundary,
            wanted=f"'auto' or {start.config.boundary!r}",
            fix="Forecast(boundary='auto'), or start=found.smooth",
        )
    probability = start.probability / start.probability.sum()
    launch = launch_of_trajectories(start.trajectories, probability, posterior.library, options.draws, random)
    method = replace(launch.method, maximum_steps=MOST_STEPS, rtol=options.rtol)
    return replace(launch, method=method)


def _from_smooth(
    start: SmoothField, posterior: Posterior, clock: np.ndarray, options: Forecast, random: np.random.Generator
) -> tuple[Launch, str]:
    times = start.field["time"].values
    index = int(np.searchsorted(times, clock[0], side="right")) - 1
    if index < 0:
        raise ConfigError(
            "The prediction begins before the smooth field.",
            got=f"{clock[0]:g}",
            wanted=f"{times[0]:g} or later",
            fix=f"times=numpy.linspace({times[-1]:g}, ...)",
        )
    boundary = options.boundary if options.boundary != "auto" else boundary_of(posterior, start)
    frame = start.field.isel(time=index)
    states = draw_frames(start, index, options.draws, random)
    largest = float(np.nanmax(np.abs(start.field)))
    return _launched(posterior, frame, states, float(times[index]), boundary, options, random, largest)


def _from_frame(
    start: xr.DataArray, posterior: Posterior, clock: np.ndarray, options: Forecast, random: np.random.Generator
) -> tuple[Launch, str]:
    Grid.of(start)
    frame = start.astype(np.float64)
    time = float(frame["time"]) if "time" in frame.coords else float(clock[0])
    boundary = options.boundary
    if boundary == "auto":
        known = posterior.provenance.get("refinement", {})
        by_edges = boundaries_like(frame.values[None], frame.values[None, None])[0]
        boundary = known["boundary"] if known.get("by") == "pixels" else by_edges
    states = np.broadcast_to(frame.values, (options.draws, *frame.shape))
    largest = float(np.abs(frame).max())
    return _launched(posterior, frame, states, time, boundary, options, random, largest)


def _launched(
    posterior: Posterior,
    frame: xr.DataArray,
    states: np.ndarray,
    time: float,
    boundary: str,
    options: Forecast,
    random: np.random.Generator,
    largest: float,
) -> tuple[Launch, str]:
    # What was seen there may have gaps, of which the states know nothing.
    frame = frame.reset_coords(drop=True).copy(data=states.mean(axis=0))
    states = beyond(states, MARGIN if boundary == "open" else 0.0, dims=frame.ndim)
    method = options.method(boundary, float(np.std(states)))
    coefficients = draw_equations(posterior, options.draws, random)
    states = np.ascontiguousarray(states)
    launch = launch_of(posterior.library, coefficients, states, time=time, frame=frame, method=method, largest=largest)
    return launch, boundary


def _checked_clock(times: Any) -> np.ndarray:
    clock = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if clock.ndim != 1 or not clock.size or not np.isfinite(clock).all() or not (np.diff(clock) > 0).all():
        raise ConfigError(
            "The times are not usable.",
            got=f"shape {clock.shape}",
            wanted="one axis of finite, strictly increasing times",
            fix="times=numpy.linspace(4, 6, 21)",
        )
    return clock


def _check_size(points: tuple[int, ...], clock: np.ndarray, options: Forecast) -> None:
    """Check that a prediction fits into memory."""
    if options.draws * len(clock) * math.prod(points) > MOST_VALUES:
        raise ConfigError(
            "The prediction would not fit into memory.",
            got=f"{options.draws} draws of {len(clock)} frames of {math.prod(points)} points",
            wanted=f"at most {MOST_VALUES} values",
            fix="Forecast(draws=...), or fewer times",
        )


def _time_attrs(start: xr.DataArray | SmoothField | Refined) -> dict[Any, Any]:
    """Attributes of the time of what a prediction starts from."""
    if isinstance(start, Refined):
        return dict(start.trajectories[0].fitted["time"].attrs)
    field = start.field if isinstance(start, SmoothField) else start
    return dict(field["time"].attrs) if "time" in field.coords else {}


def _described(
    launch: Launch, frames: np.ndarray, ended: np.ndarray, clock: np.ndarray, attrs: Mapping[Any, Any]
) -> xr.Dataset:
    """Arrays as a dataset, with the coordinates and units of the frame."""
    frame, name = launch.frame, launch.equation.variable
    coords = {d: frame[d] for d in frame.dims}
    found = xr.DataArray(
        frames,
        dims=("draw", "time", *frame.dims),
        coords={"draw": np.arange(len(frames)), "time": ("time", clock, dict(attrs)), **coords},
        attrs=frame.attrs,
    )
    terms = list(launch.equation.names)
    coefficient = xr.DataArray(launch.coefficients, dims=("draw", "term"), coords={"term": terms})
    return xr.Dataset({name: found, "ended": (("draw",), ended), "coefficient": coefficient}, attrs={"field": name})
