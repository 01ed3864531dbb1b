"""An ensemble + times -> the frames of its draws, each up to where it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bayespde.core.coupled import CoupledEquations
from bayespde.core.progress import Progress
from bayespde.core.terms import derivative_orders
from bayespde.forecasting.ensemble import ForecastEnsemble
from bayespde.solve.batch import evolve_draws
from bayespde.solve.compiled.rkc import is_diffusive
from bayespde.solve.ensemble_problem import EnsembleProblem
from bayespde.solve.integrate import checked_times
from bayespde.solve.resolution import Resolution

DIVERGENCE_THRESHOLD = 100.0
SAME = 1e-12
# Tolerated change of frames by a finer grid, relative to their standard deviation.
ACCURACY = 5e-4
# Number of intermediate times at which grids are compared.
TEST_TIMES = 6
# Draws by which grids are compared: quantiles of the distance of their coefficients from the mean.
TEST_QUANTILES = (0.0, 0.5, 0.9)
# Number of initial states by which grids are compared.
TEST_STATES = 32
# Number of values of all draws above which compiling their equation saves time.
MANY = 2**19


class Propagated(NamedTuple):
    """Frames of the draws of an ensemble.

    Attributes:
        frames: `[draws, time, *points]`, or `[draws, time, fields, *points]`, float64; NaN after a draw has ended.
        ended: Time at which each draw blew up, diverged or became too stiff, `[draws]`; inf where it did not.
        points: Grid points per dimension on which they were integrated.
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
    progress: bool | Progress = False,
) -> Propagated:
    """Integrate the draws of an ensemble, on as coarse a grid as they allow, and evaluate them at the pixels.

    Args:
        ensemble: The draws.
        times: Strictly increasing, none before the start.
        accuracy: Tolerated change by a finer grid, relative to the standard deviation of the first frames.
        divergence_threshold: A draw counts as diverged once `|u|` exceeds this multiple of the largest known one.
        progress: Show a bar.

    Returns:
        The frames at those times.
    """
    # Times that differ by rounding only are the same.
    first = 1 if times[0] - ensemble.time > SAME * max(abs(ensemble.time), abs(times[-1])) else 0
    clock = np.concatenate([[ensemble.time], times[1 - first :]])
    if len(clock) == 1:
        frames, ended, grid = ensemble.states[:, None], np.full(len(ensemble.states), np.inf), ensemble.domain.points
    else:
        ensemble, resolution = _method_and_resolution(ensemble, float(clock[-1]), accuracy)
        frames, ended = evolve_draws(
            _problem_on(ensemble, resolution, slice(None)),
            checked_times(clock),
            method=ensemble.method,
            bound=divergence_threshold * max(ensemble.largest, float(np.abs(ensemble.states).max())),
            progress=progress,
        )
        frames, grid = resolution.at_pixels(frames[:, first:]), resolution.grid.points
    for axis, points in enumerate(ensemble.frame.shape, start=frames.ndim - ensemble.frame.ndim):
        frames = np.take(frames, np.arange(points), axis=axis) if frames.shape[axis] > points else frames
    return Propagated(np.ascontiguousarray(frames), ended, grid)


def _method_and_resolution(
    ensemble: ForecastEnsemble, end: float, accuracy: float
) -> tuple[ForecastEnsemble, Resolution]:
    """Compiled differences where they suit the equation and are exact enough, else the method of the ensemble."""
    compiled = _by_differences(ensemble)
    if compiled is not None:
        resolution = _resolved(compiled, end, accuracy)
        # On the full grid accuracy was not tested; without periodic boundaries there is no better method.
        is_known = ensemble.method.boundary != "periodic" or resolution.grid.points != ensemble.domain.points
        if is_known or _is_same(compiled, ensemble, resolution, end, accuracy):
            return compiled, resolution
    return ensemble, _resolved(ensemble, end, accuracy)


def _by_differences(ensemble: ForecastEnsemble) -> ForecastEnsemble | None:
    """A large ensemble with compiled steps, if no derivative is above the second and diffusion dominates."""
    if isinstance(ensemble.equation, CoupledEquations) or ensemble.dirichlet is not None:
        return None
    names = {s.name for term in ensemble.equation.terms for s in term.expression.free_symbols}
    highest = max((max(derivative_orders(name, ensemble.domain.dims)) for name in names), default=0)
    if ensemble.method.scheme != "auto" or ensemble.states.size < MANY or highest != 2:
        return None
    method = replace(ensemble.method, space="difference", order=4, scheme="rkc")
    problem = EnsembleProblem(ensemble.equation, ensemble.domain, ensemble.coefficients, ensemble.states)
    suits = is_diffusive(problem, method)
    return replace(ensemble, method=method) if suits else None


def _resolved(ensemble: ForecastEnsemble, end: float, accuracy: float) -> Resolution:
    """The coarsest grid that reproduces the first frames, and later ones of some draws, as the full grid does."""
    domain, boundary = ensemble.domain, ensemble.method.boundary
    size, space = accuracy * ensemble.deviation, tuple(range(-len(domain.dims), 0))
    states = ensemble.states[:: -(-len(ensemble.states) // TEST_STATES)]
    resolution, known = Resolution.for_waves(domain, boundary, 0.0), None
    while True:
        finer = resolution.finer()
        if finer is None:
            return resolution
        fine, shown = None, resolution.at_pixels(resolution.at_points(states))
        if (np.sqrt(np.mean((shown - states) ** 2, axis=(0, *space))) <= size).all():
            coarse = _test_frames(ensemble, resolution, end) if known is None else known
            fine = _test_frames(ensemble, finer, end)
            if _differ_by_less(coarse, fine, size, space):
                return resolution
        resolution, known = finer, fine


def _is_same(
    one: ForecastEnsemble, other: ForecastEnsemble, resolution: Resolution, end: float, accuracy: float
) -> bool:
    """Whether two methods give the same frames."""
    first, second = (_test_frames(ensemble, resolution, end) for ensemble in (one, other))
    space = tuple(range(-one.frame.ndim, 0))
    return _differ_by_less(first, second, accuracy * one.deviation, space)


def _differ_by_less(one: np.ndarray, other: np.ndarray, size: np.ndarray, space: tuple[int, ...]) -> bool:
    """Whether all frames of some draws differ by less than `size`; False if no draw reaches a later frame."""
    apart = np.sqrt(np.mean((one - other) ** 2, axis=space))
    reached = np.isfinite(apart)
    return bool(reached[:, 1:].any() and not (reached & (apart > size)).any())


def _test_frames(ensemble: ForecastEnsemble, resolution: Resolution, end: float) -> np.ndarray:
    """Frames of some draws, from typical to unusual, `[draws, time, *domain]`; NaN after one has ended."""
    spread = ensemble.coefficients.std(axis=0)
    away = (ensemble.coefficients - ensemble.coefficients.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    order = np.argsort(np.sum(away**2, axis=1), kind="stable")
    some = np.unique(order[(np.array(TEST_QUANTILES) * (len(order) - 1)).astype(int)])
    times = np.linspace(ensemble.time, end, TEST_TIMES + 1)
    found = evolve_draws(_problem_on(ensemble, resolution, some), times, method=ensemble.method)
    return resolution.at_pixels(found.frames)


def _problem_on(ensemble: ForecastEnsemble, resolution: Resolution, rows: np.ndarray | slice) -> EnsembleProblem:
    """Some draws of an ensemble, on the grid of a resolution."""
    boundary = ensemble.dirichlet
    if boundary is not None:
        boundary = boundary.resampled(resolution.at_points(boundary.values))
    starts = resolution.at_points(ensemble.states[rows])
    return EnsembleProblem(ensemble.equation, resolution.grid, ensemble.coefficients[rows], starts, boundary)
