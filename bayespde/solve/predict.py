"""A launch + times -> the frames that its draws foretell, each as far as it comes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayespde.solve.ensemble import evolve_draws
from bayespde.solve.integrate import checked_times
from bayespde.solve.launch import Launch
from bayespde.solve.resolution import Resolution

# Largest |u| of a draw, over that of the first frames, with which it is still taken for a prediction.
RUNAWAY = 100.0
# Of the first frames and of what becomes of them: what more points may change, over their deviation.
ACCURACY = 5e-4
# Times on the way at which that is looked at.
LOOKS = 6


class Predicted(NamedTuple):
    """Frames that draws foretell.

    Attributes:
        frames: `[draws, time, *points]`, float64; NaN from where a draw has ended.
        ended: Time at which each draw blew up, ran away or became too stiff, `[draws]`; inf where it did not.
        points: Of the grid on which they were integrated.
    """

    frames: np.ndarray
    ended: np.ndarray
    points: tuple[int, ...]


def predict_frames(
    launch: Launch, times: np.ndarray, *, accuracy: float = ACCURACY, progress: bool = False
) -> Predicted:
    """Integrate the draws of a launch, at as few points as they need, and show them at the pixels.

    Args:
        launch: The draws.
        times: Strictly increasing, none before the start.
        accuracy: What more points may change, over the deviation of the first frames.
        progress: Show a bar.

    Returns:
        The frames at those times.
    """
    resolution = _resolved(launch, float(times[-1]), accuracy)
    starts_first = times[0] > launch.time
    clock = checked_times(np.concatenate([[launch.time], times]) if starts_first else times)
    largest = float(np.abs(launch.states).max())
    found = evolve_draws(
        launch.equation,
        resolution.grid,
        launch.coefficients,
        resolution.at_points(launch.states),
        clock,
        method=launch.method,
        bound=RUNAWAY * max(largest, float(np.std(launch.states))),
        progress=progress,
    )
    shown = resolution.at_pixels(found.frames[:, 1:] if starts_first else found.frames)
    for axis, points in enumerate(launch.frame.shape, start=2):
        shown = np.take(shown, np.arange(points), axis=axis) if shown.shape[axis] > points else shown
    return Predicted(np.ascontiguousarray(shown), found.ended, resolution.grid.points)


def _resolved(launch: Launch, end: float, accuracy: float) -> Resolution:
    """Grid of as few points as show the first frames, and later ones of a middling draw, as all pixels would."""
    domain, boundary = launch.domain, launch.method.boundary
    size = accuracy * float(np.std(launch.states))
    resolution = Resolution.for_waves(domain, boundary, 0.0)
    while True:
        shown = resolution.at_pixels(resolution.at_points(launch.states))
        finer = resolution.finer()
        if finer is None:
            return resolution
        if np.sqrt(np.mean((shown - launch.states) ** 2)) <= size:
            coarse, fine = (_on_the_way(launch, r, end) for r in (resolution, finer))
            apart = np.sqrt(np.mean((coarse - fine) ** 2, axis=tuple(range(1, fine.ndim))))
            # Where neither comes to an end there is nothing to compare.
            if not (apart > size).any() and np.isfinite(coarse).all() == np.isfinite(fine).all():
                return resolution
        resolution = finer


def _on_the_way(launch: Launch, resolution: Resolution, end: float) -> np.ndarray:
    """Frames of the draw whose coefficients are nearest the mean, `[time, *domain]`; NaN where it does not come."""
    spread = launch.coefficients.std(axis=0)
    away = (launch.coefficients - launch.coefficients.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    middle = [int(np.argmin(np.sum(away**2, axis=1)))]
    found = evolve_draws(
        launch.equation,
        resolution.grid,
        launch.coefficients[middle],
        resolution.at_points(launch.states[middle]),
        np.linspace(launch.time, end, LOOKS + 1),
        method=launch.method,
    )
    return resolution.at_pixels(found.frames[0])
