"""Factor + configuration -> its orthogonal factorisation, kept current while columns come and go.

With `Q` an orthonormal basis of the active columns, row i of `W` is `Q_i' [A, y]`: the active columns of `W` are their
triangular factor, and all other columns follow by updates [bjorck1996]. Adding a column is one step of Gram-Schmidt,
taking one out a chain of Givens rotations, both O(k K). Where a pivot is small, the new direction is orthogonalised
twice and multiplied with the factor itself instead of its Gram matrix: errors then grow with the condition number of
the columns and not with its square.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

CAREFUL_PIVOT = 1e-3
EXPLICIT_PIVOT = 1e-8
EXPLICIT_RESIDUAL = 1e-6


class Problem(NamedTuple):
    """What all configurations share.

    Attributes:
        factor: Upper triangular factor of unit-norm columns and the target, `[K+1, K+1]`, float64.
        columns: Its transpose, `[K+1, K+1]`.
        gram: Its Gram matrix, `[K+1, K+1]`.
        tolerance: Configurations with a smaller pivot are refused.
    """

    factor: np.ndarray
    columns: np.ndarray
    gram: np.ndarray
    tolerance: float


class Active(NamedTuple):
    """A configuration and everything that its neighbours' evidence needs; overwritten in place.

    Attributes:
        terms: Active columns in the order of their arrival, `[cap]`, int64.
        place: Position of each column among them, -1 if inactive, `[K]`, int64.
        rows: W, `[cap, K+1]`; the last column belongs to the target.
        basis: Q, `[cap, K+1]`.
        vectors: One value a column, `[5, K+1]`, by the names below.
        inverse: Inverse of the triangular factor, upper triangle, `[cap, cap]`.
        spread: Diagonal of the inverse Gram matrix of the active columns, `[cap]`.
        solution: Least-squares coefficients of the active columns, `[cap]`.
        number: Residual sum of squares, log determinant, log likelihood, sum of rates, `[4]`.
        size: Number of active columns k, and whether room has run out since it was last cleared, `[2]`, int64.
        scratch: Work space, `[K+1]`.
    """

    terms: np.ndarray
    place: np.ndarray
    rows: np.ndarray
    basis: np.ndarray
    vectors: np.ndarray
    inverse: np.ndarray
    spread: np.ndarray
    solution: np.ndarray
    number: np.ndarray
    size: np.ndarray
    scratch: np.ndarray


# rows of `vectors`: the target's residual; D, the squared residual norm of each inactive column, 0 for active ones; Y,
# the product of its residual with the target's; log likelihood after a flip; probability that a Gibbs update flips
RESIDUAL, PIVOT, PRODUCT, NEIGHBOUR, RATE = range(5)
RSS, LOGDET, LOG_LIKELIHOOD, TOTAL_RATE = range(4)


def make_problem(factor: np.ndarray, *, ridge: float, tolerance: float) -> Problem:
    """Prepare an upper triangular factor (`[K+1, K+1]`, float64) for the compiled kernels, the ridge folded in."""
    upper = np.triu(factor)
    if ridge > 0:
        extra = math.sqrt(ridge) * np.eye(len(upper) - 1, len(upper))
        upper = np.triu(np.linalg.qr(np.vstack([upper, extra]), mode="r"))
    upper = np.ascontiguousarray(upper, dtype=np.float64)
    return Problem(upper, np.ascontiguousarray(upper.T), upper.T @ upper, float(tolerance))


@njit(cache=True)
def make_active(columns: int, cap: int) -> Active:
    """Room for configurations of at most `cap` of `columns` terms."""
    return Active(
        np.zeros(cap, np.int64),
        np.full(columns, -1, np.int64),
        np.zeros((cap, columns + 1)),
        np.zeros((cap, columns + 1)),
        np.zeros((5, columns + 1)),
        np.zeros((cap, cap)),
        np.zeros(cap),
        np.zeros(cap),
        np.zeros(4),
        np.zeros(2, np.int64),
        np.zeros(columns + 1),
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
def start(state: Active, problem: Problem) -> None:
    """The empty configuration."""
    columns, vectors = state.place.shape[0], state.vectors
    state.size[0] = 0
    for j in range(columns):
        state.place[j] = -1
        vectors[PIVOT, j] = problem.gram[j, j]
        vectors[PRODUCT, j] = problem.gram[j, columns]
    for i in range(columns + 1):
        vectors[RESIDUAL, i] = problem.columns[columns, i]
    state.number[RSS] = problem.gram[columns, columns]
    state.number[LOGDET] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def orthogonalise(state: Active, problem: Problem, column: int, direction: np.ndarray, twice: bool) -> None:
    """Residual of a column on the basis, into `direction`; once by the stored products, again by fresh ones."""
    direction[:] = problem.columns[column]
    size = state.size[0]
    for i in range(size):
        add_multiple(-state.rows[i, column], state.basis[i], direction)
    if twice:
        for i in range(size):
            add_multiple(-dot(state.basis[i], direction), state.basis[i], direction)


@njit(cache=True, nogil=True, error_model="numpy")
def add_column(state: Active, problem: Problem, column: int) -> None:
    """Take an inactive column in. Its pivot must be positive and there must be room."""
    k, last, vectors = state.size[0], state.place.shape[0], state.vectors
    row, direction, residual = state.rows[k], state.basis[k], vectors[RESIDUAL]
    careful = vectors[PIVOT, column] < CAREFUL_PIVOT
    orthogonalise(state, problem, column, direction, careful)
    square = dot(direction, direction)
    scale = 1.0 / math.sqrt(square)
    for i in range(last + 1):
        direction[i] *= scale
    if careful:
        row[:] = 0.0
        for i in range(last + 1):
            add_multiple(direction[i], problem.factor[i, i:], row[i:])
    else:
        row[:] = problem.gram[column]
        for i in range(k):
            add_multiple(-state.rows[i, column], state.rows[i], row)
        for i in range(last + 1):
            row[i] *= scale
    explained = dot(direction, residual)
    row[last] = explained
    add_multiple(-explained, direction, residual)
    for j in range(last):
        vectors[PIVOT, j] -= row[j] * row[j]
        vectors[PRODUCT, j] -= row[j] * explained
    for i in range(k):
        row[state.terms[i]] = 0.0
    row[column] = 1.0 / scale
    _extend_inverse(state, column, scale, explained)
    state.terms[k] = column
    state.place[column] = k
    state.size[0] = k + 1
    state.number[RSS] = dot(residual, residual)
    state.number[LOGDET] += math.log(square)


@njit(cache=True, nogil=True, error_model="numpy")
def drop_column(state: Active, column: int) -> None:
    """Take an active column out: rotate its row to the end of the triangle, and give back what it explained."""
    position, k, last, vectors = state.place[column], state.size[0], state.place.shape[0], state.vectors
    for i in range(position, k - 1):
        moved = state.terms[i + 1]
        state.terms[i], state.place[moved] = moved, i
        first, second = state.rows[i, moved], state.rows[i + 1, moved]
        length = math.sqrt(first * first + second * second)
        _rotate(state.rows[i], state.rows[i + 1], first / length, second / length)
        _rotate(state.basis[i], state.basis[i + 1], first / length, second / length)
        state.rows[i, moved], state.rows[i + 1, moved] = length, 0.0
    row, direction, residual = state.rows[k - 1], state.basis[k - 1], vectors[RESIDUAL]
    explained = row[last]
    for j in range(last):
        vectors[PIVOT, j] += row[j] * row[j]
        vectors[PRODUCT, j] += row[j] * explained
    add_multiple(explained, direction, residual)
    vectors[PIVOT, column], vectors[PRODUCT, column] = row[column] ** 2, row[column] * explained
    state.place[column] = -1
    state.size[0] = k - 1
    _invert(state)
    state.number[RSS] = dot(residual, residual)
    state.number[LOGDET] -= math.log(row[column] ** 2)


@njit(cache=True, nogil=True, error_model="numpy")
def _extend_inverse(state: Active, column: int, scale: float, explained: float) -> None:
    """Inverse of the triangle, coefficients and spreads once a column has come to its end."""
    k, inverse = state.size[0], state.inverse
    for a in range(k):
        coefficient = 0.0
        for m in range(a, k):
            coefficient += inverse[a, m] * state.rows[m, column]
        inverse[a, k] = -coefficient * scale
        state.spread[a] += inverse[a, k] ** 2
        state.solution[a] += inverse[a, k] * explained
    inverse[k, k] = scale
    state.spread[k], state.solution[k] = scale * scale, scale * explained


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(state: Active) -> None:
    """The same from scratch."""
    k, last, inverse = state.size[0], state.place.shape[0], state.inverse
    for b in range(k):
        column = state.terms[b]
        inverse[b, b] = 1.0 / state.rows[b, column]
        for a in range(b):
            total = 0.0
            for m in range(a, b):
                total += inverse[a, m] * state.rows[m, column]
            inverse[a, b] = -total * inverse[b, b]
    for a in range(k):
        square, value = 0.0, 0.0
        for b in range(a, k):
            square += inverse[a, b] ** 2
            value += inverse[a, b] * state.rows[b, last]
        state.spread[a], state.solution[a] = square, value


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _rotate(upper: np.ndarray, lower: np.ndarray, cosine: float, sine: float) -> None:
    for j in range(upper.shape[0]):
        a, b = upper[j], lower[j]
        upper[j] = cosine * a + sine * b
        lower[j] = cosine * b - sine * a


@njit(cache=True, nogil=True, error_model="numpy")
def build(state: Active, problem: Problem, spins: np.ndarray) -> None:
    """Factor a configuration (`[K]`, bool) anew, columns in canonical order."""
    start(state, problem)
    for j in range(spins.shape[0]):
        if spins[j]:
            add_column(state, problem, j)


@njit(cache=True, nogil=True, error_model="numpy")
def copy_active(source: Active, target: Active) -> None:
    """Overwrite a configuration with another one."""
    k, columns = source.size[0], source.place.shape[0]
    for i in range(k):
        target.terms[i] = source.terms[i]
        target.spread[i] = source.spread[i]
        target.solution[i] = source.solution[i]
        for j in range(columns + 1):
            target.rows[i, j] = source.rows[i, j]
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
    target.size[0] = k
