"""Rows of a linear problem -> their triangular factor, which has the same Gram matrix."""

from __future__ import annotations

import numpy as np


def triangular_factor(rows: np.ndarray) -> np.ndarray:
    """Upper triangular R with `R'R = rows' rows` and a non-negative diagonal, by Householder reflections.

    The sign of a row of R that a QR decomposition returns depends on rounding; here it is fixed.

    Args:
        rows: `[n, k]`, float64; factors of several blocks are joined by stacking their rows.

    Returns:
        `[k, k]`, float64; with zero rows at the end where n < k.
    """
    size = rows.shape[1]
    triangle: np.ndarray = np.asarray(np.linalg.qr(rows, mode="r"))
    triangle = triangle * np.where(np.diagonal(triangle) < 0, -1.0, 1.0)[:, None]
    return np.vstack([triangle, np.zeros((size - len(triangle), size))]) if len(triangle) < size else triangle


def ridged(factor: np.ndarray, ridge: float) -> np.ndarray:
    """Triangular factor whose Gram matrix has `ridge` added to the diagonal element of each term.

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
    return np.ascontiguousarray(triangular_factor(np.vstack([factor, extra])))
