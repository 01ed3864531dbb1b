"""Grid + boundary condition -> a flat array with ghost cells, so that differences need no special cases.

A frame is stored with as many points beyond every boundary as the differences reach. Neighbours are then at constant
distances, and the same code serves one, two and three dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.solve.derivatives import Grid


class GhostCells(NamedTuple):
    """How ghost cells follow from the points inside: `u[to] = 2 u[first] - u[second]`, in order.

    Attributes:
        to: `[n]`, int64.
        first: `[n]`, int64.
        second: `[n]`, int64; -1 where `u[to] = u[first]`.
        fixed: Boundary points under Dirichlet conditions, which do not move, int64.
    """

    to: np.ndarray
    first: np.ndarray
    second: np.ndarray
    fixed: np.ndarray


@dataclass(frozen=True, eq=False)
class GhostGrid:
    """Where the points of a grid are in a flat array with ghost cells.

    Attributes:
        grid: The grid.
        width: Ghost cells beyond every boundary.
        rows: First point of every row along the last axis; its length; distance of neighbours along every axis, in
            points; and, for every derivative, the factor of a difference at unit steps.
        ghosts: The ghost cells.
    """

    grid: Grid
    width: int
    rows: tuple[np.ndarray, int, np.ndarray, np.ndarray]
    ghosts: GhostCells

    @classmethod
    def of(cls, grid: Grid, boundary: str, width: int, derivatives: tuple[tuple[int, ...], ...]) -> GhostGrid:
        """Lay out a grid for differences.

        Args:
            grid: The grid.
            boundary: As for `SolverConfig`.
            width: Points that the differences reach.
            derivatives: Orders of every derivative, per axis.
        """
        shape = tuple(n + 2 * width for n in grid.points)
        places = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
        inside = places[(slice(width, -width),) * len(shape)]
        strides = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))], dtype=np.int64)
        scales = [np.prod(np.array(grid.steps) ** -np.array(orders, dtype=float)) for orders in derivatives]
        rows = (np.ascontiguousarray(inside[..., 0].ravel()), grid.points[-1], strides, np.array(scales))
        return cls(grid, width, rows, _ghost_cells(places, inside, boundary, width))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame with its ghost cells."""
        return tuple(n + 2 * self.width for n in self.grid.points)

    def enter(self, frames: np.ndarray) -> np.ndarray:
        """Frames `[draws, *points]` as flat arrays `[draws, n]`; ghost cells are left 0."""
        wide = np.zeros((len(frames), *self.shape))
        wide[(slice(None), *(slice(self.width, -self.width),) * len(self.shape))] = frames
        return wide.reshape(len(frames), -1)


def _ghost_cells(places: np.ndarray, inside: np.ndarray, boundary: str, width: int) -> GhostCells:
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for axis in range(places.ndim):
        last = places.shape[axis] - 1 - width
        lines = np.moveaxis(places, axis, 0)
        for k in range(1, width + 1):
            for to, edge, step in ((width - k, width, 1), (last + k, last, -1)):
                if boundary == "periodic":
                    found.append((lines[to], lines[to + step * (last - width + 1)], np.full_like(lines[to], -1)))
                elif boundary == "neumann":
                    found.append((lines[to], lines[edge + step * (k - 1)], np.full_like(lines[to], -1)))
                else:
                    found.append((lines[to], lines[edge], lines[edge + step * k]))
    to, first, second = (np.concatenate([np.ravel(part[c]) for part in found]) for c in range(3))
    fixed = np.zeros(0, dtype=np.int64)
    if boundary == "dirichlet":
        faces = [np.take(inside, [0, -1], axis).ravel() for axis in range(inside.ndim)]
        fixed = np.unique(np.concatenate(faces))
    return GhostCells(to, first, second, fixed)


@njit(nogil=True, cache=True)
def fill_ghost_cells(frame, to, first, second):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write the ghost cells of a flat frame, `[n]`, in place, by the first three arrays of `GhostCells`."""
    for k in range(len(to)):
        frame[to[k]] = frame[first[k]] if second[k] < 0 else 2 * frame[first[k]] - frame[second[k]]
