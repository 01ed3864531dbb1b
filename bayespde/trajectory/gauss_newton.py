"""A least-squares problem over trajectories + parameters -> a mode, by damped Gauss-Newton steps.

Sensitivities come from a batch of neighbouring trajectories, which share their steps, so that differences between them
are free of the integrator's choices.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, LinAlgWarning, solve

from bayespde.core.errors import FitError, IntegrationError, OutOfReachError
from bayespde.trajectory.linearised import Linearised, Slopes
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.problem import TrajectoryProblem

DAMPING, WEAKEST, STRONGEST = 1e-3, 1e-10, 1e8
# Squared distance from the optimum within which moderately damped steps fail for errors of the slopes, or because there
# are many optima.
CLOSE, MODERATE = 50.0, 1.0
# Distances of the coefficients from the optimum, in standard deviations: within which a search ends, and that errors of
# the slopes may leave.
SETTLED, NEAR = 0.1, 0.3
# Distance within which slopes count as those of a point; a draw from the posterior of a hundred modes is ten times as
# far.
FRESH = 1.0
# Steps after which a search may be given up, and what it may gain at most, over what its slopes predict.
FIRST_STEPS, OPTIMISTIC = 2, 3.0
# Share of the predicted gain that a step must bring for its slopes to serve the next one too.
TRUSTED = 0.75


class _Point(NamedTuple):
    """Where a search is.

    Attributes:
        parameters: `[n]`.
        residual: Theirs.
        value: Of the objective.
        gain: Of the step that led there, relative to what its slopes predicted.
    """

    parameters: np.ndarray
    residual: np.ndarray
    value: float
    gain: float = 0.0


class Stop(NamedTuple):
    """When a search ends.

    Attributes:
        steps: Most steps.
        gain: Of an undamped step, in nats, below which it has converged, if coefficients have settled.
        settled: Distance of the coefficients from the optimum, in standard deviations, below which they have.
        is_last: Whether the search ends with the slopes of its last point.
    """

    steps: int
    gain: float
    settled: float = SETTLED
    is_last: bool = True


class Descent(NamedTuple):
    """Where a search ended.

    Attributes:
        mode: The point; its linearisation may be by slopes of one nearby.
        slopes: These slopes.
    """

    mode: Mode
    slopes: Slopes


def descend(problem: TrajectoryProblem, parameters: np.ndarray, stop: Stop, *, slopes: Slopes | None = None) -> Descent:
    """Damped steps [levenberg1944] until an undamped one would gain next to nothing.

    Slopes take nearly all the time. Those of one point serve the following steps as long as these gain what they
    predict [kelley1995], or are close: new ones would lead no further.

    Args:
        problem: What to minimise.
        parameters: Where to begin, `[n]`.
        stop: When to end.
        slopes: Of a point nearby, or of the same problem with fewer points in space.

    Raises:
        FitError: If the objective cannot come below that at which the problem is of use.
    """
    damping, residual = DAMPING, problem.residual(parameters)
    here, steps = _Point(parameters, residual, problem.objective(residual, parameters)), 0
    origin = None if slopes is not None else parameters
    slopes = _checked_slopes(problem, here) if slopes is None else slopes
    while True:
        is_fresh = origin is not None and _length(problem, slopes, here.parameters - origin) < FRESH
        around = problem.with_slopes(slopes, here.parameters, here.residual)
        distance, shift = distances(problem, around)
        if is_fresh and steps >= FIRST_STEPS:
            _check_hope(problem, here.value - OPTIMISTIC * distance / 2)
        has_settled, is_near = distance < 2 * stop.gain and shift < stop.settled**2, _is_near(distance, shift)
        is_over = has_settled or steps == stop.steps
        following, strongest = None, STRONGEST if distance > CLOSE else MODERATE
        damping = min(damping, strongest)
        while not is_over and following is None and damping <= strongest:
            following = _step(problem, here, around, damping)
            damping = damping * 10 if following is None else max(damping / 10, WEAKEST)
            if not is_fresh or is_near:
                break
        if following is not None:
            here, steps = following, steps + 1
            if is_fresh or following.gain > TRUSTED:
                continue
        elif is_fresh and not (is_over or is_near) and (tighter := problem.tighter()) is not None:
            problem, damping = tighter, DAMPING
        elif is_fresh or (is_over and not stop.is_last):
            break
        origin, slopes = here.parameters, _checked_slopes(problem, here)
    # Where no step goes down although one should, the errors of the slopes are larger than the remaining gain.
    converged = has_settled or is_near
    return Descent(Mode(problem, here.parameters, here.residual, around, converged, steps), slopes)


def solved(curvature: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solution of a positive definite system `[n, n]` for right-hand sides `[n]` or `[n, k]`.

    Raises:
        FitError: If there is none.
    """
    # Scaled to a unit diagonal: precisions may differ by twenty digits, as those of exact pixels and of a prior do, but
    # no two directions may agree.
    size = np.sqrt(np.diag(curvature))
    try:
        with warnings.catch_warnings(action="error", category=LinAlgWarning):
            scaled = solve(curvature / np.outer(size, size), (right.T / size).T, assume_a="pos")
            return np.asarray((scaled.T / size).T)
    except (LinAlgError, LinAlgWarning):
        raise FitError(
            "The coefficients cannot be told apart along the trajectory.",
            got="a singular curvature",
            wanted="terms that differ",
            fix="leave one of them out",
        ) from None


def check_finite(curvature: np.ndarray) -> None:
    """Raise an `OutOfReachError` if a curvature, `[n, n]`, or a gradient, `[n]`, is not finite."""
    if not np.isfinite(curvature).all():
        raise OutOfReachError(
            "The trajectory diverges with the smallest change of its start.",
            got="slopes that overflow",
            wanted="an equation that is well-posed over these frames",
            fix="fewer frames, or check the signs of the coefficients",
        )


def check_slopes(problem: TrajectoryProblem, curvature: np.ndarray) -> None:
    """Raise a `FitError` if a curvature, `[n, n]`, is not finite, or flat along a coefficient."""
    check_finite(curvature)
    size = np.diag(curvature)[: problem.terms]
    if not (size > 0).all():
        raise FitError(
            "The trajectory does not depend on a coefficient.",
            got=", ".join(np.array(problem.equation.names)[~(size > 0)]),
            wanted="terms that are not zero along the trajectory",
            fix="leave the term out, or check the first frame",
        )


def distances(problem: TrajectoryProblem, around: Linearised) -> tuple[float, float]:
    """Squared distances from the optimum, in standard deviations: of all parameters, and of the coefficients.

    Raises:
        OutOfReachError: If the residual is so large that the gradient overflows.
    """
    check_finite(around.gradient)
    units = np.eye(problem.size)[:, : problem.terms]
    columns = solved(_curvature(problem, around), np.column_stack([around.gradient, units]))
    moved, covariance = columns[: problem.terms, 0], columns[: problem.terms, 1:]
    return float(around.gradient @ columns[:, 0]), float(moved @ np.linalg.solve(covariance, moved))


def _checked_slopes(problem: TrajectoryProblem, here: _Point) -> Slopes:
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = problem.slopes(here.parameters)
    check_slopes(problem, _curvature(problem, slopes))
    return slopes


def _curvature(problem: TrajectoryProblem, around: Linearised | Slopes) -> np.ndarray:
    """Of the objective, `[n, n]`."""
    return around.curvature + np.diag(problem.prior())


def _check_hope(problem: TrajectoryProblem, within_reach: float) -> None:
    if within_reach > problem.hopeless:
        raise FitError(
            "Another equation explains the pixels better.",
            got=f"an objective above {within_reach:.6g} nats",
            wanted=f"less than {problem.hopeless:.6g}",
            fix="none is needed; the other equation leads",
        )


def _is_near(distance: float, shift: float) -> bool:
    """Whether errors of the slopes may leave a point where it is."""
    return distance < FRESH**2 and shift < NEAR**2


def _length(problem: TrajectoryProblem, around: Slopes, move: np.ndarray) -> float:
    """Of a move, in standard deviations of all parameters together."""
    return math.sqrt(move @ _curvature(problem, around) @ move)


def _step(problem: TrajectoryProblem, here: _Point, around: Linearised, damping: float) -> _Point | None:
    """Where a damped step leads, if there is a trajectory and its objective is lower."""
    curvature, gradient = _curvature(problem, around), around.gradient
    move = solved(curvature + damping * np.diag(np.diag(curvature)), gradient)
    try:
        residual = problem.residual(here.parameters + move)
    except IntegrationError:
        return None
    value = problem.objective(residual, here.parameters + move)
    if not value < here.value:
        return None
    gain = (here.value - value) / float(gradient @ move - move @ curvature @ move / 2)
    return _Point(here.parameters + move, residual, value, gain)
