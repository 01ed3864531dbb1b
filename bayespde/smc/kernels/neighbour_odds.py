"""Factorised configuration -> log likelihood of every neighbour with one spin flipped, and rates of the flips."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.core.canonical_regression import CanonicalRegression
from bayespde.smc.kernels.barker import barker_all
from bayespde.smc.kernels.evidence_table import EvidenceTable, read_below, read_table
from bayespde.smc.kernels.factorisation import EXPLICIT_PIVOT, EXPLICIT_RESIDUAL, orthogonalise, store_basis
from bayespde.smc.kernels.layout import (
    LOG_LIKELIHOOD,
    LOGDET,
    NEIGHBOUR,
    OVERFLOW,
    PIVOT,
    PRODUCT,
    RATE,
    RESIDUAL,
    RSS,
    SIZE,
    TOTAL_RATE,
    ActiveSet,
    FactorisedRows,
    add_multiple,
    compacted,
    dot,
)
from bayespde.smc.kernels.pivot_rule import is_allowed, surely_allowed

NEARLY_PERFECT = 1e-4


class TemperedTarget(NamedTuple):
    """The target of the kernels at one inverse temperature.

    Attributes:
        table: Evidence of every size.
        logits: Prior log odds of each spin if all others are down, `[K]`, float64, canonical order.
        couplings: What two spins that are up add to the log prior, `[K, K]`, float64; `[0, 0]` without any.
        beta: Inverse temperature, the exponent on the likelihood.
    """

    table: EvidenceTable
    logits: np.ndarray
    couplings: np.ndarray
    beta: float


def compact_couplings(rows: CanonicalRegression) -> np.ndarray:
    """Couplings of the prior in canonical order, `[K, K]`, float64; `[0, 0]` if there are none."""
    return compacted(rows.prior.couplings[np.ix_(rows.order, rows.order)])


@njit(cache=True, nogil=True, error_model="numpy")
def refresh(state: ActiveSet, problem: FactorisedRows, target: TemperedTarget) -> None:
    """Update the log likelihood, that of every flip, and the rates of the flips."""
    set_neighbours(state, problem, target)
    _set_rates(state, target)


@njit(cache=True, nogil=True, error_model="numpy")
def set_neighbours(state: ActiveSet, problem: FactorisedRows, target: TemperedTarget) -> None:
    """Log likelihood of the configuration and after every flip.

    A flip of an inactive column leaves `RSS - Y^2 / D`, one of an active column `RSS + b^2 / v` with b its coefficient
    and v its inflation factor.
    """
    k, table, number, vectors = state.size[SIZE], target.table, state.number, state.vectors
    set_likelihood(state, problem, target)
    largest = largest_inflation(state)
    _set_inactive(state, problem, target, largest)
    for i in range(k):
        rss = number[RSS] + state.solution[i] ** 2 / state.inflation[i]
        value = read_table(table, k - 1, rss + table.offset)
        if table.determinant != 0.0:
            value += table.determinant * (number[LOGDET] + math.log(state.inflation[i]))
        vectors[NEIGHBOUR, state.terms[i]] = value


@njit(cache=True, nogil=True, error_model="numpy")
def set_likelihood(state: ActiveSet, problem: FactorisedRows, target: TemperedTarget) -> None:
    """Log likelihood of the configuration; residuals that nearly vanish are computed anew."""
    table, number = target.table, state.number
    if number[RSS] < EXPLICIT_RESIDUAL * problem.gram[-1, -1]:
        store_basis(state, problem)
        _recompute_products(state, problem)
    value = read_table(table, state.size[SIZE], number[RSS] + table.offset)
    number[LOG_LIKELIHOOD] = value + table.determinant * number[LOGDET]


@njit(cache=True, nogil=True, error_model="numpy")
def _set_inactive(state: ActiveSet, problem: FactorisedRows, target: TemperedTarget, largest: float) -> None:
    """Log likelihood after the flip of every inactive column; what is written for active ones has no meaning."""
    table, number, columns = target.table, state.number, state.place.shape[0]
    pivots, products, values = state.vectors[PIVOT], state.vectors[PRODUCT], state.vectors[NEIGHBOUR, :columns]
    size = state.size[SIZE] + 1
    if size >= table.coefficients.shape[0]:
        state.size[OVERFLOW] |= size <= columns
        values[:] = -math.inf
        return
    for j in range(columns):
        if state.place[j] < 0 and pivots[j] < EXPLICIT_PIVOT:
            recompute_pivot(state, problem, j)
    for j in range(columns):
        state.rss[j] = number[RSS] - products[j] ** 2 / pivots[j]
    least = max(read_below(table, size, number[RSS], state.rss, values), NEARLY_PERFECT * number[RSS])
    for j in range(columns):
        if state.place[j] >= 0:
            continue
        pivot = pivots[j]
        if not (surely_allowed(pivot, largest, problem.tolerance) or is_allowed(state, problem, -1, j)):
            values[j] = -math.inf
            continue
        if not state.rss[j] >= least:
            rss = state.rss[j]
            if rss < NEARLY_PERFECT * number[RSS]:
                rss = recompute_rss(state, problem, -1, j)
            values[j] = read_table(table, size, rss + table.offset)
        if table.determinant != 0.0:
            values[j] += table.determinant * (number[LOGDET] + math.log(pivot))


@njit(cache=True, nogil=True, error_model="numpy")
def largest_inflation(state: ActiveSet) -> float:
    """Largest inflation factor of the active columns, at least 1."""
    largest = 1.0
    for i in range(state.size[SIZE]):
        largest = max(largest, state.inflation[i])
    return largest


@njit(cache=True, nogil=True, error_model="numpy")
def _set_rates(state: ActiveSet, target: TemperedTarget) -> None:
    """Barker's rate of every flip, and their sum."""
    columns, own, beta, logits = state.place.shape[0], state.number[LOG_LIKELIHOOD], target.beta, target.logits
    rates, neighbours = state.vectors[RATE, :columns], state.vectors[NEIGHBOUR]
    if target.couplings.shape[0] > 0:
        for j in range(columns):
            rates[j] = log_odds(state, target, j)
    else:
        for j in range(columns):
            rates[j] = tempered_log_odds(logits[j], state.place[j] >= 0, beta, own, neighbours[j])
    state.number[TOTAL_RATE] = barker_all(rates)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def log_odds(state: ActiveSet, target: TemperedTarget, column: int) -> float:
    """Of flipping one spin; -inf into an impossible configuration, at any inverse temperature."""
    own, neighbour = state.number[LOG_LIKELIHOOD], state.vectors[NEIGHBOUR, column]
    field = local_field(state, target, column)
    return tempered_log_odds(field, state.place[column] >= 0, target.beta, own, neighbour)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def local_field(state: ActiveSet, target: TemperedTarget, column: int) -> float:
    """Prior log odds of one spin being up, given all others."""
    field = target.logits[column]
    if target.couplings.shape[0] > 0:
        for i in range(state.size[SIZE]):
            field += target.couplings[state.terms[i], column]
    return float(field)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def tempered_log_odds(field: float, active: bool, beta: float, own: float, neighbour: float) -> float:
    """The same from prior log odds of the spin being up, and log likelihoods before and after the flip."""
    if neighbour == -math.inf:
        return neighbour
    gain = beta * (neighbour - own)
    return float(gain - field if active else gain + field)


@njit(cache=True, nogil=True, error_model="numpy")
def _recompute_products(state: ActiveSet, problem: FactorisedRows) -> None:
    """Compute Y anew from the target's residual, when that is so small that updates have lost its digits."""
    columns, vectors = state.place.shape[0], state.vectors
    state.scratch[:] = 0.0
    for i in range(columns + 1):
        add_multiple(vectors[RESIDUAL, i], problem.factor[i, i:], state.scratch[i:])
    for j in range(columns):
        if state.place[j] < 0:
            vectors[PRODUCT, j] = state.scratch[j]


@njit(cache=True, nogil=True, error_model="numpy")
def recompute_rss(state: ActiveSet, problem: FactorisedRows, without: int, column: int) -> float:
    """Residual sum of squares with one column added and perhaps one dropped, from the residual itself.

    The difference of two sums of squares loses the digits of a nearly perfect fit, and several such fits may compete in
    a swap move.
    """
    store_basis(state, problem)
    residual, direction = state.vectors[RESIDUAL].copy(), np.empty_like(state.scratch)
    orthogonalise(state, problem, column, direction)
    if without >= 0:
        lone = np.zeros_like(direction)
        for m in range(without, state.size[SIZE]):
            add_multiple(state.inverse[without, m], state.basis[m], lone)
        square = dot(lone, lone)
        add_multiple(state.solution[without] / square, lone, residual)
        add_multiple(dot(lone, problem.columns[column]) / square, lone, direction)
    add_multiple(-dot(direction, residual) / dot(direction, direction), direction, residual)
    return dot(residual, residual)


@njit(cache=True, nogil=True, error_model="numpy")
def recompute_pivot(state: ActiveSet, problem: FactorisedRows, column: int) -> None:
    """Pivot and product of one column that is nearly in the span of the active ones, from its residual itself."""
    store_basis(state, problem)
    orthogonalise(state, problem, column, state.scratch)
    state.vectors[PIVOT, column] = dot(state.scratch, state.scratch)
    state.vectors[PRODUCT, column] = dot(state.scratch, state.vectors[RESIDUAL])
