"""Slopes of states and of displaced frames in all parameters -> the normal equations of a least-squares problem."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayespde.trajectory.observation import Observation

# Frames whose slopes are at the pixels at a time.
FRAMES_TOGETHER = 8


class Slopes(NamedTuple):
    """How frames move with the parameters.

    Attributes:
        common: Of states in parameters that all frames share, at points, `[time, k, *points]`.
        own: Of white pixels in the displacements of their frame, `[time, a, pixels]`.
        curvature: Of half the squared white residual, `[n, n]`.
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
        gradient: Its negative slope, and that of the prior, `[n]`.
        unwhitened: The curvature of residuals in units of the noise that are not made white, `[n, n]`.
    """

    curvature: np.ndarray
    gradient: np.ndarray
    unwhitened: np.ndarray


def normal_matrix(observation: Observation, common: np.ndarray, own: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Products of the slopes of white pixels, `[n, n]`.

    Args:
        observation: How states become pixels.
        common: Slopes of states, `[time, k, *points]`.
        own: Slopes of white pixels in the displacements of their frame, `[time, a, pixels]`.
        moved: Displacements, `[time, axis]`, physical lengths.
    """
    shared, (frames, axes) = common.shape[1], own.shape[:2]
    total = np.zeros((shared + frames * axes,) * 2)
    for first in range(0, frames, FRAMES_TOGETHER):
        rows = observation.rows(common, moved, slice(first, first + FRAMES_TOGETHER))
        for t, row in enumerate(rows, start=first):
            total[:shared, :shared] += row @ row.T
            if axes:
                here = slice(shared + t * axes, shared + (t + 1) * axes)
                total[:shared, here] = row @ own[t].T
                total[here, :shared] = total[:shared, here].T
                total[here, here] = own[t] @ own[t].T
    return total


def normal_gradient(slopes: Slopes, white: np.ndarray, transposed: np.ndarray) -> np.ndarray:
    """Products of slopes with a white residual `[time, pixels]`, which is `[time, *points]` at the points: `[n]`."""
    frames, shared = slopes.common.shape[:2]
    carried = transposed.reshape(frames, -1, 1).astype(slopes.common.dtype)
    common = slopes.common.reshape(frames, shared, -1) @ carried
    return np.concatenate([common.sum(axis=0, dtype=np.float64)[:, 0], (slopes.own @ white[..., None]).ravel()])
