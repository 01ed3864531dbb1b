"""Equation + grid -> its right-hand side by differences, compiled into one pass over the points.

A frame is kept with as many points beyond every edge as the differences reach, in one flat array, so that neighbours
are at constant distances and the same code serves one, two and three dimensions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import sympy
from numba import float64, int64, njit, types
from numpy.lib.stride_tricks import as_strided

from bayespde.core.terms import Term, derivative_orders
from bayespde.solve.derivatives import Grid, difference_weights

FRAME = float64[::1]
PLACES = int64[::1]
ROWS = types.Tuple((PLACES, int64, PLACES, FRAME))
# Coefficients, rows of the grid, factors, the frames that they belong to; the last one is written.
STAGE = types.void(FRAME, ROWS, FRAME, FRAME, FRAME, FRAME, FRAME, FRAME)
SIZE = float64(FRAME, ROWS, FRAME)
# NaN and infinity must survive: they are how a draw that blows up is known.
FAST = {"contract", "reassoc", "arcp", "nsz"}


class GhostCells(NamedTuple):
    """How points beyond the edges follow from those inside: `u[to] = 2 u[first] - u[second]`, in order.

    Attributes:
        to: `[n]`, int64.
        first: `[n]`, int64.
        second: `[n]`, int64; -1 where `u[to] = u[first]`.
        held: Points inside that do not move, int64.
    """

    to: np.ndarray
    first: np.ndarray
    second: np.ndarray
    held: np.ndarray


@dataclass(frozen=True, eq=False)
class GhostGrid:
    """Where the points of a grid are in a flat array that goes on beyond its edges.

    Attributes:
        grid: The grid.
        width: Points beyond every edge.
        rows: First point of every row along the last axis; its length; distance of neighbours along every axis, in
            points; and what a difference at unit steps is multiplied by, for every derivative of `CompiledRHS.orders`.
        edges: How the others follow.
    """

    grid: Grid
    width: int
    rows: tuple[np.ndarray, int, np.ndarray, np.ndarray]
    edges: GhostCells

    @classmethod
    def of(cls, grid: Grid, boundary: str, compiled: CompiledRHS) -> GhostGrid:
        """The layout for an equation."""
        width = compiled.width
        shape = tuple(n + 2 * width for n in grid.points)
        places = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
        inside = places[(slice(width, -width),) * len(shape)]
        strides = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))], dtype=np.int64)
        scales = [np.prod(np.array(grid.steps) ** -np.array(orders, dtype=float)) for orders in compiled.orders]
        rows = (np.ascontiguousarray(inside[..., 0].ravel()), grid.points[-1], strides, np.array(scales))
        return cls(grid, width, rows, _edges(places, inside, boundary, width))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame with what is beyond it."""
        return tuple(n + 2 * self.width for n in self.grid.points)

    def enter(self, frames: np.ndarray) -> np.ndarray:
        """Frames `[draws, *points]` as flat arrays `[draws, n]`; what is beyond the edges is left 0."""
        wide = np.zeros((len(frames), *self.shape))
        wide[(slice(None), *(slice(self.width, -self.width),) * len(self.shape))] = frames
        return wide.reshape(len(frames), -1)


def _edges(places: np.ndarray, inside: np.ndarray, boundary: str, width: int) -> GhostCells:
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
    held = np.zeros(0, dtype=np.int64)
    if boundary == "dirichlet":
        faces = [np.take(inside, [0, -1], axis).ravel() for axis in range(inside.ndim)]
        held = np.unique(np.concatenate(faces))
    return GhostCells(to, first, second, held)


class CompiledRHS(NamedTuple):
    """A compiled right-hand side; grid steps and coefficients are given at every call.

    Attributes:
        width: Points that its differences reach.
        orders: Of every derivative that it needs, per axis.
        stage: Writes a sum of four frames and the right-hand side of the second, by five factors.
        radius: Bound of the spectral radius of the right-hand side at a frame, 1 / time unit, by the sum of the sizes
            of what every point adds to another [gershgorin1931].
        sideways: Bound of the part of it that is odd, which carries and does not decay.
    """

    width: int
    orders: tuple[tuple[int, ...], ...]
    stage: Any
    radius: Any
    sideways: Any


@lru_cache(maxsize=16)
def compiled_rhs(terms: tuple[Term, ...], dims: tuple[str, ...], order: int) -> CompiledRHS:
    """Compile the terms of an equation by central differences; it takes a second.

    Args:
        terms: All terms.
        dims: Of the grid.
        order: Of accuracy of the differences, 2 or 4.

    Returns:
        The right-hand side.
    """
    names = sorted({s.name for t in terms for s in t.expression.free_symbols})
    orders = tuple(derivative_orders(name, dims) for name in names)
    stencils = [_stencil(o, order) for o in orders]
    width = max([1, *(abs(o) for stencil in stencils for offset in stencil for o in offset)])
    near = {o: sympy.Symbol(f"near_{k}") for k, o in enumerate(sorted({o for s in stencils for o in s}))}
    weights, scales = sympy.IndexedBase("weights"), sympy.IndexedBase("scales")
    values = {
        sympy.Symbol(name, real=True): scales[k] * sympy.Add(*(w * near[o] for o, w in stencil.items()))
        for k, (name, stencil) in enumerate(zip(names, stencils, strict=True))
    }
    total = sympy.Add(*(weights[k] * t.expression.evalf(17).subs(values) for k, t in enumerate(terms)))
    slopes = {offset: sympy.diff(total, symbol) for offset, symbol in near.items()}
    odd = [s - slopes.get(tuple(-o for o in offset), sympy.Integer(0)) for offset, s in slopes.items()]
    sizes = sympy.Add(*map(sympy.Abs, slopes.values())), sympy.Add(*(sympy.Abs(s) / 2 for s in odd))
    at = {symbol: tuple(o + width for o in offset) for offset, symbol in near.items()}
    slope, radius, sideways = (_at_a_point(e, at) for e in (total, *sizes))
    around = AROUND[len(dims)]
    return CompiledRHS(
        width,
        orders,
        _stage(slope, around, width),
        _largest(radius, around, width),
        _largest(sideways, around, width),
    )


def _stencil(orders: tuple[int, ...], order: int) -> dict[tuple[int, ...], float]:
    """Weight of every neighbour in a derivative, at unit steps, by its offset."""
    axes = []
    for derivative in orders:
        offsets, weights = difference_weights(derivative, order)
        axes.append([(int(o), float(w)) for o, w in zip(offsets, weights, strict=True) if w])
    return {tuple(o for o, _ in parts): math.prod(w for _, w in parts) for parts in itertools.product(*axes)}


def _at_a_point(expression: sympy.Expr, at: dict[sympy.Symbol, tuple[int, ...]]) -> Callable[..., Any]:
    """An expression of neighbours as a compiled function of coefficients, scales, what is around a row, and place.

    No index is ever negative, and the compiler, which sees that, works on several points at once.
    """
    around, place = sympy.IndexedBase("around"), sympy.Symbol("place", integer=True)
    indexed = expression.subs({symbol: around[(*o[:-1], place + o[-1])] for symbol, o in at.items()})
    arguments = [sympy.IndexedBase("weights"), sympy.IndexedBase("scales"), around, place]
    function = sympy.lambdify(arguments, indexed, modules="math", cse=True)
    return njit(function, fastmath=FAST, error_model="numpy")  # type: ignore[no-any-return]


@njit
def _around_1(frame, row, strides, width, length):  # type: ignore[no-untyped-def] # pragma: no cover
    return frame[row - width : row + length + width]


@njit
def _around_2(frame, row, strides, width, length):  # type: ignore[no-untyped-def] # pragma: no cover
    corner = frame[row - width * (strides[0] + 1) :]
    return as_strided(corner, (2 * width + 1, length + 2 * width), (8 * strides[0], 8))


@njit
def _around_3(frame, row, strides, width, length):  # type: ignore[no-untyped-def] # pragma: no cover
    corner, side = frame[row - width * (strides[0] + strides[1] + 1) :], 2 * width + 1
    return as_strided(corner, (side, side, length + 2 * width), (8 * strides[0], 8 * strides[1], 8))


# Views of a row and of what its differences reach, by the dimensions of space.
AROUND = {1: _around_1, 2: _around_2, 3: _around_3}


def _stage(slope: Callable[..., Any], around: Callable[..., Any], width: int) -> Any:
    @njit(STAGE, fastmath=FAST, error_model="numpy", nogil=True)
    def stage(weights, rows, factors, start, last, before, first, out):  # type: ignore[no-untyped-def] # pragma: no cover
        starts, length, strides, scales = rows
        of_start, of_last, of_before, of_slope, of_first = factors
        for row in starts:
            near = around(last, row, strides, width, length)
            a, b, c, d, to = start[row:], last[row:], before[row:], first[row:], out[row:]
            for k in range(length):
                to[k] = (
                    of_start * a[k]
                    + of_last * b[k]
                    + of_before * c[k]
                    + of_slope * slope(weights, scales, near, k)
                    + of_first * d[k]
                )

    return stage


def _largest(size: Callable[..., Any], around: Callable[..., Any], width: int) -> Any:
    @njit(SIZE, error_model="numpy", nogil=True)
    def largest(weights, rows, frame):  # type: ignore[no-untyped-def] # pragma: no cover
        starts, length, strides, scales = rows
        found = 0.0
        for row in starts:
            near = around(frame, row, strides, width, length)
            for k in range(length):
                found = max(found, size(weights, scales, near, k))
        return found

    return largest
