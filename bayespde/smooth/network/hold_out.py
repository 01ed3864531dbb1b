"""Pixel coordinates -> which pixels no smoother may see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayespde.core.errors import FieldError
from bayespde.core.random import checked_seed
from bayespde.smooth.network.config import NetworkConfig

# More do not tell networks apart any better.
MOST_PIXELS = 100_000


def held_out_mask(coordinates: np.ndarray, *, config: NetworkConfig, seed: int) -> np.ndarray:
    """Draw the pixels that no smoother may see.

    Args:
        coordinates: `[n, d]`, time first.
        config: Gives the share, and whether pixels or frames are drawn; the first and last frame are never drawn.
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
        count = min(count, MOST_PIXELS)
    drawn = np.zeros(size, dtype=bool)
    drawn[rng.choice(eligible, count, replace=False)] = True
    return drawn if config.hold_out == "pixels" else drawn[frame.ravel()]


class HeldOut(NamedTuple):
    """Pixels that networks do not see.

    Attributes:
        scored: Those that tell how well the others predict, `[n]`, bool.
        around: Those that are neither seen nor scored, because they have noise in common with both, `[n]`, bool.
    """

    scored: np.ndarray
    around: np.ndarray


def held_out_blocks(coordinates: np.ndarray, reach: tuple[float, ...], *, share: float, seed: int) -> HeldOut:
    """Draw blocks that no smoother may see; what lies deep in them is scored.

    Args:
        coordinates: `[n, d]`, time first.
        reach: How far along each axis the noise of two pixels has something in common, in units of the coordinates.
        share: Of the pixels, about, in the blocks.
        seed: Non-negative integer.

    Returns:
        Scored are pixels within `support_factor` of the centre of a block, unless they are within reach of a pixel that is
        seen; `around` are all others in the blocks, which are twice as wide.

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
        if np.count_nonzero(hidden) >= share * len(places) or np.count_nonzero(scored) >= MOST_PIXELS:
            break
    if hidden.all():
        raise FieldError(
            "The noise hangs together over the whole field.",
            got=f"a block of {2 * np.asarray(reach)} to either side holds all {len(coordinates)} pixels",
            wanted="a field wider than the noise",
            fix="hold_out='pixels'",
        )
    return HeldOut(scored, hidden & ~scored)


def check_pixels(coordinates: np.ndarray, values: np.ndarray) -> None:
    """Raise a `FieldError` unless `[n, d]` coordinates and `[n]` values are finite, fit, and lie in [-1, 1]."""
    if coordinates.ndim != 2 or values.shape != coordinates.shape[:1] or len(values) < 2:
        raise FieldError(
            "The pixels do not fit together.",
            got=f"coordinates {coordinates.shape}, values {values.shape}",
            wanted="coordinates [n, d] and values [n]",
            fix="pass one row of coordinates per observed pixel",
        )
    if not (np.isfinite(values).all() and np.isfinite(coordinates).all()):
        raise FieldError(
            "The pixels hold values that are not finite.",
            got=f"{int((~np.isfinite(values)).sum())} of {len(values)} values",
            wanted="observed pixels only",
            fix="drop missing pixels before training",
        )
    if np.abs(coordinates).max() > 1 + 1e-6:
        raise FieldError(
            "The coordinates are outside the unit range.",
            got=f"up to {np.abs(coordinates).max():g}",
            wanted="every axis in [-1, 1]",
            fix="2 * (c - c.min()) / (c.max() - c.min()) - 1",
        )


def check_mask(mask: np.ndarray, values: np.ndarray) -> None:
    """Raise a `FieldError` unless the mask is bool, `[n]`, and leaves pixels on both sides."""
    if mask.shape != values.shape or mask.dtype != bool or not mask.any() or mask.all():
        raise FieldError(
            "The held-out mask does not fit the pixels.",
            got=f"{mask.dtype} {mask.shape}, {int(np.sum(mask))} held out",
            wanted=f"bool {values.shape}, some True and some False",
            fix="held_out=None, or held_out_mask(coordinates, config=config, seed=0)",
        )
