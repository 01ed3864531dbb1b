"""Slopes of residuals in all parameters -> the normal equations of a least-squares problem."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Slopes(NamedTuple):
    """Of all residuals, white.

    Attributes:
        common: In parameters that all frames share, `[time, pixels, k]`.
        own: In displacements of a frame, `[time, pixels, a]`.
        curvature: Of half the squared residual, `[n, n]`.
        unwhitened: The curvature of residuals in units of the noise that are not made white, `[n, n]`.
    """

    common: np.ndarray
    own: np.ndarray
    curvature: np.ndarray
    unwhitened: np.ndarray


class Linearised(NamedTuple):
    """A problem around parameters `[n]`: coefficients first, then modes of the state, then displacements.

    Attributes:
        curvature: Of half the squared white residual, `[n, n]`.
        gradient: Its negative slope, `[n]`.
        unwhitened: The curvature of residuals in units of the noise that are not made white, `[n, n]`.
    """

    curvature: np.ndarray
    gradient: np.ndarray
    unwhitened: np.ndarray


def normal_matrix(common: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Products of slopes in `common` parameters, `[time, pixels, k]`, and in those of a frame, `[time, pixels, a]`."""
    flat, (frames, _, axes) = common.reshape(-1, common.shape[-1]), own.shape
    shared, count = flat.shape[1], flat.shape[1] + frames * axes
    total = np.zeros((count, count))
    total[:shared, :shared] = flat.T @ flat
    if axes:
        mixed = np.einsum("tpk,tpa->kta", common, own).reshape(shared, -1)
        total[:shared, shared:], total[shared:, :shared] = mixed, mixed.T
        for t, block in enumerate(np.einsum("tpa,tpb->tab", own, own)):
            here = slice(shared + t * axes, shared + (t + 1) * axes)
            total[here, here] = block
    return total


def normal_gradient(common: np.ndarray, own: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Products of the same slopes with residuals, `[time, pixels]`: `[n]`."""
    of_frames = np.einsum("tpk,tp->tk", own, residual).ravel()
    return np.concatenate([np.einsum("tpk,tp->k", common, residual), of_frames])
