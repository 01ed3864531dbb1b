"""Residuals of frames -> how much of the noise is a displacement of the whole frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def displacement(observed: np.ndarray, derivatives: Sequence[np.ndarray]) -> dict[str, float | list[float]]:
    """Regress the residual of every frame on the gradient of its mean.

    A frame that is shifted by d differs from its mean by -d times the gradient, to first order.

    Args:
        observed: The field, time first; NaN where missing.
        derivatives: The smooth field, and its first derivative along every axis of space, in the same shape.

    Returns:
        `share` of the squared residuals that shifts of single frames explain, beyond what as many free numbers explain
        by chance, and `scale`: root mean square shift per axis, in its unit.
    """
    mean, *slopes = derivatives
    residual = np.where(np.isnan(observed), 0.0, observed - mean)
    gradient = np.stack([np.where(np.isnan(observed), 0.0, slope) for slope in slopes], axis=-1)
    gradient, residual = gradient.reshape(len(mean), -1, len(slopes)), residual.reshape(len(mean), -1)
    normal = np.einsum("tpi,tpj->tij", gradient, gradient)
    moment = np.einsum("tpi,tp->ti", gradient, residual)
    shifts = -np.einsum("tij,tj->ti", np.linalg.pinv(normal, hermitian=True), moment)
    explained = -float(np.sum(shifts * moment)) / max(float(np.sum(residual**2)), 1e-300)
    chance = shifts.size / max(int((~np.isnan(observed)).sum()), 1)
    share = max((explained - chance) / (1 - chance), 0.0) if chance < 1 else 0.0
    return {"share": share, "scale": [float(np.sqrt(np.mean(s**2))) for s in shifts.T]}
