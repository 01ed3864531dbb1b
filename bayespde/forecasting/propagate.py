"""A ensemble + times -> the frames that its draws integrate_ensemble, each as far as it comes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bayespde.core.coupled import CoupledEquations
from bayespde.core.terms import derivative_orders
from bayespde.forecasting.ensemble import ForecastEnsemble
from bayespde.solve.batch import evolve_draws
from bayespde.solve.boundary_data import DirichletData
from bayespde.solve.compiled.rkc import is_diffusive
from bayespde.solve.integrate import checked_times
from bayespde.solve.resolution import Resolution

DIVERGENCE_THRESHOLD = 100.0
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
    """Frames that draws integrate_ensemble.

    Attributes:
        frames: `[draws, time, *points]`, or `[draws, time, fields, *points]`, float64; NaN from where a draw has ended.
        ended: Time at which each draw blew up, ran away or became too stiff, `[draws]`; inf where it did not.
        points: Of the grid on which they were integrated.
    """

    frames: np.ndarray
    ended: np.ndarray
    points: tuple[int, ...]


def propagate(
    ensemble: ForecastEnsemble,
    times: np.ndarray,
    *,
    accuracy: float = ACCURACY,
    divergence_threshold: float = DIVERGENCE_THRESHOLD,
    progress: bool = False,
) -> Predicted:
    """Integrate the draws of a ensemble, at as few points as they need, and show them at the pixels.

    Args:
        ensemble: The draws.
        times: Strictly increasing, none before the start.
        accuracy: What more points may change, over the deviation of the first frames.
        divergence_threshold: Largest `|u|` of a draw, over the largest that is known, with which it is still taken for a prediction.
        progress: Show a bar.

    Returns:
        The frames at those times.
    """
    # Times that differ by rounding are one.
    first = 1 if times[0] - ensemble.time > SAME * max(abs(ensemble.time), abs(times[-1])) else 0
    clock = np.concatenate([[ensemble.time], times[1 - first :]])
    if len(clock) == 1:
        frames, ended, grid = ensemble.states[:, None], np.full(len(ensemble.states), np.inf), ensemble.domain.points
    else:
        ensemble, resolution = _method_and_resolution(ensemble, float(clock[-1]), accuracy)
        frames, ended = evolve_draws(
            ensemble.equation,
            resolution.grid,
            ensemble.coefficients,
            resolution.at_points(ensemble.states),
            checked_times(clock),
            method=ensemble.method,
            bound=divergence_threshold * max(ensemble.largest, float(np.abs(ensemble.states).max())),
            dirichlet=_rim_at(ensemble, resolution),
            progress=progress,
        )
        frames, grid = resolution.at_pixels(frames[:, first:]), resolution.grid.points
    for axis, points in enumerate(ensemble.frame.shape, start=frames.ndim - ensemble.frame.ndim):
        frames = np.take(frames, np.arange(points), axis=axis) if frames.shape[axis] > points else frames
    return Predicted(np.ascontiguousarray(frames), ended, grid)


def _method_and_resolution(
    ensemble: ForecastEnsemble, end: float, accuracy: float
) -> tuple[ForecastEnsemble, Resolution]:
    """By compiled differences where that suits the law and is exact enough, else as the ensemble says."""
    compiled = _by_differences(ensemble)
    if compiled is not None:
        resolution = _resolved(compiled, end, accuracy)
        # That all pixels are enough was not looked at; between walls there is nothing better.
        is_known = ensemble.method.boundary != "periodic" or resolution.grid.points != ensemble.domain.points
        if is_known or _is_same(compiled, ensemble, resolution, end, accuracy):
            return compiled, resolution
    return ensemble, _resolved(ensemble, end, accuracy)


def _by_differences(ensemble: ForecastEnsemble) -> ForecastEnsemble | None:
    """The ensemble of many draws with compiled steps, if no derivative is above the second and diffusion dominates."""
    if isinstance(ensemble.equation, CoupledEquations) or ensemble.dirichlet is not None:
        return None
    names = {s.name for term in ensemble.equation.terms for s in term.expression.free_symbols}
    highest = max((max(derivative_orders(name, ensemble.domain.dims)) for name in names), default=0)
    if ensemble.method.scheme != "auto" or ensemble.states.size < MANY or highest != 2:
        return None
    method = replace(ensemble.method, space="difference", order=4, scheme="rkc")
    suits = is_diffusive(ensemble.equation, ensemble.domain, ensemble.coefficients, ensemble.states, method)
    return replace(ensemble, method=method) if suits else None


def _resolved(ensemble: ForecastEnsemble, end: float, accuracy: float) -> Resolution:
    """Grid of as few points as show the first frames, and later ones of a middling draw, as all pixels would."""
    domain, boundary = ensemble.domain, ensemble.method.boundary
    size, space = accuracy * ensemble.deviation, tuple(range(-len(domain.dims), 0))
    states = ensemble.states[:: -(-len(ensemble.states) // FIRST_LOOKED_AT)]
    resolution, known = Resolution.for_waves(domain, boundary, 0.0), None
    while True:
        finer = resolution.finer()
        if finer is None:
            return resolution
        fine, shown = None, resolution.at_pixels(resolution.at_points(states))
        if (np.sqrt(np.mean((shown - states) ** 2, axis=(0, *space))) <= size).all():
            coarse = _on_the_way(ensemble, resolution, end) if known is None else known
            fine = _on_the_way(ensemble, finer, end)
            if _differ_by_less(coarse, fine, size, space):
                return resolution
        resolution, known = finer, fine


def _is_same(
    one: ForecastEnsemble, other: ForecastEnsemble, resolution: Resolution, end: float, accuracy: float
) -> bool:
    """Whether two methods show the same frames on the way."""
    first, second = (_on_the_way(ensemble, resolution, end) for ensemble in (one, other))
    space = tuple(range(-one.frame.ndim, 0))
    return _differ_by_less(first, second, accuracy * one.deviation, space)


def _differ_by_less(one: np.ndarray, other: np.ndarray, size: np.ndarray, space: tuple[int, ...]) -> bool:
    """Whether all frames of some draws do; where hardly any draw comes anywhere there is nothing to compare."""
    apart = np.sqrt(np.mean((one - other) ** 2, axis=space))
    came = np.isfinite(apart)
    return bool(came[:, 1:].any() and not (came & (apart > size)).any())


def _on_the_way(ensemble: ForecastEnsemble, resolution: Resolution, end: float) -> np.ndarray:
    """Frames of some draws, from middling to unusual, `[draws, time, *domain]`; NaN where one does not come."""
    spread = ensemble.coefficients.std(axis=0)
    away = (ensemble.coefficients - ensemble.coefficients.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    order = np.argsort(np.sum(away**2, axis=1), kind="stable")
    some = np.unique(order[(np.array(LOOKED_AT) * (len(order) - 1)).astype(int)])
    found = evolve_draws(
        ensemble.equation,
        resolution.grid,
        ensemble.coefficients[some],
        resolution.at_points(ensemble.states[some]),
        np.linspace(ensemble.time, end, LOOKS + 1),
        method=ensemble.method,
        dirichlet=_rim_at(ensemble, resolution),
    )
    return resolution.at_pixels(found.frames)


def _rim_at(ensemble: ForecastEnsemble, resolution: Resolution) -> DirichletData | None:
    """What edges are held at, at the points of the grid that is integrated."""
    return (
        None
        if ensemble.dirichlet is None
        else ensemble.dirichlet.resampled(resolution.at_points(ensemble.dirichlet.values))
    )
