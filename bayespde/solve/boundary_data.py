"""Observed frames -> time-dependent Dirichlet boundary data: the values of a field on the boundary of its grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# Times that differ by less than this, relative to the shortest interval, are equal.
SAME_TIME = 1e-9


@dataclass(frozen=True, eq=False)
class DirichletData:
    """Values on the boundary of a grid, linear in time between frames.

    Attributes:
        times: Strictly increasing, `[frames]`.
        values: Frames of which only the boundary points are read, `[frames, *points]`, float64; the same for all draws.
    """

    times: np.ndarray
    values: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """Interpolated frames, `[times, *points]`; before the first and after the last frame they are constant."""
        after = np.clip(np.searchsorted(self.times, times, side="right"), 1, len(self.times) - 1)
        before = after - 1
        share = (np.asarray(times) - self.times[before]) / (self.times[after] - self.times[before])
        share = np.clip(share, 0.0, 1.0).reshape(-1, *(1,) * (self.values.ndim - 1))
        return np.asarray((1 - share) * self.values[before] + share * self.values[after])

    def refined_times(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Output times and the times of the frames between them: boundary values are linear in between.

        Returns:
            All times, `[all]`, and the indices of `times` among them.
        """
        near = SAME_TIME * float(np.diff(times).min())
        between = self.times[(self.times > times[0] + near) & (self.times < times[-1] - near)]
        between = between[np.abs(between[:, None] - times).min(axis=1) > near]
        every = np.sort(np.concatenate([times, between]))
        return every, np.searchsorted(every, times)

    def rates(self, times: np.ndarray) -> np.ndarray:
        """Change per time of the boundary points between times, zero inside, `[times - 1, *points]`."""
        change = np.diff(self.at(times), axis=0) / np.diff(times).reshape(-1, *(1,) * (self.values.ndim - 1))
        return np.asarray(np.where(boundary_mask(self.values.shape[1:]), change, 0.0))

    def imposed_on(self, states: np.ndarray, time: float) -> np.ndarray:
        """States `[..., *points]` with the boundary values of a time."""
        return np.asarray(np.where(boundary_mask(self.values.shape[1:]), self.at(np.array([time]))[0], states))

    def resampled(self, values: np.ndarray) -> DirichletData:
        """The same times with values at the points of another grid."""
        return replace(self, values=values)


def boundary_mask(points: tuple[int, ...]) -> np.ndarray:
    """Which points of a grid are on its boundary, bool."""
    mask = np.ones(points, dtype=bool)
    mask[tuple(slice(1, -1) for _ in points)] = False
    return mask
