"""A pilot's first frame -> the modes of an unknown initial state, and how large each of them may be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.fft

from bayespde.core.errors import ConfigError

# The prior of a mode is that many standard deviations of the pilot's modes at its wave number and beyond.
WIDER = 3.0
# Modes whose prior deviation is below this share of the pilot's error are zero.
NEGLIGIBLE = 0.1


@dataclass(frozen=True, eq=False)
class StateBasis:
    """Initial states `[points] = modes @ coefficients`, flat over space.

    Attributes:
        modes: `[points, M]`, float64, orthonormal columns, smooth first.
        deviation: Prior standard deviation of every coefficient, `[M]`, in the units of the field; mean 0.
        shape: Points per dimension of space.
    """

    modes: np.ndarray
    deviation: np.ndarray
    shape: tuple[int, ...]

    def coefficients(self, frame: np.ndarray) -> np.ndarray:
        """Those of a frame, `[M]`."""
        return np.asarray(self.modes.T @ frame.ravel())


def state_basis(pilot: np.ndarray, *, boundary: str, error: float, most: int) -> StateBasis:
    """Choose modes from a pilot estimate of the initial state.

    Modes are those of the boundary (Fourier, or cosines). Each has a normal prior of mean zero, three times as wide as
    the largest pilot coefficient at its wave number or above: an envelope, so that the pilot says how rough the state
    may be and hardly anything else.

    Args:
        pilot: `[*points]`, a smooth estimate of the first frame.
        boundary: As for `Method`.
        error: Standard deviation of the noise of a pixel.
        most: Most modes.

    Returns:
        The basis.

    Raises:
        ConfigError: If `most` is not positive.
    """
    if most < 1:
        raise ConfigError("A state needs modes.", got=most, wanted="1 or more", fix="most_modes=300")
    axes = [_modes(n, boundary) for n in pilot.shape]
    values = reduce(np.kron, [matrix for matrix, _ in axes])
    waves = reduce(np.add.outer, [(k / k.max()) ** 2 for _, k in axes]).ravel() ** 0.5
    order = np.argsort(waves, kind="stable")
    found = np.abs(values.T @ pilot.ravel())[order]
    envelope = np.maximum.accumulate(found[::-1])[::-1]
    deviation = WIDER * envelope
    kept = (deviation > NEGLIGIBLE * error)[:most]
    return StateBasis(values[:, order[:most]][:, kept], deviation[:most][kept], pilot.shape)


def _modes(points: int, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal modes `[points, points]` of one axis, and their wave numbers."""
    if boundary != "periodic":
        return np.asarray(scipy.fft.idct(np.eye(points), type=2, norm="ortho", axis=0)), np.arange(1.0, points + 1)
    angle = 2 * np.pi * np.outer(np.arange(points), np.arange(points // 2 + 1)) / points
    pairs = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(points, -1)
    waves = np.repeat(np.arange(points // 2 + 1), 2).astype(float)
    sizes = np.linalg.norm(pairs, axis=0)
    real = sizes > 1e-6 * np.sqrt(points)
    return pairs[:, real] / sizes[real], waves[real] + 1
