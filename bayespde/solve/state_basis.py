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
# Power of a wave over that of its scatter above which it is seen.
STANDS_OUT = 6.0


@dataclass(frozen=True, eq=False)
class StateBasis:
    """Initial states `[points] = modes @ coefficients`, flat over space.

    Attributes:
        modes: `[points, M]`, float64, orthonormal columns, smooth first.
        deviation: Prior standard deviation of every coefficient, `[M]`, in the units of the field; mean 0.
        wave: Number of the wave that a mode belongs to, `[M]`, ascending: modes of one wave are there or not together.
        shape: Points per dimension of space.
    """

    modes: np.ndarray
    deviation: np.ndarray
    wave: np.ndarray
    shape: tuple[int, ...]

    def coefficients(self, frame: np.ndarray) -> np.ndarray:
        """Those of a frame, `[M]`."""
        return np.asarray(self.modes.T @ frame.ravel())

    def __getitem__(self, some: slice) -> StateBasis:
        """Some of the modes."""
        return StateBasis(self.modes[:, some], self.deviation[some], self.wave[some], self.shape)

    def joined(self, other: StateBasis) -> StateBasis:
        """These modes, and others of the same points."""
        return StateBasis(
            np.hstack([self.modes, other.modes]),
            np.append(self.deviation, other.deviation),
            np.append(self.wave, other.wave),
            self.shape,
        )

    def __len__(self) -> int:
        return len(self.deviation)


def state_basis(pilot: np.ndarray, *, boundary: str, error: float, most: int) -> StateBasis:
    """Modes that an initial state may have, by a pilot estimate of it.

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
    found = pilot
    for axis, (matrix, _) in enumerate(axes):
        found = np.moveaxis(np.tensordot(matrix.T, found, axes=(1, axis)), 0, axis)
    waves = np.round(reduce(np.add.outer, [(k / k.max()) ** 2 for _, k in axes]), 12).ravel()
    # Modes of one wave number have one envelope, and are there or not together.
    _, group = np.unique(waves, return_inverse=True)
    largest = np.zeros(group.max() + 1)
    np.maximum.at(largest, group, np.abs(found).ravel())
    deviation = WIDER * np.maximum.accumulate(largest[::-1])[::-1]
    number = int(np.searchsorted(np.cumsum(np.bincount(group)), most, side="right"))
    is_kept = (deviation > NEGLIGIBLE * error) & (np.arange(len(deviation)) < max(number, 1))
    kept = np.flatnonzero(is_kept[group])
    kept = kept[np.argsort(waves[kept], kind="stable")]
    places = np.unravel_index(kept, pilot.shape)
    columns = axes[0][0][:, places[0]]
    for (matrix, _), place in zip(axes[1:], places[1:], strict=True):
        columns = (columns[:, None, :] * matrix[None, :, place]).reshape(-1, len(kept))
    return StateBasis(columns, deviation[group][kept], group[kept], pilot.shape)


def clearly_there(basis: StateBasis, pilot: np.ndarray, draws: np.ndarray) -> int:
    """How many modes, smooth ones first, a pilot shows: up to the last wave that stands out from its scatter.

    Args:
        basis: All modes.
        pilot: The first frame, `[*points]`.
        draws: Of it, from the pilot's posterior, `[n, *points]`.

    Returns:
        A number of modes, whole waves.
    """
    size = basis.coefficients(pilot) ** 2
    noise = np.mean([(basis.coefficients(d - pilot)) ** 2 for d in draws], axis=0)
    _, wave = np.unique(basis.wave, return_inverse=True)
    ratio = np.bincount(wave, size) / np.maximum(np.bincount(wave, noise), 1e-300)
    return int(np.searchsorted(wave, np.flatnonzero(ratio > STANDS_OUT).max(initial=0), side="right"))


def _modes(points: int, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal modes `[points, points]` of one axis, and their wave numbers."""
    if boundary != "periodic":
        return np.asarray(scipy.fft.idct(np.eye(points), type=2, norm="ortho", axis=0)), np.arange(float(points))
    angle = 2 * np.pi * np.outer(np.arange(points), np.arange(points // 2 + 1)) / points
    pairs = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(points, -1)
    waves = np.repeat(np.arange(points // 2 + 1), 2).astype(float)
    sizes = np.linalg.norm(pairs, axis=0)
    real = sizes > 1e-6 * np.sqrt(points)
    return pairs[:, real] / sizes[real], waves[real]
