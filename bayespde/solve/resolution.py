"""Grid of the pixels + shortest wave of a state -> a coarser grid on which to integrate it, and resampling.

A smooth state has fewer waves than a camera has pixels. Between points a state is interpolated by a series: Fourier on
a periodic domain, cosines under Neumann conditions, sines under Dirichlet conditions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import scipy.fft
from scipy.signal import resample

from bayespde.solve.derivatives import Grid

# Points per shortest wave of the first state; products, and fronts that steepen later, need more than two.
POINTS_PER_WAVE = 4
MINIMUM_POINTS = 24
# Ratio of the points of one grid and the next coarser one. A larger ratio wastes steps: of a term of third order their
# number grows with the third power of the points.
REFINEMENT = 1.5
# A grid with more than this share of all pixels saves nothing.
COARSE = 0.8


@dataclass(frozen=True)
class Resolution:
    """A grid over the domain of the pixels.

    Attributes:
        pixels: Grid of the observations.
        grid: Grid of the states.
        boundary: As for `SolverConfig`.
    """

    pixels: Grid
    grid: Grid
    boundary: str

    @classmethod
    def of(cls, pixels: Grid, boundary: str, points: Iterable[int]) -> Resolution:
        """At least the given points per axis, or all pixels of an axis where that is hardly more."""
        fast = [scipy.fft.next_fast_len(p, real=True) for p in points]
        chosen = tuple(p if p < COARSE * n else n for p, n in zip(fast, pixels.points, strict=True))
        return cls(pixels, pixels, boundary)._with_points(chosen)

    @classmethod
    def for_waves(cls, pixels: Grid, boundary: str, shortest: float) -> Resolution:
        """The points that states need.

        Args:
            pixels: Grid of the observations.
            boundary: As for `SolverConfig`.
            shortest: Wavenumber of the shortest wave of the states, relative to the largest that the pixels resolve.
        """
        share = POINTS_PER_WAVE / 2 * shortest
        return cls.of(pixels, boundary, (max(MINIMUM_POINTS, math.ceil(share * n)) for n in pixels.points))

    def finer(self) -> Resolution | None:
        """The next finer grid, or None if all pixels are taken."""
        if all(p >= n for p, n in zip(self.grid.points, self.pixels.points, strict=True)):
            return None
        return type(self).of(self.pixels, self.boundary, (math.ceil(REFINEMENT * p) for p in self.grid.points))

    def beyond_pixels(self) -> Resolution:
        """The next finer grid, with more points than there are pixels."""
        more = (scipy.fft.next_fast_len(math.ceil(REFINEMENT * p), real=True) for p in self.grid.points)
        return self._with_points(tuple(more))

    def _with_points(self, points: tuple[int, ...]) -> Resolution:
        sizes = zip(self.pixels.steps, self.pixels.points, points, strict=True)
        steps = tuple(d * _cells(n, self.boundary) / _cells(p, self.boundary) for d, n, p in sizes)
        return replace(self, grid=replace(self.pixels, points=points, steps=steps))

    def at_pixels(self, states: np.ndarray) -> np.ndarray:
        """Values of states `[..., *points]` at the pixels, `[..., *pixels]`."""
        return _at(states, self.pixels.points, partial(sampling, boundary=self.boundary))

    def at_points(self, frames: np.ndarray) -> np.ndarray:
        """Frames `[..., *pixels]` resampled at the points, `[..., *points]`, without unresolved waves."""
        return _at(frames, self.grid.points, partial(resampling, boundary=self.boundary))


def resampled(values: np.ndarray, points: int, boundary: str) -> np.ndarray:
    """Values at other evenly spaced points over the same domain.

    Args:
        values: `[n, ...]`.
        points: Number of new points; if fewer, waves that they do not resolve are dropped.
        boundary: As for `SolverConfig`: where points lie, and which series interpolates between them.

    Returns:
        `[points, ...]`.
    """
    if boundary == "periodic":
        return np.asarray(resample(values, points, axis=0))
    given = len(values)
    if boundary == "neumann":
        modes = _first_modes(scipy.fft.dct(values, norm="ortho", axis=0), points)
        return np.asarray(scipy.fft.idct(modes, norm="ortho", axis=0)) * math.sqrt(points / given)
    # A straight line between the boundary values, and a sine series of the rest, which vanishes there.
    line, wanted = (np.linspace(values[0], values[-1], n) for n in (given, points))
    modes = _first_modes(scipy.fft.dst((values - line)[1:-1], type=1, norm="ortho", axis=0), points - 2)
    wanted[1:-1] += scipy.fft.idst(modes, type=1, norm="ortho", axis=0) * math.sqrt((points - 1) / (given - 1))
    return np.asarray(wanted)


def _first_modes(modes: np.ndarray, count: int) -> np.ndarray:
    """The first `count` modes, `[count, ...]`, or all of them and zeros."""
    return np.pad(modes[:count], ((0, max(0, count - len(modes))), *((0, 0),) * (modes.ndim - 1)))


def _cells(points: int, boundary: str) -> int:
    """Steps over the whole domain."""
    return points - 1 if boundary == "dirichlet" else points


@lru_cache(maxsize=64)
def resampling(given: int, wanted: int, boundary: str) -> np.ndarray:
    """The matrix of `resampled` along one axis, `[wanted, given]`, read-only."""
    matrix = resampled(np.eye(given), wanted, boundary)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=64)
def sampling(given: int, wanted: int, boundary: str) -> np.ndarray:
    """The matrix of values at evenly spaced points, `[wanted, given]`, read-only; no wave is dropped at few of them."""
    if wanted >= given:
        return resampling(given, wanted, boundary)
    # An odd multiple of the points, of which these are a part.
    times = math.ceil(given / wanted) // 2 * 2 + 1
    more = _cells(wanted, boundary) * times + wanted - _cells(wanted, boundary)
    first = times // 2 if boundary == "neumann" else 0
    return resampling(given, more, boundary)[first::times]


def along_each(values: np.ndarray, matrices: Sequence[np.ndarray | None]) -> np.ndarray:
    """Apply a matrix `[m, n]` along each of the last axes of `values` `[..., *n]`; None leaves an axis as it is."""
    for axis, matrix in zip(range(-len(matrices), 0), matrices, strict=True):
        if matrix is None:
            continue
        before, after = values.shape[:axis], values.shape[axis + 1 :] if axis < -1 else ()
        flat = values.reshape(-1, matrix.shape[1], math.prod(after))
        moved = flat[..., 0] @ matrix.T if axis == -1 else matrix @ flat
        values = moved.reshape(*before, len(matrix), *after)
    return values


def _at(values: np.ndarray, points: tuple[int, ...], matrix: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Values at other points along each of the last axes, by the matrix of given and wanted points."""
    given = values.shape[values.ndim - len(points) :]
    return along_each(values, [None if n == m else matrix(n, m) for n, m in zip(given, points, strict=True)])
