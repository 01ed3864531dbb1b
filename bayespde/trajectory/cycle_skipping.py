"""Curvatures of a trajectory -> the share of what is known of its coefficients that comes from waves lost in noise.

Where waves turn or decay quickly, those that are mostly noise seem to hold more information than all others, and each
has local optima of its own (cycle skipping [virieux2009]).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, eigvalsh

from bayespde.core.errors import FitError, IntegrationError, OutOfReachError
from bayespde.trajectory.problem import TrajectoryProblem

# Share of the information that is not from noise below which coefficients are not determined.
NOTHING = 1e-3
# Share of it, as foreseen at the start of a fit, that may be from noise; after it, less is trusted.
FORESEEN = 0.4
# Square of a wave over that of its noise above which it stands out.
STANDS_OUT = 2.0


def information(curvature: np.ndarray, prior: np.ndarray, terms: int) -> np.ndarray:
    """Of the coefficients, `[terms, terms]`, all else integrated over.

    Args:
        curvature: Of the misfit, `[n, n]`, the coefficients first.
        prior: Precision of all parameters, `[n, n]`.
        terms: Number of coefficients.
    """
    inner, mixed = (curvature + prior)[terms:, terms:], curvature[terms:, :terms]
    return np.asarray(curvature[:terms, :terms] - mixed.T @ np.linalg.solve(inner, mixed))


def least_share(denoised: np.ndarray, noisy: np.ndarray) -> float:
    """Smallest share of the information, in any direction, that is not from noise.

    Args:
        denoised: Information with waves as large as they are without their noise, `[terms, terms]`.
        noisy: With waves as they are fitted, `[terms, terms]`.

    Raises:
        FitError: If it is next to nothing.
    """
    try:
        share = float(eigvalsh(denoised, noisy)[0])
    except LinAlgError:
        share = 0.0
    if not share > NOTHING:
        raise FitError(
            "The pixels do not determine a coefficient.",
            got="no wave of the initial state is larger than its error, or terms that cannot be told apart",
            wanted="a field that stands out of its noise, and terms that differ along the trajectory",
            fix="fewer terms, or less noise",
        )
    return share


def check_foreseen_share(problem: TrajectoryProblem, start: np.ndarray, draws: np.ndarray) -> None:
    """Refuse a fit whose information would mostly come from noise.

    Waves of the start are taken as large as they are without their noise; once more with as much noise as a fit to all
    frames leaves.

    Args:
        problem: Of all frames.
        start: Where the fit begins, `[n]`.
        draws: Of the first frame over the domain, from the smoother's posterior, `[draws, *domain]`.

    Raises:
        OutOfReachError: If it would.
    """
    modes = slice(problem.terms, problem.shared)
    error = np.stack([problem.start(d)[modes] for d in draws]) - start[modes]
    denoised = problem.denoised(start, STANDS_OUT * np.mean(error**2, axis=0))
    prior = np.diag(problem.prior())
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            curvature = problem.slopes(denoised).curvature
            left = np.sqrt(np.diag(np.linalg.inv(curvature + prior))[modes])
            noisy = denoised.copy()
            # Signs alternate: what counts is the size.
            noisy[modes] += left * (-1.0) ** np.arange(len(left))
            shares = [information(c, prior, problem.terms) for c in (curvature, problem.slopes(noisy).curvature)]
    except (IntegrationError, np.linalg.LinAlgError):
        return
    if not all(np.isfinite(s).all() for s in shares):
        return
    lost = 1 - least_share(*shares)
    if lost > FORESEEN:
        raise OutOfReachError(
            "The likelihood along trajectories has many local maxima.",
            got=f"{lost:.0%} of the information would come from waves of the initial state that are lost in noise",
            wanted=f"at most {FORESEEN:.0%}",
            fix="less noise, or the weak form: trajectory_matching='never'",
        )
