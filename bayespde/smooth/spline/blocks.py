"""RESIDUALS -> BLOCKS to leave out: the range over which the noise of pixels is correlated."""

from __future__ import annotations

from math import prod

import numpy as np

from bayespde.core.errors import ConfigError
from bayespde.core.neighbours import neighbour_correlation

# Smallest correlation of residuals that counts, and the largest lag at which it is measured.
NOTICEABLE = 0.2
MAX_LAG = 10
FIRST = 2
# Pixels of a block: a system of this size is solved for every block and every weight that is tried.
MAX_PIXELS = 361


def correlation_range(residual: np.ndarray) -> tuple[int, ...]:
    """Largest lag at which residuals are still correlated, per axis; 0 where neighbours are not."""
    found = []
    for axis, count in enumerate(residual.shape):
        lags = range(1, min(MAX_LAG, count // 4) + 1)
        correlated = [lag for lag in lags if abs(neighbour_correlation(residual, axis, lag)) > NOTICEABLE]
        found.append(max(correlated, default=0))
    return tuple(found)


def first_block(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Samples to either side, per axis, of the block that is tried first."""
    return tuple(min(FIRST, (n - 1) // 4) for n in shape)


def widened(half: tuple[int, ...], reach: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The block of `half` samples to either side, doubled along axes where residuals are correlated beyond it.

    Unchanged where none are, or where no larger block can be left out.
    """
    wider = tuple(min(2 * h, max(h, (n - 1) // 4)) if r > h else h for h, r, n in zip(half, reach, shape, strict=True))
    return wider if _size(wider) <= MAX_PIXELS else half


def checked_block(half: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The block, if it fits the field.

    Raises:
        ConfigError: If it does not: one number per axis, and room for it.
    """
    fits = len(half) == len(shape) and all(0 <= h <= (n - 1) // 4 for h, n in zip(half, shape, strict=False))
    if not fits or _size(half) > MAX_PIXELS:
        raise ConfigError(
            "The blocks to leave out do not fit the field.",
            got=f"{half} samples to either side, in a field of {shape}",
            wanted=f"one number per axis, from 0 to a quarter of it, and at most {MAX_PIXELS} pixels in a block",
            fix="block=None: the range of the correlation of the residuals",
        )
    return tuple(half)


def _size(half: tuple[int, ...]) -> int:
    return prod(2 * h + 1 for h in half)
