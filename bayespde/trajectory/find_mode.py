"""A trajectory problem + first parameters -> the mode, with as many points in space as it needs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bayespde.core.errors import FitError, IntegrationError, StepLimitError
from bayespde.trajectory.gauss_newton import NEAR, descend
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.problem import TrajectoryProblem
from bayespde.trajectory.whiteness import REJECT_SCORE

# First fits where the start has no trajectory over all frames: fewest frames, factors by which their number shrinks
# when there is no trajectory and has to grow from fit to fit, most fits, and most steps of each.
FEWEST_FRAMES, SHORTER, GROWTH, MAXIMUM_FITS, FIRST_STEPS = 8, 0.8, 1.05, 10, 5
# First fits to a window: frames of the first one, and factor by which they grow; most steps of each, nats within which
# it has converged, and the whiteness score above which no more frames are added.
WINDOW_FRAMES, WINDOW_GROWTH = 10, 1.3
WINDOW_STEPS, WINDOW_TOLERANCE, WINDOW_SCORE = 4, 1.0, 8.0
# Norm of the difference that more points may make before the mode is reached, over that of the residual.
ROUGH = 0.03
# Factor on the steps that a single trajectory may take, when it checks more points.
MORE_STEPS = 4


def find_mode(
    problem: TrajectoryProblem, start: np.ndarray, *, iterations: int, tolerance: float, retry: bool = True
) -> Mode:
    """Find the mode of a trajectory's posterior, with states at as many points as it needs.

    The mode is accepted when 1.5 times as many points give the same: no parameter is off by a larger share of its
    standard deviation than all pixels together are of their noise.

    Args:
        problem: Of all frames.
        start: Parameters to begin at, `[n]`.
        iterations: Most Gauss-Newton steps.
        tolerance: Change of the objective, in nats, below which it has converged.
        retry: Whether the first frames may be fitted first.

    Returns:
        The mode, or where the search ended.

    Raises:
        IntegrationError: If there is no trajectory through all frames.
        FitError: If it does not depend on a coefficient, or on each alike; if what enters a window cannot have been
            beyond it.
    """
    problem, slopes = _resolved(problem, start), None
    while True:
        finer = problem.finer()
        try:
            begin = _begun(problem, start, tolerance) if retry else start
            mode, slopes = descend(
                problem, begin, iterations=iterations, tolerance=tolerance, slopes=slopes, is_last=finer is None
            )
        except StepLimitError:
            raise
        except IntegrationError:
            # A steep front may diverge for want of points.
            if finer is None:
                raise
        else:
            if finer is None:
                return mode
            rough = ROUGH * float(np.linalg.norm(mode.residual))
            change = _change(mode, finer)
            if change < (NEAR if mode.converged else rough):
                # All that is left is to linearise the problem at the mode itself.
                return descend(
                    mode.problem, mode.parameters, iterations=iterations, tolerance=tolerance, slopes=slopes
                ).mode
            start, retry = mode.parameters, False
            # With the accuracy of slopes that this mode took.
            finer = mode.problem.finer() or finer
            if change > rough:
                finer, slopes = finer.with_own_slopes(), None
        problem = finer


def _change(mode: Mode, finer: TrajectoryProblem) -> float:
    """Norm of the change by more points, in units of the noise; 0 where they cannot be tried away from a mode."""
    # One trajectory takes a small part of the time of a step of a fit.
    patient = replace(finer, method=replace(finer.method, maximum_steps=MORE_STEPS * finer.method.maximum_steps))
    try:
        return _difference(mode.residual, patient, mode.parameters)
    except IntegrationError:
        if mode.converged:
            raise
        return 0.0


def _resolved(problem: TrajectoryProblem, start: np.ndarray) -> TrajectoryProblem:
    """With as many points as a fit needs to begin: more change little of the residual."""
    while (finer := problem.finer()) is not None:
        try:
            residual = problem.residual(start)
            if _difference(residual, finer, start) < ROUGH * np.linalg.norm(residual):
                break
        except IntegrationError:
            break
        problem = finer.with_own_slopes()
    return problem


def _difference(residual: np.ndarray, finer: TrajectoryProblem, parameters: np.ndarray) -> float:
    """Norm of the change of the predicted pixels on a finer grid, in units of their noise."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm(finer.observation.whiten(finer.residual(parameters) - residual)))


def _begun(problem: TrajectoryProblem, start: np.ndarray, tolerance: float) -> np.ndarray:
    """Parameters from which all frames can be fitted, by fits to the first ones."""
    if problem.observation.is_window:
        return _growing_window(problem, start)
    return _longer(problem, start, tolerance)


def _longer(problem: TrajectoryProblem, parameters: np.ndarray, tolerance: float) -> np.ndarray:
    """Parameters that have a trajectory over all frames, by fits to the first frames, more and more of them.

    Where a negative state diverges, noise of the first frame is enough to cause it; fitting more frames removes that.

    Raises:
        IntegrationError: If the trajectory cannot be made longer.
    """
    frames = count = len(problem.times)
    longest = fits = 0
    while True:
        part = problem if count == frames else problem.first_frames(count)
        try:
            part.residual(parameters[: part.size])
        except StepLimitError:
            raise
        except IntegrationError as error:
            # No longer than before, too short for a fit, or too slow; the same start would come no further again.
            reached = int(np.searchsorted(problem.times, error.time))
            if count <= max(longest * GROWTH, FEWEST_FRAMES) or fits == MAXIMUM_FITS or reached < FEWEST_FRAMES:
                raise
            count = max(min(int(count * SHORTER), reached), FEWEST_FRAMES)
            continue
        if count == frames:
            return parameters
        found = descend(part, parameters[: part.size], iterations=FIRST_STEPS, tolerance=tolerance, is_last=False).mode
        parameters, longest, count, fits = problem.continued(found.parameters), count, frames, fits + 1


def _growing_window(problem: TrajectoryProblem, parameters: np.ndarray) -> np.ndarray:
    """Parameters of a window by fits to more and more frames: what was far beyond enters late.

    Raises:
        FitError: If that leaves residuals that are no noise.
        IntegrationError: If the trajectory cannot be made longer.
    """
    frames, count = len(problem.times), WINDOW_FRAMES
    while count < frames:
        part = problem.first_frames(count)
        found = descend(
            part, parameters[: part.size], iterations=WINDOW_STEPS, tolerance=WINDOW_TOLERANCE, is_last=False
        ).mode
        if found.whiteness_score > REJECT_SCORE:
            raise FitError(
                "What enters the window cannot have been beyond it.",
                got=f"residuals {found.whiteness_score:.0f} standard deviations from noise after {count} frames",
                wanted="noise",
                fix="a wider TrajectoryConfig(padding=...), or another equation",
            )
        parameters, count = problem.continued(found.parameters), math.ceil(WINDOW_GROWTH * count)
        if found.whiteness_score > WINDOW_SCORE:
            # Another equation: its misfit shows over all frames.
            break
    return parameters
