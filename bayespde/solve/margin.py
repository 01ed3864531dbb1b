"""Frames of a window -> frames of a periodic domain around it, whose part beyond the window is a smooth bridge.

A window out of a larger field has no boundary of its own: what enters it is what was beyond. Where the same law holds
there, all that is missing is the state beyond at the first time, which is as unknown as that within, and not seen.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from scipy.linalg import solve_triangular


def beyond(frames: np.ndarray, share: float, *, dims: int) -> np.ndarray:
    """Continue frames beyond their last points, and around to the first.

    Of all periodic states that agree with the frame, the one of least tension, bending and change of bending, over the
    length on which the frame varies: it leaves the edges smoothly.

    Args:
        frames: `[..., *space]`, without gaps.
        share: Points beyond, per point within, along every axis; 0 leaves frames as they are.
        dims: Dimensions of space.

    Returns:
        `[..., *domain]`; the first points of every axis are those of the frames.
    """
    for axis in range(-dims, 0) if share else ():
        values = np.moveaxis(frames, axis, 0)
        points = scipy.fft.next_fast_len(math.ceil((1 + share) * len(values)), real=True)
        bridge = np.tensordot(_bridge(len(values), points, _length(values)), values, axes=1)
        frames = np.moveaxis(np.concatenate([values, bridge]), 0, axis)
    return frames


def _length(values: np.ndarray) -> float:
    """On which values `[n, ...]` vary, in points: what they deviate over their slope."""
    slope = math.sqrt(np.mean(np.diff(values, axis=0) ** 2))
    deviation = math.sqrt(np.mean(np.var(values, axis=0)))
    return float(np.clip(deviation / slope, 1.0, len(values))) if slope else 1.0


def _bridge(given: int, points: int, length: float) -> np.ndarray:
    """Map from the values within to those beyond, `[points - given, given]`."""
    waves = 2 * np.pi * scipy.fft.rfftfreq(points)
    column = scipy.fft.irfft(waves * (1 + (length * waves) ** 2), points)
    places = np.arange(points)
    # The root of the energy, and not the energy, whose condition is that of the root squared.
    root = column[(places[:, None] - places) % points]
    orthogonal, triangle = np.linalg.qr(root[:, given:])
    return np.asarray(solve_triangular(triangle, -orthogonal.T @ root[:, :given]))
