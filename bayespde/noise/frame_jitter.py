"""RESIDUALS OF FRAMES -> DISPLACEMENTS: how much of the noise is a shift of whole frames, and its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Regression(NamedTuple):
    """Residuals of every frame regressed on the gradient of the field.

    Attributes:
        steps: Least-squares displacements d of frames that show u(x + d), `[time, axis]`.
        normal: Squared gradients, `[time, axis, axis]`.
        moment: Products of gradient and residual, `[time, axis]`.
        share: Of the squared residuals that the displacements explain, those by chance included.
    """

    steps: np.ndarray
    normal: np.ndarray
    moment: np.ndarray
    share: float


class FrameShift(NamedTuple):
    """How much of the noise is a shift of whole frames.

    Attributes:
        share: Of the squared residuals that shifts of single frames explain, in excess of chance.
        scale: Root mean square shift per axis of space, in its unit.
    """

    share: float
    scale: tuple[float, ...]


def residual_and_gradient(observed: np.ndarray, derivatives: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The residual of a smooth field, and its gradient; 0 where the pixel is missing.

    Args:
        observed: The field, time first; NaN where missing.
        derivatives: The smooth field, and its first derivative along every axis of space, in the same shape.

    Returns:
        The residual, field shape, and the gradient, `[*field, axis]`.
    """
    mean, *slopes = derivatives
    present = ~np.isnan(observed)
    return np.where(present, observed - mean, 0.0), np.stack([np.where(present, s, 0.0) for s in slopes], axis=-1)


def regression(residual: np.ndarray, gradient: np.ndarray) -> Regression:
    """Regress the residual of every frame on its gradient; arguments as `residual_and_gradient` returns them."""
    flat, values = gradient.reshape(len(gradient), -1, gradient.shape[-1]), residual.reshape(len(residual), -1)
    normal, moment = np.einsum("tpi,tpj->tij", flat, flat), np.einsum("tpi,tp->ti", flat, values)
    steps = np.einsum("tij,tj->ti", np.linalg.pinv(normal, hermitian=True), moment)
    share = float(np.sum(steps * moment)) / max(float(np.sum(residual**2)), 1e-300)
    return Regression(steps, normal, moment, share)


def frame_shift(observed: np.ndarray, derivatives: Sequence[np.ndarray]) -> FrameShift:
    """Regress the residual of every frame on the gradient of its mean, and correct for the share explained by chance.

    Args:
        observed: The field, time first; NaN where missing.
        derivatives: The smooth field, and its first derivative along every axis of space, in the same shape.

    Returns:
        The share of the shifts, and their size.
    """
    found = regression(*residual_and_gradient(observed, derivatives))
    chance = found.steps.size / max(int((~np.isnan(observed)).sum()), 1)
    share = max((found.share - chance) / (1 - chance), 0.0) if chance < 1 else 0.0
    return FrameShift(share, tuple(float(np.sqrt(np.mean(s**2))) for s in found.steps.T))
