"""Residuals on a grid -> correlation of neighbouring samples."""

from __future__ import annotations

import numpy as np


def neighbour_correlation(residual: np.ndarray, axis: int, lag: int = 1) -> float:
    """Correlation of samples `lag` apart along an axis, about zero; NaN samples are left out, 0 where all vanish."""
    first, second = (np.take(residual, range(a, residual.shape[axis] - lag + a), axis) for a in (0, lag))
    scale = np.nanmean(residual**2)
    return float(np.nanmean(first * second) / scale) if scale > 0 else 0.0
