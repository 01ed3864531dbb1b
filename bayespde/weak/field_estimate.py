"""Smooth field alone -> a second estimate of the coefficients: both sides of the weak form from the field itself.

Both sides then hold the smoother's error. What the pixel noise adds to the normal equations is known from the slopes of
the moments and is taken out of them, as for errors in variables in general [fuller1987]; the interval follows from the
posterior of the field, to first order. It shares neither the raw left-hand side nor the constraint with the first
estimate, and is the less precise of the two: where they disagree, one of the two descriptions of the noise is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayespde.weak.assembler import Assembler
from bayespde.weak.condition import moment_slope
from bayespde.weak.moments import target_moments
from bayespde.weak.smoother import GaussianSmoother, influential_modes
from bayespde.weak.whitening import WhitenedRows


def field_estimate(assembler: Assembler, pilot: np.ndarray, on: np.ndarray) -> dict[str, Any]:
    """Estimate the coefficients of one configuration from the smooth field.

    Args:
        assembler: Holds the smooth field and its moments on the pilot's wide test functions.
        pilot: The equation at which these are whitened, `[K]`, physical units.
        on: The configuration, `[K]`, bool, not empty.

    Returns:
        `terms`, `coefficients` and `sd` in physical units, and `is_corrected`: whether what is left of the normal
        equations without the noise is positive definite; if not, the noise is left in.
    """
    problem, smooth = assembler.first.restricted(on), assembler.smooth
    rows, variance = WhitenedRows(problem, pilot[on]), smooth.variance
    free = influential_modes(smooth, problem.windows, problem.orders)
    both, slopes = _sides(smooth, rows), _slopes(smooth, rows, free)
    # The smoother passes noise on with its shrinkage; its posterior variance is the noise's times that.
    noise = _noise(slopes, variance[free] ** 2 / smooth.noise_scale**2)
    scale = np.linalg.norm(both, axis=0)
    normal = (both / scale).T @ (both / scale)
    cleaned = normal - noise / np.outer(scale, scale)
    is_corrected = bool(np.linalg.eigvalsh(cleaned[:-1, :-1])[0] > 0)
    used = cleaned if is_corrected else normal
    fit = np.linalg.solve(used[:-1, :-1], used[:-1, -1])
    residual = slopes[-1] / scale[-1] - sum(f * s / c for f, s, c in zip(fit, slopes, scale, strict=False))
    gain = np.linalg.solve(used[:-1, :-1], (both[:, :-1] / scale[:-1]).T @ residual)
    to_units = scale[-1] / scale[:-1]
    return {
        "terms": list(problem.library.names),
        "coefficients": (fit * to_units).tolist(),
        "sd": (np.sqrt(np.sum(gain**2 * variance[free], axis=1)) * to_units).tolist(),
        "is_corrected": is_corrected,
    }


def _sides(smooth: GaussianSmoother, rows: WhitenedRows) -> np.ndarray:
    """White moments of the terms and, last, of the target, all from the smooth field: `[m, k + 1]`."""
    problem = rows.problem
    field = smooth.evaluate((0,) * len(problem.windows))
    left = target_moments(field - field.mean(), problem.windows, problem.target_order)
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
