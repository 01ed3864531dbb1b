"""A least-squares problem over trajectories + parameters -> a mode, by damped Gauss-Newton steps.

Sensitivities come from a batch of neighbouring trajectories, which share their steps, so that differences between them
are free of the integrator's choices.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import LinAlgError, LinAlgWarning, solve

from bayespde.core.errors import FitError, IntegrationError
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.problem import TrajectoryProblem

DAMPING, WEAKEST, STRONGEST = 1e-3, 1e-10, 1e8
# Distance from the optimum, in units of the noise, that errors of the integrator may leave.
NEAR = 0.3


def gauss_newton(problem: TrajectoryProblem, parameters: np.ndarray, *, iterations: int, tolerance: float) -> Mode:
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
    # Where no step goes down although one should, the errors of the integrator are larger than the remaining gain.
    return Mode(problem, parameters, residual, around, converged or distance < NEAR**2, steps)


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
    """Raise a `FitError` if a curvature, `[n, n]`, is not finite."""
    if not np.isfinite(curvature).all():
        raise FitError(
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


def _lower(problem: TrajectoryProblem, parameters: np.ndarray, value: float) -> np.ndarray | None:
    """The residual, if there is a trajectory and its objective is below a value."""
    try:
        residual = problem.residual(parameters)
    except IntegrationError:
        return None
    return residual if problem.objective(residual, parameters) < value else None
