"""Residuals + values -> shot noise: a variance linear in the value, that of counts on top of a constant."""

from __future__ import annotations

import numpy as np

from bayespde.noise.variance_functions import FittedVariance

# Least variance of a pixel as a share of the mean, and number of reweighted fits.
SMALLEST_SHARE = 0.05
REWEIGHTINGS = 5


def fit(residual: np.ndarray, value: np.ndarray, *, redundancy: float = 1.0) -> FittedVariance:
    """Fit the variance a + b v to squared residuals, whose error is proportional to it, by reweighted least squares.

    Args:
        residual: NaN where missing, any shape.
        value: Of the smoothed field at the same pixels.
        redundancy: Number of pixels per independent one, where the noise of neighbours is correlated.

    Returns:
        The variance at every pixel, at least 5 % of its mean, and the gain b, units of the field.
    """
    seen = ~np.isnan(residual)
    square, centred = residual[seen] ** 2, value - value[seen].mean()
    mean, gain, error = float(square.mean()), 0.0, np.inf
    variance = np.full(value.shape, mean)
    if not mean > 0 or not np.ptp(centred[seen]) > 0:
        return FittedVariance(variance, {"gain": 0.0}, 0.0)
    for _ in range(REWEIGHTINGS):
        weight = 1.0 / variance[seen] ** 2
        middle = np.average(centred[seen], weights=weight)
        offset = np.average(square, weights=weight)
        spread = float(np.sum(weight * (centred[seen] - middle) ** 2))
        gain = float(np.sum(weight * (centred[seen] - middle) * square)) / spread
        error = float(np.sqrt(2.0 * redundancy / spread))
        variance = np.maximum(offset + gain * (centred - middle), SMALLEST_SHARE * mean)
    return FittedVariance(variance, {"gain": gain}, gain / error)
