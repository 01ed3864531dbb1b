"""PIXEL COORDINATES -> HELD-OUT PIXELS, on which smoothers are compared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayespde.core.errors import FieldError
from bayespde.core.random import checked_seed
from bayespde.smooth.network.config import NetworkConfig

# Enough to compare networks.
MAX_PIXELS = 100_000


def held_out_mask(coordinates: np.ndarray, *, config: NetworkConfig, seed: int) -> np.ndarray:
    """Draw the pixels, or the frames, that are held out.

    Args:
        coordinates: `[n, d]`, time first.
        config: Gives the share, and the unit, pixels or frames; the first and last frame are never drawn.
        seed: Non-negative integer.

    Returns:
        `[n]`, bool, with at least one and not all True.

    Raises:
        FieldError: If there are too few pixels or frames to hold any out.
        ConfigError: If the seed is not a non-negative integer.
    """
    rng = np.random.default_rng(checked_seed(seed))
    times, frame = np.unique(coordinates[:, 0], return_inverse=True)
    size = len(coordinates) if config.hold_out == "pixels" else len(times)
    eligible = np.arange(size) if config.hold_out == "pixels" else np.arange(1, size - 1)
    if len(eligible) < 2:
        raise FieldError(
            f"There are too few {config.hold_out} to hold some out.",
            got=f"{size} {config.hold_out}",
            wanted="at least 2 pixels, or 4 frames",
            fix="hold_out='pixels'" if config.hold_out == "frames" else "record more data",
        )
    count = min(max(1, round(config.hold_out_fraction * size)), len(eligible) - 1)
    if config.hold_out == "pixels":
        count = min(count, MAX_PIXELS)
    drawn = np.zeros(size, dtype=bool)
    drawn[rng.choice(eligible, count, replace=False)] = True
    return drawn if config.hold_out == "pixels" else drawn[frame.ravel()]


class HeldOut(NamedTuple):
    """Pixels that networks are not trained on.

    Attributes:
        scored: Those at which the prediction error is evaluated, `[n]`, bool.
        around: Those that are neither trained on nor scored, because their noise is correlated with both, `[n]`, bool.
    """

    scored: np.ndarray
    around: np.ndarray


def held_out_blocks(coordinates: np.ndarray, reach: tuple[float, ...], *, share: float, seed: int) -> HeldOut:
    """Draw blocks that are held out; the inner half of each is scored.

    Args:
        coordinates: `[n, d]`, time first.
        reach: Range of the correlation of the noise along each axis, in units of the coordinates.
        share: Approximate share of the pixels in the blocks.
        seed: Non-negative integer.

    Returns:
        `scored` are the pixels within `reach` of the centre of a block; `around` are all others in the blocks, which
        are twice as wide, so that no scored pixel has noise in common with one that is trained on.

    Raises:
        FieldError: If one block holds all pixels.
        ConfigError: If the seed is not a non-negative integer.
    """
    rng = np.random.default_rng(checked_seed(seed))
    places = coordinates / np.asarray(reach)
    in_time = np.argsort(places[:, 0], kind="stable")
    times = places[in_time, 0]
    scored, hidden = (np.zeros(len(places), dtype=bool) for _ in range(2))
    for centre in rng.permutation(len(places)):
        if hidden[centre]:
            continue
        start, stop = np.searchsorted(times, places[centre, 0] + np.array([-2.001, 2.001]))
        near = in_time[start:stop]
        distance = np.abs(places[near] - places[centre]).max(axis=1)
        hidden[near[distance <= 2]] = True
        scored[near[distance <= 1]] = True
        if np.count_nonzero(hidden) >= share * len(places) or np.count_nonzero(scored) >= MAX_PIXELS:
            break
    if hidden.all():
        raise FieldError(
            "The noise is correlated over the whole field.",
            got=f"a block of {2 * np.asarray(reach)} to either side holds all {len(coordinates)} pixels",
            wanted="a field longer than the correlation of its noise",
            fix="hold_out='pixels'",
        )
    return HeldOut(scored, hidden & ~scored)
