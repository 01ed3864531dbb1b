"""A launch + times -> the frames that its draws foretell, each as far as it comes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bayespde.core.system import System
from bayespde.core.terms import derivative_orders
from bayespde.solve.chebyshev import is_diffusive
from bayespde.solve.ensemble import evolve_draws
from bayespde.solve.integrate import checked_times
from bayespde.solve.launch import Launch
from bayespde.solve.resolution import Resolution
from bayespde.solve.rim import Rim

RUNAWAY = 100.0
SAME = 1e-12
# Of the first frames and of what becomes of them: what more points may change, over their deviation.
ACCURACY = 5e-4
# Times on the way at which that is looked at.
LOOKS = 6
# And draws that are looked at, by how far their law is from the middle.
LOOKED_AT = (0.0, 0.5, 0.9)
# First frames that are looked at, of all draws.
FIRST_LOOKED_AT = 32
# Values of all draws from which on compiling their equation takes less time than it saves.
MANY = 2**19


class Predicted(NamedTuple):
    """Frames that draws foretell.

    Attributes:
        frames: `[draws, time, *points]`, or `[draws, time, fields, *points]`, float64; NaN from where a draw has ended.
        ended: Time at which each draw blew up, ran away or became too stiff, `[draws]`; inf where it did not.
        points: Of the grid on which they were integrated.
    """

    frames: np.ndarray
    ended: np.ndarray
    points: tuple[int, ...]


def predict_frames(
    launch: Launch,
    times: np.ndarray,
    *,
    accuracy: float = ACCURACY,
    runaway: float = RUNAWAY,
    progress: bool = False,
) -> Predicted:
    """Integrate the draws of a launch, at as few points as they need, and show them at the pixels.

    Args:
        launch: The draws.
        times: Strictly increasing, none before the start.
        accuracy: What more points may change, over the deviation of the first frames.
        runaway: Largest `|u|` of a draw, over the largest that is known, with which it is still taken for a prediction.
        progress: Show a bar.

    Returns:
        The frames at those times.
    """
    # Times that differ by rounding are one.
    first = 1 if times[0] - launch.time > SAME * max(abs(launch.time), abs(times[-1])) else 0
    clock = np.concatenate([[launch.time], times[1 - first :]])
    if len(clock) == 1:
        frames, ended, grid = launch.states[:, None], np.full(len(launch.states), np.inf), launch.domain.points
    else:
        launch, resolution = _method_and_resolution(launch, float(clock[-1]), accuracy)
        frames, ended = evolve_draws(
            launch.equation,
            resolution.grid,
            launch.coefficients,
            resolution.at_points(launch.states),
            checked_times(clock),
            method=launch.method,
            bound=runaway * max(launch.largest, float(np.abs(launch.states).max())),
            rim=_rim_at(launch, resolution),
            progress=progress,
        )
        frames, grid = resolution.at_pixels(frames[:, first:]), resolution.grid.points
    for axis, points in enumerate(launch.frame.shape, start=frames.ndim - launch.frame.ndim):
        frames = np.take(frames, np.arange(points), axis=axis) if frames.shape[axis] > points else frames
    return Predicted(np.ascontiguousarray(frames), ended, grid)


def _method_and_resolution(launch: Launch, end: float, accuracy: float) -> tuple[Launch, Resolution]:
    """By compiled differences where that suits the law and is exact enough, else as the launch says."""
    compiled = _by_differences(launch)
    if compiled is not None:
        resolution = _resolved(compiled, end, accuracy)
        # That all pixels are enough was not looked at; between walls there is nothing better.
        is_known = launch.method.boundary != "periodic" or resolution.grid.points != launch.domain.points
        if is_known or _is_same(compiled, launch, resolution, end, accuracy):
            return compiled, resolution
    return launch, _resolved(launch, end, accuracy)


def _by_differences(launch: Launch) -> Launch | None:
    """The launch of many draws with compiled steps, if no derivative is above the second and diffusion dominates."""
    if isinstance(launch.equation, System) or launch.rim is not None:
        return None
    names = {s.name for term in launch.equation.terms for s in term.expression.free_symbols}
    highest = max((max(derivative_orders(name, launch.domain.dims)) for name in names), default=0)
    if launch.method.scheme != "auto" or launch.states.size < MANY or highest != 2:
        return None
    method = replace(launch.method, space="difference", order=4, scheme="chebyshev")
    suits = is_diffusive(launch.equation, launch.domain, launch.coefficients, launch.states, method)
    return replace(launch, method=method) if suits else None


def _resolved(launch: Launch, end: float, accuracy: float) -> Resolution:
    """Grid of as few points as show the first frames, and later ones of a middling draw, as all pixels would."""
    domain, boundary = launch.domain, launch.method.boundary
    size, space = accuracy * launch.deviation, tuple(range(-len(domain.dims), 0))
    states = launch.states[:: -(-len(launch.states) // FIRST_LOOKED_AT)]
    resolution, known = Resolution.for_waves(domain, boundary, 0.0), None
    while True:
        finer = resolution.finer()
        if finer is None:
            return resolution
        fine, shown = None, resolution.at_pixels(resolution.at_points(states))
        if (np.sqrt(np.mean((shown - states) ** 2, axis=(0, *space))) <= size).all():
            coarse = _on_the_way(launch, resolution, end) if known is None else known
            fine = _on_the_way(launch, finer, end)
            if _differ_by_less(coarse, fine, size, space):
                return resolution
        resolution, known = finer, fine


def _is_same(one: Launch, other: Launch, resolution: Resolution, end: float, accuracy: float) -> bool:
    """Whether two methods show the same frames on the way."""
    first, second = (_on_the_way(launch, resolution, end) for launch in (one, other))
    space = tuple(range(-one.frame.ndim, 0))
    return _differ_by_less(first, second, accuracy * one.deviation, space)


def _differ_by_less(one: np.ndarray, other: np.ndarray, size: np.ndarray, space: tuple[int, ...]) -> bool:
    """Whether all frames of some draws do; where hardly any draw comes anywhere there is nothing to compare."""
    apart = np.sqrt(np.mean((one - other) ** 2, axis=space))
    came = np.isfinite(apart)
    return bool(came[:, 1:].any() and not (came & (apart > size)).any())


def _on_the_way(launch: Launch, resolution: Resolution, end: float) -> np.ndarray:
    """Frames of some draws, from middling to unusual, `[draws, time, *domain]`; NaN where one does not come."""
    spread = launch.coefficients.std(axis=0)
    away = (launch.coefficients - launch.coefficients.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    order = np.argsort(np.sum(away**2, axis=1), kind="stable")
    some = np.unique(order[(np.array(LOOKED_AT) * (len(order) - 1)).astype(int)])
    found = evolve_draws(
        launch.equation,
        resolution.grid,
        launch.coefficients[some],
        resolution.at_points(launch.states[some]),
        np.linspace(launch.time, end, LOOKS + 1),
        method=launch.method,
        rim=_rim_at(launch, resolution),
    )
    return resolution.at_pixels(found.frames)


def _rim_at(launch: Launch, resolution: Resolution) -> Rim | None:
    """What edges are held at, at the points of the grid that is integrated."""
    return None if launch.rim is None else launch.rim.resampled(resolution.at_points(launch.rim.values))
