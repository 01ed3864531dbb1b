"""A factored configuration -> log likelihood of every neighbour: one spin flipped, or one term moved elsewhere."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.base import LinearTarget
from bayespde.smc.kernels.evidence_table import EvidenceTable, read_table
from bayespde.smc.kernels.factorisation import EXPLICIT_PIVOT, EXPLICIT_RESIDUAL, keep_basis, orthogonalise
from bayespde.smc.kernels.layout import (
    FULL,
    LOG_LIKELIHOOD,
    LOGDET,
    NEIGHBOUR,
    PIVOT,
    PRODUCT,
    RATE,
    RESIDUAL,
    RSS,
    SIZE,
    TOTAL_RATE,
    Active,
    FactorisedRows,
    add_multiple,
    compacted,
    dot,
)

NEARLY_PERFECT = 1e-4


class Tempered(NamedTuple):
    """The target of the kernels at one temperature.

    Attributes:
        table: Evidence of every size.
        logits: Prior log odds of each spin if all others are down, `[K]`, float64, canonical order.
        couplings: What two spins that are up add to the log prior, `[K, K]`, float64; `[0, 0]` if nothing.
        temperature: Exponent on the likelihood.
    """

    table: EvidenceTable
    logits: np.ndarray
    couplings: np.ndarray
    temperature: float


def compact_couplings(target: LinearTarget) -> np.ndarray:
    """Couplings of a target's prior in canonical order, `[K, K]`, float64; `[0, 0]` if there are none."""
    return compacted(np.asarray(target.prior_couplings)[np.ix_(target.order, target.order)])


@njit(cache=True, nogil=True, error_model="numpy")
def refresh(state: Active, problem: FactorisedRows, target: Tempered) -> None:
    """Bring log likelihood, the flips' log likelihoods and their rates up to date."""
    set_neighbours(state, problem, target)
    _set_rates(state, target)


@njit(cache=True, nogil=True, error_model="numpy")
def set_neighbours(state: Active, problem: FactorisedRows, target: Tempered) -> None:
    """Log likelihood of the configuration and after every flip.

    A flip of an inactive column leaves `RSS - Y^2 / D`, one of an active column `RSS + b^2 / v` with b its coefficient
    and v its diagonal element of the inverse Gram matrix.
    """
    k, table, number, vectors = state.size[SIZE], target.table, state.number, state.vectors
    if number[RSS] < EXPLICIT_RESIDUAL * problem.gram[-1, -1]:
        keep_basis(state, problem)
        _recompute_products(state, problem)
    number[LOG_LIKELIHOOD] = read_table(table, k, number[RSS] + table.offset) + table.determinant * number[LOGDET]
    largest = 1.0
    for i in range(k):
        largest = max(largest, state.spread[i])
        rss = number[RSS] + state.solution[i] ** 2 / state.spread[i]
        value = read_table(table, k - 1, rss + table.offset)
        if table.determinant != 0.0:
            value += table.determinant * (number[LOGDET] + math.log(state.spread[i]))
        vectors[NEIGHBOUR, state.terms[i]] = value
    full = k + 1 >= table.coefficients.shape[0]
    if full and k < state.place.shape[0]:
        state.size[FULL] = 1
    for j in range(state.place.shape[0]):
        if state.place[j] >= 0:
            continue
        if vectors[PIVOT, j] < EXPLICIT_PIVOT:
            _recompute_pivot(state, problem, j)
        pivot = vectors[PIVOT, j]
        if full or not (_surely_allowed(pivot, largest, problem.tolerance) or is_allowed(state, problem, -1, j)):
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
def _set_rates(state: Active, target: Tempered) -> None:
    """Barker's rate `1 / (1 + exp(-log odds))`, which is the probability that a Gibbs update flips the spin.

    Formed from the log odds of the flip on either side, never as one minus the other: log odds of 1e4 are legal.
    """
    total, vectors = 0.0, state.vectors
    for j in range(state.place.shape[0]):
        rate = barker(log_odds(state, target, j))
        vectors[RATE, j] = rate
        total += rate
    state.number[TOTAL_RATE] = total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def log_odds(state: Active, target: Tempered, column: int) -> float:
    """Of flipping one spin; -inf into what is refused, at any temperature."""
    own, neighbour = state.number[LOG_LIKELIHOOD], state.vectors[NEIGHBOUR, column]
    field = local_field(state, target, column)
    return tempered_log_odds(field, state.place[column] >= 0, target.temperature, own, neighbour)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def local_field(state: Active, target: Tempered, column: int) -> float:
    """Prior log odds of one spin being up, given all others."""
    field = target.logits[column]
    if target.couplings.shape[0] > 0:
        for i in range(state.size[SIZE]):
            field += target.couplings[state.terms[i], column]
    return float(field)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def tempered_log_odds(field: float, active: bool, temperature: float, own: float, neighbour: float) -> float:
    """The same from prior log odds of the spin being up, and log likelihoods before and after the flip."""
    if neighbour == -math.inf:
        return neighbour
    gain = temperature * (neighbour - own)
    return float(gain - field if active else gain + field)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def barker(value: float) -> float:
    """Probability of a flip from its log odds, without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    odds = math.exp(value)
    return odds / (1.0 + odds)


@njit(cache=True, nogil=True, error_model="numpy")
def relocation_weights(
    state: Active, problem: FactorisedRows, target: Tempered, position: int, cumulative: np.ndarray
) -> None:
    """Conditional distribution of where one active term stands, given all others.

    The spin at `position` and the inactive ones hold exactly one term together; this is its conditional distribution
    over them. Without the column at `position` the residuals gain `c = Q_i' x_j` along the direction that it alone
    explains: `D + c^2`, `Y + c b / sqrt(v)`.

    Args:
        state: A refreshed configuration of k terms.
        problem: The factor.
        target: The tempered target.
        position: Position of the term among the active ones.
        cumulative: Overwritten by unnormalised cumulated probabilities over all columns, `[K]`.
    """
    k, columns, table, vectors = state.size[SIZE], state.place.shape[0], target.table, state.vectors
    own = state.terms[position]
    spread = state.spread[position]
    length = math.sqrt(spread)
    explained = state.solution[position] / length
    without = state.number[RSS] + explained * explained
    logdet = state.number[LOGDET] + math.log(spread)
    cross = state.scratch
    cross[:] = 0.0
    for m in range(position, k):
        add_multiple(state.inverse[position, m] / length, state.rows[m], cross)
    largest = 1.0
    for i in range(k):
        largest = max(largest, state.spread[i])
    peak = -math.inf
    for j in range(columns):
        log_likelihood = -math.inf
        if j == own:
            log_likelihood = state.number[LOG_LIKELIHOOD]
        elif state.place[j] < 0:
            pivot = vectors[PIVOT, j] + cross[j] * cross[j]
            if _surely_allowed(pivot, largest, problem.tolerance) or is_allowed(state, problem, position, j):
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
            log_likelihood = field + target.temperature * log_likelihood
        cumulative[j] = log_likelihood
        peak = max(peak, cumulative[j])
    total = 0.0
    for j in range(columns):
        total += math.exp(cumulative[j] - peak)
        cumulative[j] = total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _surely_allowed(pivot: float, largest: float, tolerance: float) -> bool:
    """Whether no pivot in any order can be below the tolerance once a column with this pivot is taken in.

    The inverse Gram matrix has at most `largest (1 + 1/pivot)` on its diagonal then, and its inverse bounds all pivots.
    """
    return pivot >= tolerance * largest * (1.0 + pivot)


@njit(cache=True, nogil=True, error_model="numpy")
def _spread_allows(state: Active, column: int, tolerance: float) -> bool:
    """The same from the diagonal itself: it gains the squared coefficients of the column on the active ones / pivot."""
    k, pivot = state.size[SIZE], state.vectors[PIVOT, column]
    if pivot < tolerance:
        return False
    for a in range(k):
        coefficient = 0.0
        for b in range(a, k):
            coefficient += state.inverse[a, b] * state.rows[b, column]
        if tolerance * (state.spread[a] + coefficient * coefficient / pivot) > 1.0:
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def is_allowed(state: Active, problem: FactorisedRows, without: int, column: int) -> bool:
    """Whether all pivots in canonical order reach the tolerance with one column in and perhaps one out.

    In the basis of the active columns and the new direction every column has k + 1 numbers, so the pivots come from a
    small Gram-Schmidt.

    Args:
        state: The configuration.
        problem: The factor.
        without: Position of the active column to leave out, -1 for none.
        column: The inactive column to take in.
    """
    k = state.size[SIZE]
    pivot = state.vectors[PIVOT, column]
    if pivot <= 0.0 and without < 0:
        return False
    if _spread_allows(state, column, problem.tolerance):
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


@njit(cache=True, nogil=True, error_model="numpy")
def _recompute_products(state: Active, problem: FactorisedRows) -> None:
    """Compute Y anew where the target's residual is so small that updates have left too few digits of it."""
    columns, vectors = state.place.shape[0], state.vectors
    state.scratch[:] = 0.0
    for i in range(columns + 1):
        add_multiple(vectors[RESIDUAL, i], problem.factor[i, i:], state.scratch[i:])
    for j in range(columns):
        if state.place[j] < 0:
            vectors[PRODUCT, j] = state.scratch[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _recompute_rss(state: Active, problem: FactorisedRows, without: int, column: int) -> float:
    """Residual sum of squares with one column in and perhaps one out, from the residual itself.

    The difference of two sums of squares has lost the digits of a nearly perfect fit, and several of those compete in a
    relocation.
    """
    keep_basis(state, problem)
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
def _recompute_pivot(state: Active, problem: FactorisedRows, column: int) -> None:
    """The same for one column of which the active ones leave little."""
    keep_basis(state, problem)
    orthogonalise(state, problem, column, state.scratch)
    state.vectors[PIVOT, column] = dot(state.scratch, state.scratch)
    state.vectors[PRODUCT, column] = dot(state.scratch, state.vectors[RESIDUAL])
