"""Frames that have come -> what the edges of a field are held at while the law moves the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# Of the shortest interval, below which two times are one.
SAME_TIME = 1e-9


@dataclass(frozen=True, eq=False)
class DirichletData:
    """Values along the edges of a grid, linear in time between frames.

    Attributes:
        times: Strictly increasing, `[frames]`.
        values: Frames of which the edges count, `[frames, *points]`, float64; the same for all draws.
    """

    times: np.ndarray
    values: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """Frames at times within those that have come, `[times, *points]`."""
        after = np.clip(np.searchsorted(self.times, times, side="right"), 1, len(self.times) - 1)
        before = after - 1
        share = (np.asarray(times) - self.times[before]) / (self.times[after] - self.times[before])
        share = np.clip(share, 0.0, 1.0).reshape(-1, *(1,) * (self.values.ndim - 1))
        return np.asarray((1 - share) * self.values[before] + share * self.values[after])

    def clock(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Times and those of the frames between them, so that the edges are straight in between; and which are which.

        Returns:
            All times, `[all]`, and the places of `times` among them.
        """
        near = SAME_TIME * float(np.diff(times).min())
        between = self.times[(self.times > times[0] + near) & (self.times < times[-1] - near)]
        between = between[np.abs(between[:, None] - times).min(axis=1) > near]
        every = np.sort(np.concatenate([times, between]))
        return every, np.searchsorted(every, times)

    def rates(self, times: np.ndarray) -> np.ndarray:
        """Change per time of the edges between times, zero within, `[times - 1, *points]`."""
        change = np.diff(self.at(times), axis=0) / np.diff(times).reshape(-1, *(1,) * (self.values.ndim - 1))
        return np.asarray(np.where(boundary_mask(self.values.shape[1:]), change, 0.0))

    def onto(self, states: np.ndarray, time: float) -> np.ndarray:
        """States `[..., *points]` with their edges as they are at a time."""
        return np.asarray(np.where(boundary_mask(self.values.shape[1:]), self.at(np.array([time]))[0], states))

    def resampled(self, values: np.ndarray) -> DirichletData:
        """The same at the points of another grid."""
        return replace(self, values=values)


def boundary_mask(points: tuple[int, ...]) -> np.ndarray:
    """Which points of a grid are on its edges, bool."""
    edge = np.ones(points, dtype=bool)
    edge[tuple(slice(1, -1) for _ in points)] = False
    return edge
