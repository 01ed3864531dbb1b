"""Posterior + where a prediction starts -> draws of law and first frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.core.system import System
from bayespde.equation_draws import draw_equations
from bayespde.refinement import Refined
from bayespde.smooth.edges import boundaries_like
from bayespde.smooth.frame_draws import draw_frames, likely_boundaries
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.derivatives import Grid
from bayespde.solve.launch import Launch, launch_of, launch_of_trajectories
from bayespde.solve.margin import drawn_beyond
from bayespde.solve.method import Method
from bayespde.solve.predict import ACCURACY, RUNAWAY, SAME
from bayespde.solve.rim import Rim, on_edge

BOUNDARIES = ("periodic", "no-flux", "fixed", "open")
# Points beyond a window without boundary, per point of it.
MARGIN = 1.0
MOST_STEPS = 20_000


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
        return method.within("periodic" if boundary == "open" else boundary)


class Start(NamedTuple):
    """Where a prediction starts.

    Attributes:
        launch: Draws of law and first frame.
        boundary: Of the field, as for `Forecast`.
        noise_scales: Standard deviation of a pixel, of each field.
        kind: What the first frame is from: trajectories, smooth field or frame.
        time_attrs: Attributes of the time, its unit among them.
    """

    launch: Launch
    boundary: str
    noise_scales: tuple[float, ...]
    kind: str
    time_attrs: Mapping[Any, Any]


def from_trajectories(start: Refined, posterior: Posterior, options: Forecast, random: np.random.Generator) -> Start:
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
            fix="Forecast(boundary='auto'), or start=found.smooth",
        )
    probability = start.probability / start.probability.sum()
    launch = launch_of_trajectories(start.trajectories, probability, posterior.library, options.draws, random)
    launch = replace(launch, method=replace(launch.method, maximum_steps=MOST_STEPS, rtol=options.rtol))
    return Start(launch, boundary, (float(best.noise_scale),), "trajectories", best.fitted["time"].attrs)


def from_smooth(
    start: SmoothField, posterior: Posterior, first: float, options: Forecast, random: np.random.Generator
) -> Start:
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
    launch = launch_of(
        posterior.library,
        draw_equations(posterior, options.draws, random),
        states,
        time=float(times[index]),
        frame=frame,
        method=options.method(boundary, float(np.std(states))),
        largest=float(np.nanmax(np.abs(start.field))),
    )
    return Start(launch, boundary, (float(start.noise_scale),), "smooth field", start.field["time"].attrs)


def from_frame(
    start: xr.DataArray, posterior: Posterior, first: float, options: Forecast, random: np.random.Generator
) -> Start:
    """At one frame that is known.

    Raises:
        FieldError: If it is not usable.
    """
    Grid.of(start)
    frame = start.astype(np.float64)
    boundary = options.boundary
    if boundary == "auto":
        by_edges = boundaries_like(frame.values[None], frame.values[None, None])[0]
        boundary = boundary_of_pixels(posterior) or by_edges
    states = np.broadcast_to(frame.values, (options.draws, *frame.shape))
    frame, states = placed(frame, states, boundary, random)
    launch = launch_of(
        posterior.library,
        draw_equations(posterior, options.draws, random),
        states,
        time=float(start["time"]) if "time" in start.coords else first,
        frame=frame,
        method=options.method(boundary, float(np.std(states))),
    )
    return Start(launch, boundary, (0.0,), "frame", start["time"].attrs if "time" in start.coords else {})


def with_edges(start: Start, edges: xr.DataArray, last: float) -> Start:
    """The same start, its edges held at those of frames that have come.

    Args:
        start: Between held edges.
        edges: Frames on its grid, from the start or after it to the last time.
        last: Time of the last frame to be predicted.

    Raises:
        ConfigError: If the frames are on another grid, do not come so far, or lack pixels of an edge.
    """
    launch = start.launch
    frame, checked = launch.frame, edges.transpose("time", ...)
    rim, times = on_edge(frame.shape), checked["time"].values.astype(np.float64)
    fits = checked.dims[1:] == frame.dims and all(
        np.allclose(checked[d], frame[d], rtol=1e-6) for d in frame.dims if checked.sizes[d] == frame.sizes[d]
    )
    if not fits or checked.shape[1:] != frame.shape or start.boundary != "fixed" or times[-1] < last * (1 - SAME):
        raise ConfigError(
            "The edges do not fit the prediction.",
            got=f"{dict(checked.sizes)} until {times[-1]:g}, boundary {start.boundary!r}",
            wanted=f"frames of {dict(frame.sizes)} until {last:g}, boundary 'fixed' or 'auto'",
            fix="edges=found.holdout",
        )
    if not np.isfinite(checked.values[:, rim]).all():
        raise ConfigError(
            "Pixels of the edges are missing.",
            got=f"{int(np.isnan(checked.values[:, rim]).sum())} of them",
            wanted="a value at every pixel of an edge",
            fix="edges=bayespde.fit_field(frames) evaluated at its pixels",
        )
    after = times > launch.time + SAME * max(abs(launch.time), abs(last))
    first = launch.states.mean(axis=0) if after[0] else checked.values[~after][-1]
    values = np.concatenate([first[None], checked.values[after]])
    known = Rim(np.concatenate([[launch.time], times[after]]), np.where(rim, values, 0.0))
    return start._replace(launch=replace(launch, rim=known))


def of_system(starts: Sequence[Start]) -> Start:
    """Those of the equations of a system, as one.

    Raises:
        ConfigError: If their boundaries differ.
    """
    launches, first = [s.launch for s in starts], starts[0]
    boundaries = {s.boundary for s in starts}
    if len(boundaries) > 1:
        raise ConfigError(
            "The fields of a system do not have one boundary.",
            got=", ".join(sorted(boundaries)),
            wanted="one for all",
            fix="Forecast(boundary='open')",
        )
    launch = Launch(
        System(tuple(e for launch in launches for e in launch.equations)),
        np.concatenate([launch.coefficients for launch in launches], axis=1),
        np.stack([launch.states for launch in launches], axis=1),
        first.launch.time,
        first.launch.frame,
        replace(first.launch.method, atol=min(launch.method.atol for launch in launches)),
        max(launch.largest for launch in launches),
        tuple(launch.frame for launch in launches[1:]),
    )
    noise_scales = tuple(n for s in starts for n in s.noise_scales)
    return Start(launch, first.boundary, noise_scales, first.kind, first.time_attrs)


def shared_boundary(smooths: Iterable[SmoothField], seed: int = 0) -> str:
    """The likeliest that the edges of all smooth fields look like; a window if there is none."""
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
    margin = MARGIN if boundary == "open" else 0.0
    return filled, np.ascontiguousarray(drawn_beyond(states, margin, random, dims=frame.ndim))


def boundary_of_pixels(posterior: Posterior) -> str | None:
    """That along which trajectories explained the pixels; None if equations were judged by rows."""
    refinement = posterior.provenance.get("refinement", {})
    return str(refinement["boundary"]) if refinement.get("by") == "pixels" else None


def boundary_of(posterior: Posterior, smooth: SmoothField, seed: int = 0) -> str:
    """That of the pixels, or else what the edges of the smooth field look like."""
    known = boundary_of_pixels(posterior)
    return known or next(iter(likely_boundaries(smooth, np.random.default_rng(seed))), "open")
