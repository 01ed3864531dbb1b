"""Residuals on a grid -> the block around a pixel beyond which they say nothing of it."""

from __future__ import annotations

from math import prod

import numpy as np

from bayespde.core.errors import ConfigError
from bayespde.core.neighbours import neighbour_correlation

# Correlation of residuals that counts, and as far as it is looked for.
FELT = 0.2
FARTHEST = 10
FIRST = 2
# A system of this size is solved for every block and every weight that is tried.
LARGEST = 361


def correlation_range(residual: np.ndarray) -> tuple[int, ...]:
    """Largest lag at which residuals are still correlated, per axis; 0 where neighbours are not."""
    found = []
    for axis, count in enumerate(residual.shape):
        lags = range(1, min(FARTHEST, count // 4) + 1)
        felt = [lag for lag in lags if abs(neighbour_correlation(residual, axis, lag)) > FELT]
        found.append(max(felt, default=0))
    return tuple(found)


def first_block(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Samples to either side, per axis, of the block that is tried first."""
    return tuple(min(FIRST, (n - 1) // 4) for n in shape)


def widened(half: tuple[int, ...], reach: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The block of so many samples to either side, doubled along axes where residuals reach beyond it.

    Unchanged where none does, or where no larger block can be left out.
    """
    wider = tuple(min(2 * h, max(h, (n - 1) // 4)) if r > h else h for h, r, n in zip(half, reach, shape, strict=True))
    return wider if _size(wider) <= LARGEST else half


def checked_block(half: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The block, if it fits the field.

    Raises:
        ConfigError: If it does not: one number per axis, and room for it.
    """
    fits = len(half) == len(shape) and all(0 <= h <= (n - 1) // 4 for h, n in zip(half, shape, strict=False))
    if not fits or _size(half) > LARGEST:
        raise ConfigError(
            "The blocks to leave out do not fit the field.",
            got=f"{half} samples to either side, in a field of {shape}",
            wanted=f"one number per axis, from 0 to a quarter of it, and at most {LARGEST} pixels in a block",
            fix="block=None: what residuals have in common",
        )
    return tuple(half)


def _size(half: tuple[int, ...]) -> int:
    return prod(2 * h + 1 for h in half)
