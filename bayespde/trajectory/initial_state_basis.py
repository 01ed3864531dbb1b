"""A smoothed first frame -> the modes of an unknown initial state, and the prior of their coefficients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import scipy.fft

from bayespde.core.errors import ConfigError

# Prior standard deviation of a mode, over the largest coefficient of the first frame at its wave number and beyond.
WIDER = 3.0
# Modes whose prior deviation is below this share of the pixel noise are left out.
NEGLIGIBLE = 0.1
# Power of a wave over that of its error above which it is significant: a domain that is not quite periodic gives all
# waves a few times their error.
SIGNIFICANT = 25.0
# Waves beyond the significant ones that are included in the fit of the spectrum's decay.
BEYOND = 2


@dataclass(frozen=True, eq=False)
class StateBasis:
    """Initial states `[points] = modes @ coefficients`, flat over space.

    Attributes:
        modes: `[points, M]`, float64, orthonormal columns, smooth first.
        deviation: Prior standard deviation of every coefficient, `[M]`, in the units of the field; mean 0.
        wave: Wave number of every mode, `[M]`, relative to the shortest along an axis, ascending: modes of one wave
            number are included or left out together.
        shape: Points per dimension of space.
    """

    modes: np.ndarray
    deviation: np.ndarray
    wave: np.ndarray
    shape: tuple[int, ...]

    def coefficients(self, frame: np.ndarray) -> np.ndarray:
        """Those of a frame, `[M]`."""
        return np.asarray(self.modes.T @ frame.ravel())


def state_basis(first_frame: np.ndarray, *, boundary: str, error: float, most: int) -> StateBasis:
    """Modes that an initial state may have, by a smoothed estimate of it.

    Modes are those of the boundary (Fourier; cosines; a line and sines). Each has a normal prior of mean zero, three
    times as wide as the largest coefficient of the first frame at its wave number or above: an envelope, which bounds
    how rough the state may be and hardly anything else.

    Args:
        first_frame: `[*points]`, a smoothed estimate of the first frame.
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
    axes = [_modes(n, boundary) for n in first_frame.shape]
    found = first_frame
    for axis, (matrix, _) in enumerate(axes):
        found = np.moveaxis(np.tensordot(matrix.T, found, axes=(1, axis)), 0, axis)
    waves = np.round(reduce(np.add.outer, [(k / k.max()) ** 2 for _, k in axes]), 12).ravel()
    # Modes of one wave number have one envelope, and are included or left out together.
    _, group = np.unique(waves, return_inverse=True)
    largest = np.zeros(group.max() + 1)
    np.maximum.at(largest, group, np.abs(found).ravel())
    deviation = WIDER * np.maximum.accumulate(largest[::-1])[::-1]
    number = int(np.searchsorted(np.cumsum(np.bincount(group)), most, side="right"))
    is_kept = (deviation > NEGLIGIBLE * error) & (np.arange(len(deviation)) < max(number, 1))
    kept = np.flatnonzero(is_kept[group])
    kept = kept[np.argsort(waves[kept], kind="stable")]
    places = np.unravel_index(kept, first_frame.shape)
    columns = axes[0][0][:, places[0]]
    for (matrix, _), place in zip(axes[1:], places[1:], strict=True):
        columns = (columns[:, None, :] * matrix[None, :, place]).reshape(-1, len(kept))
    return StateBasis(columns, deviation[group][kept], np.sqrt(waves[kept]), first_frame.shape)


def spectral_decay_prior(basis: StateBasis, first_frame: np.ndarray, draws: np.ndarray, *, error: float) -> StateBasis:
    """The basis with a narrower prior for waves below the error of the first frame, by the decay of the spectrum.

    Spectra of smooth states decay exponentially: beyond the last significant wave the envelope goes on falling as it
    falls around there. With a prior as wide as the error of the first frame, short waves of a dispersive equation fit
    noise at any speed, and each its own: the likelihood of the coefficients gets many modes (cycle skipping
    [virieux2009]).

    Args:
        basis: All modes.
        first_frame: `[*points]`.
        draws: Of it, from the smoother's posterior, `[n, *points]`.
        error: Modes with a smaller deviation are left out.

    Returns:
        The basis.
    """
    waves, group, counts = np.unique(basis.wave, return_inverse=True, return_counts=True)
    square = np.bincount(group, basis.coefficients(first_frame) ** 2) / counts
    noise = np.mean([np.bincount(group, basis.coefficients(d - first_frame) ** 2) for d in draws], axis=0) / counts
    last = int(np.flatnonzero(square > SIGNIFICANT * noise).max(initial=0))
    # The first waves that are not significant are at most as large as their error.
    near = slice(last // 2, last + 1 + BEYOND)
    size = np.sqrt(np.maximum(square, noise))[near]
    # A wave's size can be zero where the first frame is exact.
    slope, level = np.polyfit(waves[near], np.log(np.maximum(size, 1e-12 * size.max())), 1) if len(size) > 1 else (0, 0)
    falling = WIDER * np.exp(level + min(slope, 0.0) * basis.wave)
    deviation = np.where(group > last, np.minimum(basis.deviation, falling), basis.deviation)
    is_kept = (deviation >= error) | (group <= last)
    return replace(basis, modes=basis.modes[:, is_kept], deviation=deviation[is_kept], wave=basis.wave[is_kept])


def _modes(points: int, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal modes `[points, points]` of one axis, and their wave numbers."""
    if boundary == "dirichlet":
        # Any boundary values, and sines, which vanish there.
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
