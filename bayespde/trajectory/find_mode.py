"""A trajectory problem + first parameters -> the mode, with as many points in space as it needs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bayespde.core.errors import IntegrationError, OutOfReachError, StepLimitError
from bayespde.trajectory.gauss_newton import NEAR, Stop, descend, distances
from bayespde.trajectory.linearised import Slopes
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.problem import TrajectoryProblem

# First fits where the start has no trajectory over all frames: fewest frames, factors by which their number shrinks
# when there is no trajectory and has to grow from fit to fit, most fits, and most steps of each.
FEWEST_FRAMES, SHORTER, GROWTH, MAXIMUM_FITS, FIRST_STEPS = 8, 0.8, 1.05, 10, 5
# Mean squared white residual of a frame that a start is far from.
FAR = 3.0
# Factor by which the frames of first fits grow where the start is far from the later ones, and the whiteness score
# above which no more are added.
NEXT, ANOTHER_EQUATION = 1.3, 8.0
# Norm of the difference that more points may make before the mode is reached, over that of the residual.
ROUGH = 0.03
# Relative change of states by a tighter tolerance from which on their slopes may be astray.
ACCURATE = 3e-4
# Most points per pixel along an axis.
FINEST = 4
# Factor on the steps that a single trajectory may take, when it checks more points.
MORE_STEPS = 4


def find_mode(problem: TrajectoryProblem, start: np.ndarray, stop: Stop, *, retry: bool = True) -> Mode:
    """Find the mode of a trajectory's posterior, with states at as many points as it needs.

    The mode is accepted when 1.5 times as many points give the same: no parameter is off by a larger share of its
    standard deviation than all pixels together are of their noise. Beyond the number of pixels it is enough that more
    points do not move the coefficients: a term that dampens waves may stand for a front that is narrower than they.

    Args:
        problem: Of all frames, `resolved` at the start.
        start: Parameters to begin at, `[n]`.
        stop: When the search ends.
        retry: Whether the first frames may be fitted first.

    Returns:
        The mode, or where the search ended.

    Raises:
        IntegrationError: If there is no trajectory through all frames.
        FitError: If it does not depend on a coefficient, or on each alike.
        OutOfReachError: If the pixels do not resolve its states.
    """
    slopes = None
    while True:
        finer = problem.finer()
        try:
            begin = _longer(problem, start) if retry else start
            mode, slopes = descend(problem, begin, stop._replace(is_last=finer is None), slopes=slopes)
        except StepLimitError:
            raise
        except IntegrationError:
            # A steep front may diverge for want of points.
            if finer is None:
                raise
        else:
            if finer is None:
                following = _beyond_pixels(mode, slopes)
                if following is None:
                    return mode
                problem, start, retry, slopes = following, mode.parameters, False, None
                continue
            rough = ROUGH * float(np.linalg.norm(mode.residual))
            change = _change(mode, finer)
            if change < (NEAR if mode.converged else rough):
                # All that is left is to linearise the problem at the mode itself.
                return descend(mode.problem, mode.parameters, stop, slopes=slopes).mode
            start, retry = mode.parameters, False
            # With the accuracy of slopes that this mode took.
            finer = mode.problem.finer() or finer
            if change > rough:
                finer, slopes = finer.with_own_slopes(), None
        problem = finer


def _beyond_pixels(mode: Mode, slopes: Slopes) -> TrajectoryProblem | None:
    """The problem with more points than there are pixels, if these would move the coefficients of a mode.

    Raises:
        OutOfReachError: If they would, and are too many, although the mode explains the pixels.
    """
    if not mode.converged:
        return None
    finer = mode.problem.beyond_pixels()
    _, shift = distances(finer, finer.with_slopes(slopes, mode.parameters, finer.residual(mode.parameters)))
    if shift < NEAR**2:
        return None
    points, pixels = finer.resolution.grid.points, finer.observation.pixels.points
    if finer.is_affordable and all(p <= FINEST * n for p, n in zip(points, pixels, strict=True)):
        return finer.with_own_slopes()
    if mode.whiteness_score > ANOTHER_EQUATION:
        return None
    raise OutOfReachError(
        "States along the trajectory have fronts that are narrower than the pixels resolve.",
        got=f"coefficients that move by {math.sqrt(shift):.2g} standard deviations with {math.prod(points)} points",
        wanted=f"at most {NEAR}",
        fix="frames before the front steepens, field.isel(time=slice(0, 40)), or the weak form, "
        "discover(field, trajectory_matching='never')",
    )


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


def resolved(problem: TrajectoryProblem, start: np.ndarray) -> TrajectoryProblem:
    """With as many points as a fit needs to begin, and slopes as accurate: more change little."""
    while (finer := problem.finer()) is not None:
        try:
            residual = problem.residual(start)
            if _difference(residual, finer, start) < ROUGH * np.linalg.norm(residual):
                break
        except IntegrationError:
            return problem
        problem = finer.with_own_slopes()
    try:
        return _with_accurate_slopes(problem, start)
    except IntegrationError:
        return problem


def _with_accurate_slopes(problem: TrajectoryProblem, start: np.ndarray) -> TrajectoryProblem:
    """With a tolerance of which a tenth changes next to nothing of the states along which slopes are taken."""
    tolerance, states = problem.slope_tolerance, problem.tangent(start).states()
    while tolerance > problem.method.rtol:
        tolerance /= 10
        tighter = replace(problem, slope_tolerance=tolerance)
        before, states = states, tighter.tangent(start).states()
        if np.linalg.norm(states - before) < ACCURATE * np.linalg.norm(states - states.mean()):
            break
        problem = tighter
    return problem


def _difference(residual: np.ndarray, finer: TrajectoryProblem, parameters: np.ndarray) -> float:
    """Norm of the change of the predicted pixels on a finer grid, in units of their noise."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm(finer.observation.whiten(finer.residual(parameters) - residual)))


def _longer(problem: TrajectoryProblem, parameters: np.ndarray) -> np.ndarray:
    """Parameters that have a trajectory near all frames, by fits to the first frames, more and more of them.

    Where a negative state diverges, noise of the first frame is enough to cause it; fitting more frames removes that.
    Where trajectories diverge from each other, a start that is lost in late frames is near the early ones
    [voss2004].

    Raises:
        IntegrationError: If the trajectory cannot be made longer.
    """
    frames = count = len(problem.times)
    longest = fits = 0
    while True:
        part = problem if count == frames else problem.first_frames(count)
        try:
            residual = part.residual(parameters[: part.size])
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
            near = max(_frames_near(part, residual), math.ceil(NEXT * longest), FEWEST_FRAMES)
            if near >= frames or fits == MAXIMUM_FITS:
                return parameters
            part = problem.first_frames(near)
        # As near as a draw from the posterior of these frames.
        stop = Stop(FIRST_STEPS, part.size / 2, settled=math.inf, is_last=False)
        found = descend(part, parameters[: part.size], stop).mode
        parameters, longest, fits = problem.continued(found.parameters), len(part.times), fits + 1
        if found.whiteness_score > ANOTHER_EQUATION:
            # Another equation: its misfit shows over all frames.
            return parameters
        count = frames


def _frames_near(problem: TrajectoryProblem, residual: np.ndarray) -> int:
    """Number of first frames whose residuals are not much larger than the noise."""
    white = problem.observation.whiten(residual)
    pixels = np.maximum(problem.seen.sum(axis=1), 1)
    far = np.sum(white**2, axis=1) > FAR * pixels
    return int(np.argmax(far)) if far.any() else len(far)
