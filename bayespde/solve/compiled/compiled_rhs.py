"""Terms -> the right-hand side of an equation by differences, compiled into one pass over a `GhostGrid`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import sympy
from numba import float64, int64, njit, types
from numpy.lib.stride_tricks import as_strided

from bayespde.core.terms import Term, derivative_orders
from bayespde.solve.derivatives import difference_weights

FRAME = float64[::1]
PLACES = int64[::1]
ROWS = types.Tuple((PLACES, int64, PLACES, FRAME))
# Coefficients, rows of the grid, factors, the four frames that they multiply, and the frame that is written.
STAGE = types.void(FRAME, ROWS, FRAME, FRAME, FRAME, FRAME, FRAME, FRAME)
SIZE = float64(FRAME, ROWS, FRAME)
# NaN and infinity are kept: they show that a draw diverges.
FAST = {"contract", "reassoc", "arcp", "nsz"}


class CompiledRHS(NamedTuple):
    """A compiled right-hand side; grid steps and coefficients are given at every call.

    Attributes:
        width: Points that its differences reach.
        derivatives: Orders of every derivative that it needs, per axis.
        stage: Writes the sum of four frames and of the right-hand side of the second one, by five factors.
        radius: Bound of the spectral radius of the right-hand side at a frame, 1 / time unit, by the sum of the
            absolute contributions of all points to one [gershgorin1931].
        advection: The same bound of its antisymmetric part, which transports and does not decay.
    """

    width: int
    derivatives: tuple[tuple[int, ...], ...]
    stage: Any
    radius: Any
    advection: Any


@lru_cache(maxsize=16)
def compiled_rhs(terms: tuple[Term, ...], dims: tuple[str, ...], order: int) -> CompiledRHS:
    """Compile the terms of an equation by central differences, which takes about a second.

    Args:
        terms: All terms.
        dims: Dimensions of the grid.
        order: Order of accuracy of the differences, 2 or 4.

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
    slope, radius, advection = (_at_a_point(e, at) for e in (total, *sizes))
    around = AROUND[len(dims)]
    return CompiledRHS(
        width,
        orders,
        _stage(slope, around, width),
        _largest(radius, around, width),
        _largest(advection, around, width),
    )


def _stencil(orders: tuple[int, ...], order: int) -> dict[tuple[int, ...], float]:
    """Weight of every neighbour in a derivative, at unit steps, by its offset."""
    axes = []
    for derivative in orders:
        offsets, weights = difference_weights(derivative, order)
        axes.append([(int(o), float(w)) for o, w in zip(offsets, weights, strict=True) if w])
    return {tuple(o for o, _ in parts): math.prod(w for _, w in parts) for parts in itertools.product(*axes)}


def _at_a_point(expression: sympy.Expr, at: dict[sympy.Symbol, tuple[int, ...]]) -> Callable[..., Any]:
    """An expression in neighbours as a compiled function of coefficients, scales, the points around a row, and a place.

    No index is ever negative, so that the compiler can vectorise over points.
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


# Views of a row and of the points around it that its differences reach, by the number of dimensions of space.
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
