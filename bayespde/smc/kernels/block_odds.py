"""Factorised configuration -> log odds of the flip of a set of spins, from small matrices; compiled.

In the basis of the k active columns, column d alone explains row d of the inverse triangle: where columns leave, the
residual space gains the span of their rows. The m columns that enter, and the target, have a Gram matrix there; the
last pivot of its Cholesky factor is the new residual sum of squares. All that costs O(m^2 k), where factoring the
configuration so that it serves every neighbour costs O(m k K).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayespde.smc.kernels.evidence_table import read_table
from bayespde.smc.kernels.factorisation import CAREFUL_PIVOT
from bayespde.smc.kernels.layout import (
    LOG_LIKELIHOOD,
    LOGDET,
    PIVOT,
    PRODUCT,
    RSS,
    SIZE,
    ActiveSet,
    FactorisedRows,
    add_multiple,
    dot,
)
from bayespde.smc.kernels.neighbour_odds import TemperedTarget, local_field


@njit(cache=True, nogil=True, error_model="numpy")
def prior_gain(state: ActiveSet, target: TemperedTarget, members: np.ndarray) -> float:
    """Log prior after the flip of some spins (`[m]`, int64) less that before it."""
    gain = 0.0
    for a in range(members.shape[0]):
        column = members[a]
        field = local_field(state, target, column)
        if target.couplings.shape[0] > 0:
            for b in range(a):
                coupling = target.couplings[members[b], column]
                field += -coupling if state.place[members[b]] >= 0 else coupling
        gain += -field if state.place[column] >= 0 else field
    return gain


@njit(cache=True, nogil=True, error_model="numpy")
def inactive(state: ActiveSet, members: np.ndarray) -> np.ndarray:
    """Those of some columns, `[m]`, int64, that are not active, in the same order."""
    return members[state.place[members] < 0]


@njit(cache=True, nogil=True, error_model="numpy")
def likelihood_gain(state: ActiveSet, problem: FactorisedRows, target: TemperedTarget, members: np.ndarray) -> float:
    """Log likelihood after the flip of some spins less that before it; NaN where small matrices do not give it.

    Products of residuals are differences of products, and lose digits where columns are nearly collinear or the target
    is nearly explained. Whether the pivot rule allows the configuration is not tested.

    Args:
        state: A refreshed configuration of k terms.
        problem: The factor.
        target: The tempered target.
        members: Spins to flip, `[m]`, int64.
    """
    table, entering = target.table, inactive(state, members)
    leaving = members.shape[0] - entering.shape[0]
    size = state.size[SIZE] + entering.shape[0] - leaving
    if size >= table.coefficients.shape[0]:
        return math.nan
    freed, logdet = _freed_directions(state, members, leaving)
    gram = _residual_gram(state, problem, freed, np.append(entering, state.place.shape[0]))
    logdet += _eliminate(gram)
    value = read_table(table, size, gram[-1, -1] + table.offset)
    if table.determinant != 0.0:
        value += table.determinant * (state.number[LOGDET] + logdet)
    return math.nan if math.isnan(logdet) else value - state.number[LOG_LIKELIHOOD]


@njit(cache=True, nogil=True, error_model="numpy")
def _freed_directions(state: ActiveSet, members: np.ndarray, leaving: int) -> tuple[np.ndarray, float]:
    """What active members alone explain: an orthonormal basis, `[leaving, k]`, and log determinant, perhaps NaN."""
    k, logdet, count = state.size[SIZE], 0.0, 0
    freed = np.zeros((leaving, k))
    for column in members:
        position = state.place[column]
        if position < 0:
            continue
        own = freed[count]
        own[position:] = state.inverse[position, position:k]
        for _again in range(2):
            for i in range(count):
                add_multiple(-dot(freed[i], own), freed[i], own)
        square = dot(own, own)
        if not square >= CAREFUL_PIVOT * state.inflation[position]:
            return freed, math.nan
        logdet += math.log(square)
        scale = 1.0 / math.sqrt(square)
        for m in range(k):
            own[m] *= scale
        count += 1
    return freed, logdet


@njit(cache=True, nogil=True, error_model="numpy")
def _residual_gram(state: ActiveSet, problem: FactorisedRows, freed: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Gram matrix of residuals of inactive columns and the target, which comes last, once directions are free."""
    k, leaving, count = state.size[SIZE], freed.shape[0], columns.shape[0]
    rows, gained, gram = np.empty((count, k)), np.empty((count, leaving)), np.empty((count, count))
    for a in range(count):
        for m in range(k):
            rows[a, m] = state.rows[m, columns[a]]
        for i in range(leaving):
            gained[a, i] = dot(freed[i], rows[a])
        for b in range(a):
            gram[a, b] = problem.gram[columns[a], columns[b]] - dot(rows[a], rows[b]) + dot(gained[a], gained[b])
    last = count - 1
    for a in range(last):
        gram[a, a] = state.vectors[PIVOT, columns[a]] + dot(gained[a], gained[a])
        gram[last, a] = state.vectors[PRODUCT, columns[a]] + dot(gained[last], gained[a])
    gram[last, last] = state.number[RSS] + dot(gained[last], gained[last])
    return gram


@njit(cache=True, nogil=True, error_model="numpy")
def _eliminate(gram: np.ndarray) -> float:
    """Cholesky's algorithm in the lower triangle, the last pivot without a root: log determinant of the others.

    It is NaN where pivots have lost their digits.
    """
    last, logdet = gram.shape[0] - 1, 0.0
    for a in range(last + 1):
        for b in range(a):
            value = gram[a, b]
            for c in range(b):
                value -= gram[a, c] * gram[b, c]
            gram[a, b] = value / gram[b, b]
        square = gram[a, a]
        for b in range(a):
            square -= gram[a, b] ** 2
        if not square >= CAREFUL_PIVOT * gram[a, a]:
            return math.nan
        gram[a, a] = square if a == last else math.sqrt(square)
        logdet += 0.0 if a == last else math.log(square)
    return logdet
