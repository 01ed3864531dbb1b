"""A triangular factor and a ridge -> the factor of both."""

from __future__ import annotations

import numpy as np


def ridged(factor: np.ndarray, ridge: float) -> np.ndarray:
    """Triangular factor whose Gram matrix has `ridge` added to each term's diagonal element.

    Args:
        factor: Of unit-norm columns and the target, `[K+1, K+1]`, upper triangular, float64.
        ridge: Precision added to each column but the last, dimensionless; 0 leaves the factor as it is.

    Returns:
        `[K+1, K+1]`, upper triangular, float64.
    """
    if ridge == 0:
        return factor
    terms = factor.shape[1] - 1
    extra = np.sqrt(ridge) * np.eye(terms, terms + 1)
    return np.ascontiguousarray(np.linalg.qr(np.vstack([factor, extra]), mode="r"))
