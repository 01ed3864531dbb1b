"""Factorised configuration -> the conditional distribution of every neighbour with two spins swapped."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayespde.smc.kernels.evidence_table import read_below, read_table
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
)
from bayespde.smc.kernels.neighbour_odds import (
    NEARLY_PERFECT,
    TemperedTarget,
    largest_inflation,
    local_field,
    recompute_rss,
)
from bayespde.smc.kernels.pivot_rule import is_allowed, surely_allowed


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
    own, inflation = state.terms[position], state.inflation[position]
    length = math.sqrt(inflation)
    explained = state.solution[position] / length
    without = state.number[RSS] + explained * explained
    logdet = state.number[LOGDET] + math.log(inflation)
    cross = state.scratch
    cross[:] = 0.0
    for m in range(position, k):
        add_multiple(state.inverse[position, m] / length, state.rows[m], cross)
    for j in range(columns):
        pivot = vectors[PIVOT, j] + cross[j] * cross[j]
        product = vectors[PRODUCT, j] + cross[j] * explained
        state.rss[j] = without - product * product / pivot
    least = max(read_below(table, k, without, state.rss, cumulative), NEARLY_PERFECT * without)
    largest = largest_inflation(state)
    for j in range(columns):
        log_likelihood = -math.inf
        if j == own:
            log_likelihood = state.number[LOG_LIKELIHOOD]
        elif state.place[j] < 0:
            pivot = vectors[PIVOT, j] + cross[j] * cross[j]
            if surely_allowed(pivot, largest, problem.tolerance) or is_allowed(state, problem, position, j):
                log_likelihood, rss = cumulative[j], state.rss[j]
                if not rss >= least:
                    if rss < NEARLY_PERFECT * without:
                        rss = recompute_rss(state, problem, position, j)
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
