"""Smoothed field alone -> an errors-in-variables estimate: both sides of the weak form from the field itself.

Both sides then hold the smoother's error. What the pixel noise adds to the normal equations is known from the slopes of
the moments and is subtracted from them, as for errors in variables in general [fuller1987]; the interval follows from
the posterior of the field, to first order. It shares neither the raw left-hand side nor the conditioning with the main
estimate, and is the less precise of the two: where they disagree, one of the two noise models is wrong.
"""

from __future__ import annotations

import numpy as np

from bayespde.core.assembly_record import ErrorsInVariables
from bayespde.weak.assembler import Assembler
from bayespde.weak.condition import moment_slope
from bayespde.weak.smoother import GaussianSmoother, influential_modes
from bayespde.weak.test_functions import target_moments
from bayespde.weak.whitening import WhitenedRows


def errors_in_variables(assembler: Assembler, point: np.ndarray, on: np.ndarray) -> ErrorsInVariables:
    """Estimate the coefficients of one model from the smoothed field.

    Args:
        assembler: Holds the smoothed field and its moments on the wide test functions of the first iterations.
        point: The equation at which these are whitened, `[K]`, physical units.
        on: The model, `[K]`, bool, not empty.

    Returns:
        The estimate.
    """
    problem = assembler.first.restricted(on)
    smooth = problem.fields[0].smooth
    rows, variance = WhitenedRows(problem, point[on]), smooth.variance
    free = influential_modes(smooth, problem.test_functions, problem.orders())
    both, slopes = _sides(smooth, rows), _slopes(smooth, rows, free)
    # The smoother passes noise on with its shrinkage; its posterior variance is the noise's times that.
    noise = _noise(slopes, variance[free] ** 2 / smooth.noise_scale**2)
    scale = np.linalg.norm(both, axis=0)
    normal = (both / scale).T @ (both / scale)
    corrected = normal - noise / np.outer(scale, scale)
    is_corrected = bool(np.linalg.eigvalsh(corrected[:-1, :-1])[0] > 0)
    used = corrected if is_corrected else normal
    fit = np.linalg.solve(used[:-1, :-1], used[:-1, -1])
    residual = slopes[-1] / scale[-1] - sum(f * s / c for f, s, c in zip(fit, slopes, scale, strict=False))
    gain = np.linalg.solve(used[:-1, :-1], (both[:, :-1] / scale[:-1]).T @ residual)
    to_units = scale[-1] / scale[:-1]
    return ErrorsInVariables(
        terms=problem.library.names,
        coefficients=tuple((fit * to_units).tolist()),
        sd=tuple((np.sqrt(np.sum(gain**2 * variance[free], axis=1)) * to_units).tolist()),
        is_corrected=is_corrected,
    )


def _sides(smooth: GaussianSmoother, rows: WhitenedRows) -> np.ndarray:
    """White moments of the terms and, last, of the target, all from the smoothed field: `[m, k + 1]`."""
    problem = rows.problem
    field = smooth.evaluate((0,) * len(problem.shape))
    left = target_moments(field - field.mean(), problem.test_functions, problem.target_order)
    return rows.whiten(np.column_stack([problem.design, left[problem.kept]]))


def _slopes(smooth: GaussianSmoother, rows: WhitenedRows, free: np.ndarray) -> list[np.ndarray]:
    """Derivative of every white moment, the target's last, in the free coefficients of the field: `[m, free]` each."""
    count = len(rows.problem.library)
    target = rows.whiten(moment_slope(smooth, rows.problem, np.zeros(count), free))
    of_unit = (rows.whiten(moment_slope(smooth, rows.problem, unit, free)) for unit in np.eye(count))
    return [*(target - slope for slope in of_unit), target]


def _noise(slopes: list[np.ndarray], variance: np.ndarray) -> np.ndarray:
    """What independent noise in the free coefficients adds to the normal equations on average, `[k + 1, k + 1]`."""
    return np.array([[np.sum(a * variance * b) for b in slopes] for a in slopes])
