"""Linear target -> its evidence as piecewise polynomials, which compiled kernels read instead of the mixture over g."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.polynomial import chebyshev

from bayespde.core.errors import ConfigError
from bayespde.smc.base import LinearTarget

DEGREE = 7
# Largest error of the fit in nats; relative to a log evidence above 1e4, whose rounding errors are larger.
TOLERANCE = 1e-9
MOST_BITS = 9


class EvidenceTable(NamedTuple):
    """Log evidence of every size as a function of `s = rss + offset`.

    An interval of s is found from the leading bits of its floating-point form, so that reading needs no logarithm.

    Attributes:
        coefficients: Of the polynomial in the position `u` in [-1, 1] within the interval, `[sizes, intervals, 8]`,
            float64, highest power first.
        shift: Number of trailing bits of s that give the position within an interval.
        first: Leading bits of the first interval.
        offset: Added to the residual sum of squares.
        smallest: Smallest s that can occur.
        largest: Largest s that can occur.
        determinant: Factor on the log determinant: -1/2 with a ridge, 0 without.
    """

    coefficients: np.ndarray
    shift: int
    first: int
    offset: float
    smallest: float
    largest: float
    determinant: float


def tabulate(target: LinearTarget, *, sizes: int, bits: int = 4) -> EvidenceTable:
    """Fit polynomials of degree 7 to the log evidence at the Chebyshev points of short intervals.

    Args:
        target: What to sample.
        sizes: Tables are made for configurations of 0 ... `sizes - 1` terms.
        bits: Intervals per octave of s, as a power of two; raised until the fit is good to 1e-9 nats, or to a
            relative error of 1e-13.

    Returns:
        The table, from the residuals of the full configuration to those of the empty one.

    Raises:
        ConfigError: If the evidence is too rough to be tabulated.
    """
    rows = target.regression
    # without a ridge the residual of the full configuration; with one all residuals are larger
    smallest = max(float(rows.factor[-1, -1]) ** 2 * (1 - 1e-9) + rows.offset, np.finfo(np.float64).tiny)
    largest = rows.energy * (1 + 1e-9) + rows.offset
    determinant = -0.5 if rows.ridge > 0 else 0.0
    for precision in range(bits, MOST_BITS + 1):
        shift = 52 - precision
        first, last = (int(np.float64(s).view(np.int64)) >> shift for s in (smallest, largest))
        edges = (np.arange(first, last + 2, dtype=np.int64) << shift).view(np.float64)
        coefficients = _fit(target, edges, sizes)
        table = EvidenceTable(coefficients, shift, first, rows.offset, smallest, largest, determinant)
        if _error(target, table, edges) < TOLERANCE:
            return table
    raise ConfigError(
        "The evidence is too rough to be tabulated.",
        got=f"an error above {TOLERANCE} nats with {2**MOST_BITS} intervals per octave",
        wanted="a smooth function of the residual sum of squares",
        fix="sample with kernel='gibbs'",
    )


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def read_table(table: EvidenceTable, size: int, s: float) -> float:
    """Log evidence (log determinant apart) of a configuration of `size` terms at `s = rss + offset`."""
    # written so that even a NaN is read inside the table
    s = s if s > table.smallest else table.smallest
    s = s if s < table.largest else table.largest
    pattern = np.float64(s).view(np.int64)
    interval = pattern >> table.shift
    u = (pattern - (interval << table.shift)) * (2.0 / (1 << table.shift)) - 1.0
    row = table.coefficients[size, interval - table.first]
    value = row[0]
    for power in range(1, DEGREE + 1):
        value = value * u + row[power]
    return float(value)


@njit(cache=True, nogil=True, error_model="numpy")
def read_below(table: EvidenceTable, size: int, start: float, rss: np.ndarray, values: np.ndarray) -> float:
    """The same at many residual sums of squares (`[N]`) not above `start`, into `values`, `[N]`.

    Most are near `start`: two intervals serve all, in a loop that the compiler can vectorise.

    Returns:
        The least residual sum of squares for which the values are right; below it they are not.
    """
    s = min(max(start + table.offset, table.smallest), table.largest)
    interval = np.float64(s).view(np.int64) >> table.shift
    edge, end = (
        np.int64(interval << table.shift).view(np.float64),
        np.int64((interval + 1) << table.shift).view(np.float64),
    )
    low = np.int64((interval - 1) << table.shift).view(np.float64)
    place = int(interval) - table.first
    near, scale = table.coefficients[size, place], 2.0 / (end - edge)
    far, far_scale = table.coefficients[size, max(place - 1, 0)], 2.0 / (edge - low)
    a0, a1, a2, a3, a4, a5, a6, a7 = near[0], near[1], near[2], near[3], near[4], near[5], near[6], near[7]
    b0, b1, b2, b3, b4, b5, b6, b7 = far[0], far[1], far[2], far[3], far[4], far[5], far[6], far[7]
    for j in range(values.shape[0]):
        x = rss[j] + table.offset
        u, v = (x - edge) * scale - 1.0, (x - low) * far_scale - 1.0
        a = ((((((a0 * u + a1) * u + a2) * u + a3) * u + a4) * u + a5) * u + a6) * u + a7
        b = ((((((b0 * v + b1) * v + b2) * v + b3) * v + b4) * v + b5) * v + b6) * v + b7
        values[j] = a if x >= edge else b
    return float(low if place > 0 else edge) - table.offset


def _evaluate(target: LinearTarget, s: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Log evidence without log determinant, `[sizes, N]`, at `s` `[N]`."""
    sizes, points = np.repeat(size, len(s)), np.tile(s - target.regression.offset, len(size))
    logdet = np.zeros(len(points))
    return target.log_evidence_given(sizes, points, logdet).numpy().reshape(len(size), len(s))


def _fit(target: LinearTarget, edges: np.ndarray, sizes: int) -> np.ndarray:
    """Coefficients `[sizes, intervals, 8]`, highest power first, from the values at Chebyshev points."""
    points = chebyshev.chebpts1(DEGREE + 1)
    low, high = edges[:-1, None], edges[1:, None]
    middle = 0.5 * (low + high)
    s = middle + 0.5 * (high - low) * points
    every = np.arange(sizes)
    values = _evaluate(target, s.ravel(), every).reshape(sizes, *s.shape)
    # differences from the middle of the interval, so that large log evidences lose no digits
    centre = _evaluate(target, middle.ravel(), every)[..., None]
    unit = np.eye(DEGREE + 1)
    to_powers = np.stack([np.pad(chebyshev.cheb2poly(row[: i + 1]), (0, DEGREE - i)) for i, row in enumerate(unit)])
    coefficients = (values - centre) @ np.linalg.inv(chebyshev.chebvander(points, DEGREE)).T @ to_powers
    coefficients[..., 0] += centre[..., 0]
    return np.ascontiguousarray(coefficients[..., ::-1])


def _error(target: LinearTarget, table: EvidenceTable, edges: np.ndarray) -> float:
    """Largest error in nats away from the points of the fit; relative to a log evidence above 1e4."""
    sizes = len(table.coefficients)
    some = np.unique(np.linspace(0, sizes - 1, 4).astype(int))
    s = np.concatenate([edges[:-1] + share * np.diff(edges) for share in (0.03, 0.41, 0.93)])
    s = s[(s >= table.smallest) & (s <= table.largest)]
    wanted = _evaluate(target, s, some)
    got = read_all(table, some, s)
    return float(np.max(np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted) * 1e-4), initial=0.0))


@njit(cache=True)
def read_all(table: EvidenceTable, sizes: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Values of some sizes (`[N]`, int64) at some points (`[M]`): `[N, M]`."""
    values = np.empty((len(sizes), len(s)))
    for i in range(len(sizes)):
        for j in range(len(s)):
            values[i, j] = read_table(table, sizes[i], s[j])
    return values
