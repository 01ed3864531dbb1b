"""Pixels + the shortest wave of a state -> as few points as an integrator needs, and the way from these to pixels.

A camera has as many pixels as it has; a smooth state has few waves. Between points the state is its own series: Fourier
where it is periodic, cosines between walls, sines where edges are held.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from scipy.signal import resample

from bayespde.solve.derivatives import Grid

# Points per shortest wave of the first state; products and what steepens later need more than two.
PER_WAVE = 4
FEWEST = 24
# A finer grid has that many times the points; steps of a term of third order grow with their third power.
FINER = 1.5
# A grid with more than this share of all pixels saves nothing.
COARSE = 0.8


@dataclass(frozen=True)
class Resolution:
    """A grid over the domain of the pixels.

    Attributes:
        pixels: Grid of what is observed.
        grid: Grid of the states.
        boundary: As for `SolverConfig`.
    """

    pixels: Grid
    grid: Grid
    boundary: str

    @classmethod
    def of(cls, pixels: Grid, boundary: str, points: Iterable[int]) -> Resolution:
        """Of no fewer points per axis, or all pixels of an axis where that is hardly more."""
        fast = [scipy.fft.next_fast_len(p, real=True) for p in points]
        chosen = tuple(p if p < COARSE * n else n for p, n in zip(fast, pixels.points, strict=True))
        sizes = zip(pixels.steps, pixels.points, chosen, strict=True)
        steps = tuple(d * _cells(n, boundary) / _cells(p, boundary) for d, n, p in sizes)
        return cls(pixels, replace(pixels, points=chosen, steps=steps), boundary)

    @classmethod
    def for_waves(cls, pixels: Grid, boundary: str, shortest: float) -> Resolution:
        """Of as many points as states need whose shortest wave is so short, relative to the shortest of the pixels."""
        share = PER_WAVE / 2 * shortest
        return cls.of(pixels, boundary, (max(FEWEST, math.ceil(share * n)) for n in pixels.points))

    def finer(self) -> Resolution | None:
        """Of more points, or None if all pixels are taken."""
        if self.grid.points == self.pixels.points:
            return None
        return type(self).of(self.pixels, self.boundary, (math.ceil(FINER * p) for p in self.grid.points))

    def at_pixels(self, states: np.ndarray) -> np.ndarray:
        """States `[..., *points]` as seen by pixels, `[..., *pixels]`."""
        return _along_each(states, self.pixels.points, self.boundary)

    def at_points(self, frames: np.ndarray) -> np.ndarray:
        """Frames `[..., *pixels]` at points, `[..., *points]`, without the waves that these cannot hold."""
        return _along_each(frames, self.grid.points, self.boundary)


def resampled(values: np.ndarray, points: int, boundary: str) -> np.ndarray:
    """Values at other evenly spaced points over the same domain.

    Args:
        values: `[n, ...]`.
        points: How many are wanted; if fewer, waves that they cannot hold are dropped.
        boundary: As for `SolverConfig`: where points lie, and which series is continued between them.

    Returns:
        `[points, ...]`.
    """
    if boundary == "periodic":
        return np.asarray(resample(values, points, axis=0))
    given = len(values)
    if boundary == "neumann":
        modes = _as_many(scipy.fft.dct(values, norm="ortho", axis=0), points)
        return np.asarray(scipy.fft.idct(modes, norm="ortho", axis=0)) * math.sqrt(points / given)
    # Edges are held: a straight line between them, and what is left vanishes there.
    line, wanted = (np.linspace(values[0], values[-1], n) for n in (given, points))
    modes = _as_many(scipy.fft.dst((values - line)[1:-1], type=1, norm="ortho", axis=0), points - 2)
    wanted[1:-1] += scipy.fft.idst(modes, type=1, norm="ortho", axis=0) * math.sqrt((points - 1) / (given - 1))
    return np.asarray(wanted)


def _as_many(modes: np.ndarray, count: int) -> np.ndarray:
    """The first so many modes, `[count, ...]`, or all and zeros."""
    return np.pad(modes[:count], ((0, max(0, count - len(modes))), *((0, 0),) * (modes.ndim - 1)))


def _cells(points: int, boundary: str) -> int:
    """Steps over the whole domain."""
    return points - 1 if boundary == "dirichlet" else points


def _along_each(values: np.ndarray, points: tuple[int, ...], boundary: str) -> np.ndarray:
    """Resampled along each of the last axes."""
    for axis, wanted in zip(range(-len(points), 0), points, strict=True):
        if values.shape[axis] != wanted:
            values = np.moveaxis(resampled(np.moveaxis(values, axis, 0), wanted, boundary), 0, axis)
    return values
