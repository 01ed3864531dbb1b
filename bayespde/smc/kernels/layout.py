"""Linear target -> the arrays that the compiled kernels share, of all configurations and of one; loops over vectors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.core.canonical_regression import CanonicalRegression
from bayespde.core.triangular import ridged


class FactorisedRows(NamedTuple):
    """The rows of a target in factorised form, which all configurations share.

    Attributes:
        factor: Upper triangular factor of unit-norm columns and the target, `[K+1, K+1]`, float64.
        columns: Its transpose, `[K+1, K+1]`.
        gram: Its Gram matrix, `[K+1, K+1]`.
        tolerance: Configurations with a smaller pivot are impossible.
    """

    factor: np.ndarray
    columns: np.ndarray
    gram: np.ndarray
    tolerance: float


class ActiveSet(NamedTuple):
    """A configuration with its factorisation, from which the evidence of its neighbours follows; overwritten in place.

    Attributes:
        terms: ActiveSet columns in the order of their arrival, `[cap]`, int64.
        place: Position of each column among them, -1 if inactive, `[K]`, int64.
        rows: W, `[cap, K+1]`; the last column belongs to the target.
        basis: Q, `[cap, K+1]`, while it is stored.
        vectors: One value a column, `[5, K+1]`, by the names below.
        inverse: Inverse of the triangular factor, upper triangle, `[cap, cap]`.
        inflation: Diagonal of the inverse Gram matrix of the active columns, their variance inflation factors, `[cap]`.
        solution: Least-squares coefficients of the active columns, `[cap]`.
        number: Residual sum of squares, log determinant, log likelihood, sum of rates, `[4]`.
        size: Number of active columns k, whether the arrays were ever too small, whether the basis is stored, `[3]`,
            int64.
        scratch: Work space, `[K+1]`.
        rss: Work space, residual sums of squares of neighbours, `[K]`.
    """

    terms: np.ndarray
    place: np.ndarray
    rows: np.ndarray
    basis: np.ndarray
    vectors: np.ndarray
    inverse: np.ndarray
    inflation: np.ndarray
    solution: np.ndarray
    number: np.ndarray
    size: np.ndarray
    scratch: np.ndarray
    rss: np.ndarray


# rows of `vectors`: the target's residual; D, the squared residual norm of each inactive column, 0 for active ones; Y,
# the product of its residual with the target's; log likelihood after a flip; probability that a Gibbs update flips it
RESIDUAL, PIVOT, PRODUCT, NEIGHBOUR, RATE = range(5)
RSS, LOGDET, LOG_LIKELIHOOD, TOTAL_RATE = range(4)
SIZE, OVERFLOW, HAS_BASIS = range(3)


def factorised_rows(rows: CanonicalRegression) -> FactorisedRows:
    """The factor of a regression, with its ridge, as the compiled kernels read it."""
    upper = np.ascontiguousarray(np.triu(ridged(rows.factor, rows.ridge)), dtype=np.float64)
    return FactorisedRows(upper, np.ascontiguousarray(upper.T), upper.T @ upper, float(rows.pivot_tolerance))


def compacted(couplings: np.ndarray) -> np.ndarray:
    """Couplings `[K, K]` for the compiled code, float64; `[0, 0]` without any coupling, which the code then skips."""
    return np.ascontiguousarray(couplings, dtype=np.float64) if np.any(couplings) else np.empty((0, 0))


@njit(cache=True)
def make_active_set(columns: int, cap: int) -> ActiveSet:
    """Room for configurations of at most `cap` of `columns` terms."""
    return ActiveSet(
        np.zeros(cap, np.int64),
        np.full(columns, -1, np.int64),
        np.zeros((cap, columns + 1)),
        np.zeros((cap, columns + 1)),
        np.zeros((5, columns + 1)),
        np.zeros((cap, cap)),
        np.zeros(cap),
        np.zeros(cap),
        np.zeros(4),
        np.zeros(3, np.int64),
        np.zeros(columns + 1),
        np.zeros(columns),
    )


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Product of two vectors; the only place where sums may be reordered for speed."""
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def add_multiple(factor: float, source: np.ndarray, target: np.ndarray) -> None:
    """`target += factor * source`."""
    for i in range(source.shape[0]):
        target[i] += factor * source[i]


@njit(cache=True, nogil=True, error_model="numpy")
def subtract_rows(rows: np.ndarray, column: int, count: int, target: np.ndarray) -> None:
    """`target -= rows[:count, column]' rows[:count]`, four rows at a time to save reads and writes of the target."""
    width, i = target.shape[0], 0
    while i + 4 <= count:
        a, b, c, d = rows[i, column], rows[i + 1, column], rows[i + 2, column], rows[i + 3, column]
        for j in range(width):
            target[j] -= a * rows[i, j] + b * rows[i + 1, j] + c * rows[i + 2, j] + d * rows[i + 3, j]
        i += 4
    while i < count:
        a = rows[i, column]
        for j in range(width):
            target[j] -= a * rows[i, j]
        i += 1


@njit(cache=True, nogil=True, error_model="numpy")
def copy_active_set(source: ActiveSet, target: ActiveSet) -> None:
    """Overwrite a configuration with another one."""
    k, columns, has_basis = source.size[SIZE], source.place.shape[0], source.size[HAS_BASIS]
    for i in range(k):
        target.terms[i] = source.terms[i]
        target.inflation[i] = source.inflation[i]
        target.solution[i] = source.solution[i]
        for j in range(columns + 1):
            target.rows[i, j] = source.rows[i, j]
        if has_basis:
            for j in range(columns + 1):
                target.basis[i, j] = source.basis[i, j]
        for j in range(i, k):
            target.inverse[i, j] = source.inverse[i, j]
    for j in range(columns):
        target.place[j] = source.place[j]
    for i in range(5):
        for j in range(columns + 1):
            target.vectors[i, j] = source.vectors[i, j]
    for i in range(4):
        target.number[i] = source.number[i]
    target.size[SIZE], target.size[HAS_BASIS] = k, has_basis
