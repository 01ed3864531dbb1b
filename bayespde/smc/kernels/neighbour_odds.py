"""Factorised configuration -> log likelihood of every neighbour, odds and rates: one spin flipped, or two swapped."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.core.canonical_regression import CanonicalRegression
from bayespde.smc.kernels.evidence_table import EvidenceTable, read_table
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
    if number[RSS] < EXPLICIT_RESIDUAL * problem.gram[-1, -1]:
        store_basis(state, problem)
        _recompute_products(state, problem)
    number[LOG_LIKELIHOOD] = read_table(table, k, number[RSS] + table.offset) + table.determinant * number[LOGDET]
    largest = 1.0
    for i in range(k):
        largest = max(largest, state.inflation[i])
        rss = number[RSS] + state.solution[i] ** 2 / state.inflation[i]
        value = read_table(table, k - 1, rss + table.offset)
        if table.determinant != 0.0:
            value += table.determinant * (number[LOGDET] + math.log(state.inflation[i]))
        vectors[NEIGHBOUR, state.terms[i]] = value
    full = k + 1 >= table.coefficients.shape[0]
    if full and k < state.place.shape[0]:
        state.size[OVERFLOW] = 1
    for j in range(state.place.shape[0]):
        if state.place[j] >= 0:
            continue
        if vectors[PIVOT, j] < EXPLICIT_PIVOT:
            _recompute_pivot(state, problem, j)
        pivot = vectors[PIVOT, j]
        if full or not (surely_allowed(pivot, largest, problem.tolerance) or is_allowed(state, problem, -1, j)):
            vectors[NEIGHBOUR, j] = -math.inf
            continue
        rss = number[RSS] - vectors[PRODUCT, j] ** 2 / pivot
        if rss < NEARLY_PERFECT * number[RSS]:
            rss = _recompute_rss(state, problem, -1, j)
        value = read_table(table, k + 1, rss + table.offset)
        if table.determinant != 0.0:
            value += table.determinant * (number[LOGDET] + math.log(pivot))
        vectors[NEIGHBOUR, j] = value


@njit(cache=True, nogil=True, error_model="numpy")
def _set_rates(state: ActiveSet, target: TemperedTarget) -> None:
    """Barker's rate `1 / (1 + exp(-log odds))`, which is the probability that a Gibbs update flips the spin.

    Formed from the log odds of the flip in both directions, never as one minus the other: log odds of 1e4 occur.
    """
    total, vectors = 0.0, state.vectors
    for j in range(state.place.shape[0]):
        rate = barker(log_odds(state, target, j))
        vectors[RATE, j] = rate
        total += rate
    state.number[TOTAL_RATE] = total


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


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def barker(value: float) -> float:
    """Probability of a flip from its log odds, without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    odds = math.exp(value)
    return odds / (1.0 + odds)


@njit(cache=True, nogil=True, error_model="numpy")
def swap_weights(
    state: ActiveSet, problem: FactorisedRows, target: TemperedTarget, position: int, cumulative: np.ndarray
) -> None:
    """Conditional distribution of the partner with which one active term is swapped, itself included.

    The configuration without the term gains one of the inactive terms or the term itself; this is the conditional
    distribution over these choices. Without the column at `position` the residuals gain `c = Q_i' x_j` along the
    direction that it alone explains: `D + c^2`, `Y + c b / sqrt(v)`.

    Args:
        state: A refreshed configuration of k terms.
        problem: The factor.
        target: The tempered target.
        position: Position of the term among the active ones.
        cumulative: Overwritten by unnormalised cumulated probabilities over all columns, `[K]`.
    """
    k, columns, table, vectors = state.size[SIZE], state.place.shape[0], target.table, state.vectors
    own = state.terms[position]
    inflation = state.inflation[position]
    length = math.sqrt(inflation)
    explained = state.solution[position] / length
    without = state.number[RSS] + explained * explained
    logdet = state.number[LOGDET] + math.log(inflation)
    cross = state.scratch
    cross[:] = 0.0
    for m in range(position, k):
        add_multiple(state.inverse[position, m] / length, state.rows[m], cross)
    largest = 1.0
    for i in range(k):
        largest = max(largest, state.inflation[i])
    for j in range(columns):
        log_likelihood = -math.inf
        if j == own:
            log_likelihood = state.number[LOG_LIKELIHOOD]
        elif state.place[j] < 0:
            pivot = vectors[PIVOT, j] + cross[j] * cross[j]
            if surely_allowed(pivot, largest, problem.tolerance) or is_allowed(state, problem, position, j):
                product = vectors[PRODUCT, j] + cross[j] * explained
                rss = without - product * product / pivot
                if rss < NEARLY_PERFECT * without:
                    rss = _recompute_rss(state, problem, position, j)
                log_likelihood = read_table(table, k, rss + table.offset)
                if table.determinant != 0.0:
                    log_likelihood += table.determinant * (logdet + math.log(pivot))
        if log_likelihood > -math.inf:
            field = local_field(state, target, j)
            if target.couplings.shape[0] > 0:
                field -= target.couplings[own, j]
            log_likelihood = field + target.beta * log_likelihood
        cumulative[j] = log_likelihood
    _cumulate(cumulative)


@njit(cache=True, nogil=True, error_model="numpy")
def _cumulate(log_weight: np.ndarray) -> None:
    """Replace log weights by cumulated weights, in units of the largest one."""
    peak, total = -math.inf, 0.0
    for j in range(log_weight.shape[0]):
        peak = max(peak, log_weight[j])
    for j in range(log_weight.shape[0]):
        total += math.exp(log_weight[j] - peak)
        log_weight[j] = total


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
def _recompute_rss(state: ActiveSet, problem: FactorisedRows, without: int, column: int) -> float:
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
def _recompute_pivot(state: ActiveSet, problem: FactorisedRows, column: int) -> None:
    """Pivot and product of one column that is nearly in the span of the active ones, from its residual itself."""
    store_basis(state, problem)
    orthogonalise(state, problem, column, state.scratch)
    state.vectors[PIVOT, column] = dot(state.scratch, state.scratch)
    state.vectors[PRODUCT, column] = dot(state.scratch, state.vectors[RESIDUAL])
