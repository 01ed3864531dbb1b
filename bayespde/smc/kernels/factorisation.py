"""Factorised rows + configuration -> its orthogonal factorisation, kept current while columns enter and leave.

With `Q` an orthonormal basis of the active columns, row i of `W` is `Q_i' [A, y]`: the active columns of `W` are their
triangular factor, and all other columns follow by updates [bjorck1996]. Adding a column is one step of Cholesky's
algorithm on the Gram matrix, dropping one is a chain of Givens rotations, both O(k K). Once a pivot or the residual of
the target is small, the basis itself is stored too: a new direction is then orthogonalised twice and multiplied with
the factor instead of its Gram matrix, so that errors grow with the condition number of the columns, not its square.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayespde.smc.kernels.layout import (
    HAS_BASIS,
    LOGDET,
    PIVOT,
    PRODUCT,
    RESIDUAL,
    RSS,
    SIZE,
    ActiveSet,
    FactorisedRows,
    add_multiple,
    dot,
    subtract_rows,
)

CAREFUL_PIVOT = 1e-5
EXPLICIT_PIVOT = 1e-8
EXPLICIT_RESIDUAL = 1e-4
LARGE_INFLATION = 1e3


@njit(cache=True, nogil=True, error_model="numpy")
def clear(state: ActiveSet, problem: FactorisedRows) -> None:
    """Make it the empty configuration."""
    columns, vectors = state.place.shape[0], state.vectors
    state.size[SIZE], state.size[HAS_BASIS] = 0, 0
    for j in range(columns):
        state.place[j] = -1
        vectors[PIVOT, j] = problem.gram[j, j]
        vectors[PRODUCT, j] = problem.gram[j, columns]
    state.number[RSS] = problem.gram[columns, columns]
    state.number[LOGDET] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def store_basis(state: ActiveSet, problem: FactorisedRows) -> None:
    """Start to store the basis and the target's residual: from the columns, each orthogonalised twice."""
    if state.size[HAS_BASIS]:
        return
    k, columns, residual = state.size[SIZE], state.place.shape[0], state.vectors[RESIDUAL]
    state.size[HAS_BASIS] = 1
    residual[:] = problem.columns[columns]
    for i in range(k):
        state.size[SIZE] = i
        orthogonalise(state, problem, state.terms[i], state.basis[i])
        length = math.sqrt(dot(state.basis[i], state.basis[i]))
        for j in range(columns + 1):
            state.basis[i, j] /= length
        state.rows[i, state.terms[i]] = length
        state.rows[i, columns] = dot(state.basis[i], residual)
        add_multiple(-state.rows[i, columns], state.basis[i], residual)
    state.size[SIZE] = k
    state.number[RSS] = dot(residual, residual)
    _invert(state)
    _set_inflation(state)


@njit(cache=True, nogil=True, error_model="numpy")
def orthogonalise(state: ActiveSet, problem: FactorisedRows, column: int, direction: np.ndarray) -> None:
    """Residual of a column on the basis, into `direction`: once by the stored products, again by fresh ones.

    The corrections of the second pass are added to the stored products: the triangle must belong to exactly this basis,
    because rotations are computed from the triangle and applied to both.
    """
    size = state.size[SIZE]
    direction[:] = problem.columns[column]
    for i in range(size):
        add_multiple(-state.rows[i, column], state.basis[i], direction)
    for i in range(size):
        more = dot(state.basis[i], direction)
        state.rows[i, column] += more
        add_multiple(-more, state.basis[i], direction)


@njit(cache=True, nogil=True, error_model="numpy")
def add_column(state: ActiveSet, problem: FactorisedRows, column: int) -> None:
    """Add an inactive column. Its pivot must be positive and the arrays large enough."""
    k, last, vectors = state.size[SIZE], state.place.shape[0], state.vectors
    if vectors[PIVOT, column] < CAREFUL_PIVOT:
        store_basis(state, problem)
    row = state.rows[k]
    if state.size[HAS_BASIS]:
        square = _direct_row(state, problem, column, row)
    else:
        square = vectors[PIVOT, column]
        row[:] = problem.gram[column]
        subtract_rows(state.rows, column, k, row)
        scale = 1.0 / math.sqrt(square)
        for j in range(last):
            row[j] *= scale
        row[last] = vectors[PRODUCT, column] * scale
        state.number[RSS] -= row[last] ** 2
    explained, length = row[last], math.sqrt(square)
    for j in range(last):
        vectors[PIVOT, j] -= row[j] * row[j]
        vectors[PRODUCT, j] -= row[j] * explained
    for i in range(k):
        row[state.terms[i]] = 0.0
    row[column] = length
    _extend_inverse(state, column, 1.0 / length, explained)
    state.terms[k] = column
    state.place[column] = k
    state.size[SIZE] = k + 1
    state.number[LOGDET] += math.log(square)


@njit(cache=True, nogil=True, error_model="numpy")
def _direct_row(state: ActiveSet, problem: FactorisedRows, column: int, row: np.ndarray) -> float:
    """New direction of the basis and its products with all columns; returns the pivot."""
    k, last = state.size[SIZE], state.place.shape[0]
    direction, residual = state.basis[k], state.vectors[RESIDUAL]
    orthogonalise(state, problem, column, direction)
    square = dot(direction, direction)
    scale = 1.0 / math.sqrt(square)
    for i in range(last + 1):
        direction[i] *= scale
    if square < CAREFUL_PIVOT:
        row[:] = 0.0
        for i in range(last + 1):
            add_multiple(direction[i], problem.factor[i, i:], row[i:])
    else:
        row[:] = problem.gram[column]
        subtract_rows(state.rows, column, k, row)
        for j in range(last):
            row[j] *= scale
    row[last] = dot(direction, residual)
    add_multiple(-row[last], direction, residual)
    state.number[RSS] = dot(residual, residual)
    return square


@njit(cache=True, nogil=True, error_model="numpy")
def drop_column(state: ActiveSet, problem: FactorisedRows, column: int) -> None:
    """Drop an active column: rotate its row to the end of the triangle, and undo its contribution."""
    position, k, last, vectors = state.place[column], state.size[SIZE], state.place.shape[0], state.vectors
    has_basis = state.size[HAS_BASIS]
    for i in range(position, k - 1):
        moved = state.terms[i + 1]
        state.terms[i], state.place[moved] = moved, i
        first, second = state.rows[i, moved], state.rows[i + 1, moved]
        length = math.sqrt(first * first + second * second)
        cosine, sine = first / length, second / length
        _rotate(state.rows[i], state.rows[i + 1], cosine, sine)
        if has_basis:
            _rotate(state.basis[i], state.basis[i + 1], cosine, sine)
        _rotate_inverse(state.inverse, i, cosine, sine)
        state.rows[i, moved], state.rows[i + 1, moved] = length, 0.0
    row = state.rows[k - 1]
    explained = row[last]
    for j in range(last):
        vectors[PIVOT, j] += row[j] * row[j]
        vectors[PRODUCT, j] += row[j] * explained
    vectors[PIVOT, column], vectors[PRODUCT, column] = row[column] ** 2, row[column] * explained
    state.number[LOGDET] -= math.log(row[column] ** 2)
    if has_basis:
        add_multiple(explained, state.basis[k - 1], vectors[RESIDUAL])
        state.number[RSS] = dot(vectors[RESIDUAL], vectors[RESIDUAL])
    else:
        state.number[RSS] += explained * explained
    state.place[column] = -1
    state.size[SIZE] = k - 1
    _shrink_inverse(state, position)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _rotate(upper: np.ndarray, lower: np.ndarray, cosine: float, sine: float) -> None:
    for j in range(upper.shape[0]):
        a, b = upper[j], lower[j]
        upper[j] = cosine * a + sine * b
        lower[j] = cosine * b - sine * a


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _rotate_inverse(inverse: np.ndarray, i: int, cosine: float, sine: float) -> None:
    """Apply a rotation of rows i and i + 1 of the triangle to the columns of its inverse."""
    inverse[i + 1, i] = 0.0
    for row in range(i + 2):
        a, b = inverse[row, i], inverse[row, i + 1]
        inverse[row, i] = cosine * a + sine * b
        inverse[row, i + 1] = cosine * b - sine * a


@njit(cache=True, nogil=True, error_model="numpy")
def _extend_inverse(state: ActiveSet, column: int, scale: float, explained: float) -> None:
    """Inverse of the triangle, coefficients and inflation factors after a column was added at its end."""
    k, inverse, stored = state.size[SIZE], state.inverse, state.scratch
    for m in range(k):
        stored[m] = state.rows[m, column]
    for a in range(k):
        coefficient = 0.0
        for m in range(a, k):
            coefficient += inverse[a, m] * stored[m]
        inverse[a, k] = -coefficient * scale
        state.inflation[a] += inverse[a, k] ** 2
        state.solution[a] += inverse[a, k] * explained
    inverse[k, k] = scale
    state.inflation[k], state.solution[k] = scale * scale, scale * explained


@njit(cache=True, nogil=True, error_model="numpy")
def _shrink_inverse(state: ActiveSet, position: int) -> None:
    """The same after the column at `position` was dropped and the inverse was rotated.

    Entries that a nearly collinear column made large do not return to full precision: then the inverse is recomputed.
    """
    k, inverse, largest = state.size[SIZE], state.inverse, 1.0
    for a in range(k + 1):
        largest = max(largest, state.inflation[a])
    for a in range(position, k):
        for b in range(a, k):
            inverse[a, b] = inverse[a + 1, b]
    if largest > LARGE_INFLATION:
        _invert(state)
    _set_inflation(state)


@njit(cache=True, nogil=True, error_model="numpy")
def _set_inflation(state: ActiveSet) -> None:
    """Inflation factors and coefficients from the inverse triangle."""
    k, last, inverse = state.size[SIZE], state.place.shape[0], state.inverse
    for a in range(k):
        square, value = 0.0, 0.0
        for b in range(a, k):
            square += inverse[a, b] ** 2
            value += inverse[a, b] * state.rows[b, last]
        state.inflation[a], state.solution[a] = square, value


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(state: ActiveSet) -> None:
    """Compute the inverse of the triangle anew."""
    k, inverse, stored = state.size[SIZE], state.inverse, state.scratch
    for b in range(k):
        column = state.terms[b]
        for m in range(b + 1):
            stored[m] = state.rows[m, column]
        inverse[b, b] = 1.0 / stored[b]
        for a in range(b):
            total = 0.0
            for m in range(a, b):
                total += inverse[a, m] * stored[m]
            inverse[a, b] = -total * inverse[b, b]


@njit(cache=True, nogil=True, error_model="numpy")
def build(state: ActiveSet, problem: FactorisedRows, spins: np.ndarray) -> None:
    """Factor a configuration (`[K]`, bool) anew, columns in canonical order."""
    clear(state, problem)
    for j in range(spins.shape[0]):
        if spins[j]:
            add_column(state, problem, j)
