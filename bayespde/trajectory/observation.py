"""States at points <-> white pixels: how a field was observed, forwards, along slopes, and transposed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayespde.solve.derivatives import Grid
from bayespde.solve.resolution import along_each, sampling
from bayespde.trajectory.frame_shift import displaced
from bayespde.trajectory.whitener import Whitener


@dataclass(frozen=True, eq=False)
class Observation:
    """Frames are sampled at the pixels, displaced, cut to the window, divided by their noise and made white.

    Attributes:
        pixels: Grid of the pixels over the whole domain.
        boundary: As for `SolverConfig`.
        window: Observed pixels per dimension: the first ones of the domain, or all.
        weight: One over the standard deviation of every pixel, 0 where missing, `[time, pixels]`.
        whiten: Makes residuals in these units independent.
        jitter: Prior deviation of the displacements of frames per axis, physical lengths; empty if they do not move.
    """

    pixels: Grid
    boundary: str
    window: tuple[int, ...]
    weight: np.ndarray
    whiten: Whitener
    jitter: tuple[float, ...]

    @property
    def is_window(self) -> bool:
        """Whether only a part of the domain was observed."""
        return self.window != self.pixels.points

    @cached_property
    def is_separable(self) -> bool:
        """Whether pixels are a product of maps along the axes, the same for all frames."""
        return not (self.jitter or self.whiten.masked) and bool((self.weight == self.weight.flat[0]).all())

    def without_whitening(self) -> Observation:
        """The same for residuals in units of the noise that are not made white."""
        return replace(self, whiten=Whitener(self.window, (None,) * len(self.window)))

    def predicted(self, states: np.ndarray, moved: np.ndarray, derivative: int | None = None) -> np.ndarray:
        """Pixels of states, or their slopes in one axis of the displacement.

        Args:
            states: `[..., time, *points]`.
            moved: Displacement of every frame, `[time, axis]`, physical lengths.
            derivative: The axis, if slopes are wanted.

        Returns:
            `[..., time, pixels]`, units of the field.
        """
        pixels = along_each(states, self._resampling(states.shape[-len(self.window) :]))
        if self.jitter:
            pixels = self._in_window(displaced(pixels, moved, self.pixels.steps, self.boundary, derivative))
        return pixels.reshape(*pixels.shape[: -len(self.window)], -1)

    def white(self, residual: np.ndarray) -> np.ndarray:
        """White values of physical residuals `[time, pixels]`."""
        return self.whiten(residual * self.weight)

    def transposed(self, white: np.ndarray, moved: np.ndarray, points: tuple[int, ...]) -> np.ndarray:
        """White pixels `[time, pixels]` carried back to the points of states, `[time, *points]`.

        The transposed map of a change of states to that of white pixels: slopes times this are slopes of the objective.
        """
        pixels = (self.whiten(white, transpose=True) * self.weight).reshape(len(white), *self.window)
        if self.jitter:
            beyond = [(0, n - w) for n, w in zip(self.pixels.points, self.window, strict=True)]
            pixels = np.pad(pixels, [(0, 0), *beyond])
            pixels = displaced(pixels, moved, self.pixels.steps, self.boundary, transpose=True)
        return along_each(pixels, [m.T for m in self._resampling(points)])

    def rows(self, slopes: np.ndarray, moved: np.ndarray, frames: slice) -> np.ndarray:
        """White rows of slopes of states in some frames.

        Where pixels are a product of maps along the axes, there are as many rows as points: the pixels are rotated so
        that all others are zero.

        Args:
            slopes: In all frames, `[time, k, *points]`.
            moved: Displacement of every frame, `[time, axis]`, physical lengths.
            frames: Which are wanted.

        Returns:
            `[frames, k, rows]`.
        """
        some = slopes[frames]
        if self.is_separable:
            triangles = [triangle for _, triangle in self._rotations(slopes.shape[2:])]
            return self.weight.flat[0] * along_each(some, triangles).reshape(*some.shape[:2], -1)
        # Time is the axis before those of space.
        pixels = self.predicted(np.moveaxis(some, 1, 0), moved[frames]) * self.weight[frames]
        return self.whiten.of_frames(frames)(np.moveaxis(pixels, 0, 1))

    def rotated(self, white: np.ndarray, points: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """White pixels `[time, pixels]` in the rows of slopes, `[time, rows]`, and squares of the others, `[time]`."""
        if not self.is_separable:
            return white, np.zeros(len(white))
        turned = along_each(white.reshape(len(white), *self.window), [q.T for q, _ in self._rotations(points)])
        rows = turned.reshape(len(white), -1)
        return rows, np.maximum(np.sum(white**2, axis=1) - np.sum(rows**2, axis=1), 0.0)

    def _resampling(self, points: tuple[int, ...]) -> list[np.ndarray]:
        """Of every axis, `[pixels, points]`; those of the window where nothing is displaced."""
        sizes = zip(points, self.pixels.points, self.window, strict=True)
        return [sampling(n, all_, self.boundary)[: all_ if self.jitter else seen] for n, all_, seen in sizes]

    def _rotations(self, points: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Orthonormal columns and triangles along every axis, whose products map points to white pixels."""
        roots = zip(self.whiten.roots, self._resampling(points), strict=True)
        found = [np.linalg.qr(m if root is None else root @ m) for root, m in roots]
        return [(columns, triangle) for columns, triangle in found]

    def _in_window(self, frames: np.ndarray) -> np.ndarray:
        """The observed part of frames `[..., *domain]`, `[..., *pixels]`."""
        for axis, points in enumerate(self.window, start=frames.ndim - len(self.window)):
            frames = np.moveaxis(np.moveaxis(frames, axis, 0)[:points], 0, axis)
        return frames
