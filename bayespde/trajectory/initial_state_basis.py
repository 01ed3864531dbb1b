"""A pilot's first frame -> the modes of an unknown initial state, and how large each of them may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import scipy.fft

from bayespde.core.errors import ConfigError

# The prior of a mode is that many standard deviations of the pilot's modes at its wave number and beyond.
WIDER = 3.0
# Modes whose prior deviation is below this share of the pilot's error are zero.
NEGLIGIBLE = 0.1
# Power of a wave over that of its scatter above which it is seen: a seam that does not quite close gives all waves a
# few times their scatter.
STANDS_OUT = 25.0
# Waves beyond those by which the decay of the spectrum is seen.
BEYOND = 2


@dataclass(frozen=True, eq=False)
class StateBasis:
    """Initial states `[points] = modes @ coefficients`, flat over space.

    Attributes:
        modes: `[points, M]`, float64, orthonormal columns, smooth first.
        deviation: Prior standard deviation of every coefficient, `[M]`, in the units of the field; mean 0.
        wave: Wave number of every mode, `[M]`, relative to the shortest along an axis, ascending: modes of one wave
            number are there or not together.
        shape: Points per dimension of space.
    """

    modes: np.ndarray
    deviation: np.ndarray
    wave: np.ndarray
    shape: tuple[int, ...]

    def coefficients(self, frame: np.ndarray) -> np.ndarray:
        """Those of a frame, `[M]`."""
        return np.asarray(self.modes.T @ frame.ravel())


def state_basis(pilot: np.ndarray, *, boundary: str, error: float, most: int) -> StateBasis:
    """Modes that an initial state may have, by a pilot estimate of it.

    Modes are those of the boundary (Fourier; cosines; a line and sines). Each has a normal prior of mean zero, three
    times as wide as the largest pilot coefficient at its wave number or above: an envelope, so that the pilot says how
    rough the state may be and hardly anything else.

    Args:
        pilot: `[*points]`, a smooth estimate of the first frame.
        boundary: As for `SolverConfig`.
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
    return StateBasis(columns, deviation[group][kept], np.sqrt(waves[kept]), pilot.shape)


def spectral_decay_prior(basis: StateBasis, pilot: np.ndarray, draws: np.ndarray, *, error: float) -> StateBasis:
    """The basis with as much room for waves that a pilot cannot tell from its own scatter as those that it can leave.

    Spectra of smooth states decay exponentially: beyond the last wave that stands out the envelope goes on falling as
    it falls around there. With the room that the scatter would leave them, short waves of a dispersive equation fit
    noise at any speed, and each its own: the likelihood of the coefficients becomes a comb.

    Args:
        basis: All modes.
        pilot: The first frame, `[*points]`.
        draws: Of it, from the pilot's posterior, `[n, *points]`.
        error: Modes with a smaller deviation are left out.

    Returns:
        The basis.
    """
    waves, group, counts = np.unique(basis.wave, return_inverse=True, return_counts=True)
    square = np.bincount(group, basis.coefficients(pilot) ** 2) / counts
    noise = np.mean([np.bincount(group, basis.coefficients(d - pilot) ** 2) for d in draws], axis=0) / counts
    last = int(np.flatnonzero(square > STANDS_OUT * noise).max(initial=0))
    # The first waves that do not stand out are at most as large as their scatter.
    near = slice(last // 2, last + 1 + BEYOND)
    size = np.sqrt(np.maximum(square, noise))[near]
    # Zero is a wave's size where pilots are exact.
    slope, level = np.polyfit(waves[near], np.log(np.maximum(size, 1e-12 * size.max())), 1) if len(size) > 1 else (0, 0)
    falling = WIDER * np.exp(level + min(slope, 0.0) * basis.wave)
    deviation = np.where(group > last, np.minimum(basis.deviation, falling), basis.deviation)
    is_kept = (deviation >= error) | (group <= last)
    return replace(basis, modes=basis.modes[:, is_kept], deviation=deviation[is_kept], wave=basis.wave[is_kept])


def _modes(points: int, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal modes `[points, points]` of one axis, and their wave numbers."""
    if boundary == "dirichlet":
        # Edges at any value, and sines, which vanish there.
        place = np.linspace(0.0, 1.0, points)[:, None]
        sines = np.sin(np.pi * place * np.arange(1, points - 1))
        return np.linalg.qr(np.hstack([place**0, place, sines]))[0], np.arange(float(points))
    if boundary == "neumann":
        return np.asarray(scipy.fft.idct(np.eye(points), type=2, norm="ortho", axis=0)), np.arange(float(points))
    angle = 2 * np.pi * np.outer(np.arange(points), np.arange(points // 2 + 1)) / points
    pairs = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(points, -1)
    waves = np.repeat(np.arange(points // 2 + 1), 2).astype(float)
    sizes = np.linalg.norm(pairs, axis=0)
    real = sizes > 1e-6 * np.sqrt(points)
    return pairs[:, real] / sizes[real], waves[real]
