"""Residuals of a smoothed field -> the correlation of neighbouring pixels in space."""

from __future__ import annotations

import numpy as np

from bayespde.core.neighbours import neighbour_correlation

# Correlation of neighbours below which noise counts as white, and the lags at which it is measured.
NOTICEABLE_CORRELATION = 0.05
NEGLIGIBLE_CORRELATION = 0.01
LAG_ERRORS = 4.0
MAXIMUM_LAGS = 24


def rough_scale(residual: np.ndarray) -> float:
    """Standard deviation of what changes from sample to sample, by third differences along the axis with the smallest.

    Args:
        residual: NaN where missing; at least four samples along an axis.
    """
    thirds = [np.diff(residual, 3, axis=a) for a in range(residual.ndim) if residual.shape[a] > 3]
    return float(min(np.sqrt(np.nanmean(d**2) / np.sum(np.square([1, 3, 3, 1]))) for d in thirds))


def correlated_noise(residual: np.ndarray) -> tuple[float, tuple[np.ndarray, ...]]:
    """Estimate the correlation of neighbouring pixels in space, as a product over the axes.

    The smoother has removed slow noise from its residuals, and what it removed is slow in time too. So differences of
    consecutive frames are used: they hold the noise of two frames, and next to nothing of that.

    Args:
        residual: Raw minus smoothed field, NaN where missing, `[time, ...]`.

    Returns:
        Standard deviation of a pixel, and per axis of space the correlations from lag 0 to the first that is not
        significant and counts as 0; `[1.]` where the correlation of neighbours is below 0.05. The last one is not 0
        where the noise is correlated over more lags than are measured.
    """
    steps = np.diff(residual, axis=0) / np.sqrt(2.0)
    count = max(int(np.sum(~np.isnan(steps))), 1)
    correlations = []
    for axis in range(1, steps.ndim):
        lags = min(MAXIMUM_LAGS, steps.shape[axis] // 8)
        found = np.array([neighbour_correlation(steps, axis, d) for d in range(lags + 1)])
        # Bartlett's error of a correlation; each step shares a frame with the next.
        error = np.sqrt(1.5 * (2 * np.cumsum(found**2) - 1) / count)
        small = np.flatnonzero(np.abs(found[1:]) < np.maximum(LAG_ERRORS * error[:-1], NEGLIGIBLE_CORRELATION))
        is_white = lags == 0 or 0 in small or abs(found[1]) < NOTICEABLE_CORRELATION
        known = np.append(found[: small[0] + 1], 0.0) if len(small) else found
        correlations.append(np.ones(1) if is_white else known)
    return float(np.sqrt(np.nanmean(steps**2))), tuple(correlations)
