"""Configuration + column -> whether the pivot rule of the model allows the column to enter.

The rule tests the pivots with the columns in canonical order: each column's squared distance from those before it. The
kernels hold the columns in the order of their arrival, so that a cheap bound that holds in any order comes first.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayespde.smc.kernels.layout import PIVOT, SIZE, ActiveSet, FactorisedRows, add_multiple, dot


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def surely_allowed(pivot: float, largest: float, tolerance: float) -> bool:
    """Whether no pivot in any order can be below the tolerance once a column with this pivot enters.

    All inflation factors are then at most `largest (1 + 1/pivot)`, and their inverses bound all pivots from below.
    """
    return pivot >= tolerance * largest * (1.0 + pivot)


@njit(cache=True, nogil=True, error_model="numpy")
def _inflation_allows(state: ActiveSet, column: int, tolerance: float) -> bool:
    """The same from every inflation factor: it gains the squared coefficient of the column on its own one / pivot."""
    k, pivot = state.size[SIZE], state.vectors[PIVOT, column]
    if pivot < tolerance:
        return False
    for a in range(k):
        coefficient = 0.0
        for b in range(a, k):
            coefficient += state.inverse[a, b] * state.rows[b, column]
        if tolerance * (state.inflation[a] + coefficient * coefficient / pivot) > 1.0:
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def is_allowed(state: ActiveSet, problem: FactorisedRows, without: int, column: int) -> bool:
    """Whether all pivots in canonical order reach the tolerance with one column added and perhaps one dropped.

    In the basis of the active columns and the new direction every column has k + 1 numbers, so the pivots come from a
    small Gram-Schmidt.

    Args:
        state: The configuration.
        problem: The factor.
        without: Position of the active column to drop, -1 for none.
        column: The inactive column to add.
    """
    k = state.size[SIZE]
    pivot = state.vectors[PIVOT, column]
    if pivot <= 0.0 and without < 0:
        return False
    if _inflation_allows(state, column, problem.tolerance):
        return True
    small = np.zeros((k + 1, k + 1))
    chosen, count = np.empty(k + 1, np.int64), 0
    for j in range(state.place.shape[0]):
        if j == column or (state.place[j] >= 0 and state.place[j] != without):
            chosen[count] = j
            count += 1
    for m in range(count):
        j, vector = chosen[m], small[m]
        for i in range(k):
            vector[i] = state.rows[i, j]
        vector[k] = math.sqrt(max(pivot, 0.0)) if j == column else 0.0
        for _again in range(2):
            for i in range(m):
                add_multiple(-dot(small[i], vector), small[i], vector)
        square = dot(vector, vector)
        if square < problem.tolerance:
            return False
        scale = 1.0 / math.sqrt(square)
        for i in range(k + 1):
            vector[i] *= scale
    return True
