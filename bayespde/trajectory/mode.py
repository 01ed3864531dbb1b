"""A least-squares problem over trajectories -> where its posterior is largest.

Gauss-Newton with sensitivities from a batch of neighbouring trajectories, which share their steps, so that differences
between them are free of the integrator's choices.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, LinAlgWarning, solve

from bayespde.core.errors import FitError, IntegrationError, StepLimitError
from bayespde.trajectory.problem import Linearised, TrajectoryProblem
from bayespde.trajectory.whiteness import whiteness_score

# Frames of a first fit where the start has no trajectory over all: at least so many, each time fewer, and no less more,
# in at most so many fits of so many steps.
FEWEST_FRAMES, SHORTER, GROWTH, MOST_FITS, FIRST_STEPS = 8, 0.8, 1.05, 10, 5
# Frames of a first fit to a window, by how many times they grow; most steps of each, nats that may be left, and the
# score with which they grow no more.
WINDOW_FRAMES, WINDOW_GROWTH = 10, 1.3
WINDOW_STEPS, WINDOW_TOLERANCE, WINDOW_SCORE = 8, 0.5, 8.0
# Score of what is left beyond which a trajectory is so far off that nothing along it can be believed.
REJECT_SCORE = 20.0
# Norm of the difference that more points may make: at a mode in units of the noise, before it over the residual's.
FAITHFUL, ROUGH = 0.3, 0.03
# Times the steps of a fit that a look at more points may take.
PATIENCE = 4
DAMPING, WEAKEST, STRONGEST = 1e-3, 1e-10, 1e8


@dataclass(frozen=True, eq=False)
class Mode:
    """Where the posterior of a trajectory is largest.

    Attributes:
        problem: With slopes as exact as they had to be.
        parameters: At the mode, `[n]`.
        residual: In units of the noise, `[time, pixels]`.
        around: The problem linearised there.
        converged: Whether the objective had stopped changing.
        steps: Gauss-Newton steps that were taken.
    """

    problem: TrajectoryProblem
    parameters: np.ndarray
    residual: np.ndarray
    around: Linearised
    converged: bool
    steps: int

    @cached_property
    def whiteness_score(self) -> float:
        """Score by which the residual is slower than noise."""
        return whiteness_score(self.residual, self.problem.window)

    @cached_property
    def denoised_curvature(self) -> np.ndarray:
        """Parameters where no wave of the state is larger than it is without its noise, `[n]`.

        What a wave says about coefficients grows with its square, and the square of a fitted wave is that of the wave
        plus the variance of its error. Where waves turn or decay quickly, many that hardly are there would seem to say
        more than all others.
        """
        problem = self.problem
        modes = slice(problem.terms, problem.shared)
        _, wave = np.unique(problem.basis.wave, return_inverse=True)
        # Where only a window is seen, ignorance of what is beyond is no noise.
        whole = problem.everywhere()
        around = self.around if whole is problem else whole.linearised(self.parameters, np.zeros_like(whole.observed))
        variance = np.diag(np.linalg.inv(around.curvature + np.diag(problem.prior())))[modes]
        noise, square = np.bincount(wave, variance), np.bincount(wave, self.parameters[modes] ** 2)
        parameters = self.parameters.copy()
        parameters[modes] *= np.sqrt(np.maximum(1 - noise / np.maximum(square, 1e-300), 0.0))[wave]
        return parameters


def find_mode(
    problem: TrajectoryProblem, start: np.ndarray, *, iterations: int, tolerance: float, patient: bool = True
) -> Mode:
    """Find the mode of a trajectory's posterior, with states at as many points as it needs.

    The mode is believed when half as many points again show the same: no parameter is off by a larger share of its
    standard deviation than all pixels together are of their noise.

    Args:
        problem: Of all frames.
        start: Parameters to begin at, `[n]`.
        iterations: Most Gauss-Newton steps.
        tolerance: Change of the objective, in nats, below which it has converged.
        patient: Whether first frames may be fitted first.

    Returns:
        The mode, or where the search ended.

    Raises:
        IntegrationError: If there is no trajectory through all frames.
        FitError: If it does not depend on a coefficient, or on each alike; if what enters a window cannot have been
            beyond it.
    """
    problem = _resolved(problem, start)
    while True:
        finer = problem.finer()
        try:
            begun = start
            if patient:
                begun = _entered(problem, start) if problem.is_window else _begun(problem, start, tolerance)
            mode = _gauss_newton(problem, begun, iterations=iterations, tolerance=tolerance)
        except StepLimitError:
            raise
        except IntegrationError:
            # What steepens may run away for want of points.
            if finer is None:
                raise
        else:
            allowed = FAITHFUL if mode.converged else ROUGH * float(np.linalg.norm(mode.residual))
            if finer is None or _shows_no_more(mode, finer, allowed):
                return mode
            start, patient = mode.parameters, False
        problem = finer


def _shows_no_more(mode: Mode, finer: TrajectoryProblem, allowed: float) -> bool:
    """Whether more points make no difference, or cannot be asked at a place that is no mode."""
    try:
        return _difference(mode.residual, _patient(finer), mode.parameters) < allowed
    except IntegrationError:
        if mode.converged:
            raise
        return True


def _resolved(problem: TrajectoryProblem, start: np.ndarray) -> TrajectoryProblem:
    """With as many points as a fit can begin with: more change little of what it has to explain."""
    while (finer := problem.finer()) is not None:
        try:
            residual = problem.residual(start)
            if _difference(residual, finer, start) < ROUGH * np.linalg.norm(residual):
                break
        except IntegrationError:
            break
        problem = finer
    return problem


def _patient(problem: TrajectoryProblem) -> TrajectoryProblem:
    """The same, for one look: a single trajectory takes a small part of the time of all that a step of a fit needs."""
    return replace(problem, method=replace(problem.method, maximum_steps=PATIENCE * problem.method.maximum_steps))


def _difference(residual: np.ndarray, finer: TrajectoryProblem, parameters: np.ndarray) -> float:
    """Norm of what the pixels show otherwise on a finer grid, in units of their noise."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm(finer.whiten(finer.residual(parameters) - residual)))


def _begun(problem: TrajectoryProblem, parameters: np.ndarray, tolerance: float) -> np.ndarray:
    """Parameters that have a trajectory over all frames, by fits to the first frames, more and more of them.

    Where a state below zero runs away, noise of the pilot is enough; pixels that are seen for longer put that right.

    Raises:
        IntegrationError: If the trajectory cannot be made longer.
    """
    frames = count = len(problem.times)
    longest = fits = 0
    while True:
        part = problem if count == frames else problem.until(count)
        try:
            part.residual(parameters[: part.size])
        except StepLimitError:
            raise
        except IntegrationError as error:
            # No longer than before, too short for a fit, or too slow; the same start would come no further again.
            reached = int(np.searchsorted(problem.times, error.time))
            if count <= max(longest * GROWTH, FEWEST_FRAMES) or fits == MOST_FITS or reached < FEWEST_FRAMES:
                raise
            count = max(min(int(count * SHORTER), reached), FEWEST_FRAMES)
            continue
        if count == frames:
            return parameters
        found = _gauss_newton(part, parameters[: part.size], iterations=FIRST_STEPS, tolerance=tolerance)
        parameters, longest, count, fits = problem.continued(found.parameters), count, frames, fits + 1


def _entered(problem: TrajectoryProblem, parameters: np.ndarray) -> np.ndarray:
    """Parameters of a window by fits to more and more frames: what was far beyond enters late.

    Raises:
        FitError: If that leaves what is no noise.
        IntegrationError: If the trajectory cannot be made longer.
    """
    frames, count = len(problem.times), WINDOW_FRAMES
    while count < frames:
        part = problem.until(count)
        found = _gauss_newton(part, parameters[: part.size], iterations=WINDOW_STEPS, tolerance=WINDOW_TOLERANCE)
        if found.whiteness_score > REJECT_SCORE:
            raise FitError(
                "What enters the window cannot have been beyond it.",
                got=f"{found.whiteness_score:.0f} standard deviations left after {count} frames",
                wanted="noise",
                fix="a wider TrajectoryConfig(padding=...), or another equation",
            )
        parameters, count = problem.continued(found.parameters), math.ceil(WINDOW_GROWTH * count)
        if found.whiteness_score > WINDOW_SCORE:
            # Another equation: how far off it is shows over all frames.
            break
    return parameters


def _gauss_newton(problem: TrajectoryProblem, parameters: np.ndarray, *, iterations: int, tolerance: float) -> Mode:
    """Damped steps [levenberg1944] until an undamped one would gain next to nothing."""
    damping, prior, residual = DAMPING, np.diag(problem.prior()), problem.residual(parameters)
    for steps in range(iterations + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            around = problem.linearised(parameters, residual)
        curvature, gradient = around.curvature + prior, around.gradient
        check_slopes(problem, curvature)
        distance = float(gradient @ solved(curvature, gradient))
        converged = distance < 2 * tolerance
        value, following = problem.objective(residual, parameters), None
        while not converged and steps < iterations and following is None and damping < STRONGEST:
            damped = curvature + damping * np.diag(np.diag(curvature))
            moved = parameters + solved(damped, gradient)
            following = _lower(problem, moved, value)
            damping = damping * 10 if following is None else max(damping / 10, WEAKEST)
        if following is not None:
            parameters, residual = moved, following
        elif not converged and steps < iterations and (tighter := problem.tighter()) is not None:
            problem, damping = tighter, DAMPING
        else:
            break
    # Where no step goes down although one should, the errors of the integrator are larger than what is left to gain.
    return Mode(problem, parameters, residual, around, converged or distance < FAITHFUL**2, steps)


def solved(curvature: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solution of a positive definite system `[n, n]` for right-hand sides `[n]` or `[n, k]`.

    Raises:
        FitError: If there is none.
    """
    # To a unit diagonal: that precisions differ by twenty digits, as those of exact pixels and of a prior do, is no
    # trouble; that directions agree is.
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
    """Raise a `FitError` if a curvature, `[n, n]`, is not finite."""
    if not np.isfinite(curvature).all():
        raise FitError(
            "The trajectory runs away with the smallest change of its start.",
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
            fix="leave the term out, or check the pilot",
        )


def _lower(problem: TrajectoryProblem, parameters: np.ndarray, value: float) -> np.ndarray | None:
    """The residual, if there is a trajectory and its objective is below a value."""
    try:
        residual = problem.residual(parameters)
    except IntegrationError:
        return None
    return residual if problem.objective(residual, parameters) < value else None
