"""Configurations as integers -> log likelihoods of their neighbours, each factored once and kept; compiled.

The log likelihoods of a configuration's neighbours do not depend on the inverse temperature, so that one cache serves
all stages of a run. A row is a function of its configuration alone, computed from scratch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.kernels.barker import barker
from bayespde.smc.kernels.factorisation import EXPLICIT_PIVOT, add_column, clear
from bayespde.smc.kernels.layout import LOG_LIKELIHOOD, NEIGHBOUR, PIVOT, ActiveSet, FactorisedRows, make_active_set
from bayespde.smc.kernels.neighbour_odds import TemperedTarget, recompute_pivot, set_neighbours, tempered_log_odds

SLOTS = 2**16


class ConfigurationCache(NamedTuple):
    """Configurations that have been factored, as binary numbers with one bit per column.

    Attributes:
        slot: Slot of a configuration, -1 if it is not cached, `[2^K]`, int32.
        neighbour: Log likelihood after each flip, `[slots, K]`.
        own: Log likelihood, `[slots]`.
        rate: Flip probabilities at the inverse temperature of `stamp`, `[slots, K]`.
        total: Their sum, `[slots]`.
        stamp: Number of the pass to which the rates belong, `[slots]`, int64.
        used: Number of slots in use, `[1]`, int64.
        weight: Work space, `[K]`.
        state: Work space for a factorisation.
    """

    slot: np.ndarray
    neighbour: np.ndarray
    own: np.ndarray
    rate: np.ndarray
    total: np.ndarray
    stamp: np.ndarray
    used: np.ndarray
    weight: np.ndarray
    state: ActiveSet


def make_cache(terms: int) -> ConfigurationCache:
    """An empty cache for configurations of `terms` columns."""
    slots = min(2**terms, SLOTS)
    return ConfigurationCache(
        np.full(2**terms, -1, np.int32),
        np.empty((slots, terms)),
        np.empty(slots),
        np.empty((slots, terms)),
        np.empty(slots),
        np.full(slots, -1, np.int64),
        np.zeros(1, np.int64),
        np.empty(terms),
        make_active_set(terms, terms),
    )


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def find(cache: ConfigurationCache, code: int, problem: FactorisedRows, target: TemperedTarget, call: int) -> int:
    """Slot of a configuration, with rates at the present inverse temperature; valid until the next search."""
    slot = cache.slot[code]
    if slot < 0:
        slot = add(cache, code, problem, target)
    if cache.stamp[slot] != call:
        _set_rates(cache, slot, code, target, call)
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def add(cache: ConfigurationCache, code: int, problem: FactorisedRows, target: TemperedTarget) -> int:
    """Factor a configuration and cache it; a full cache is emptied first."""
    if cache.used[0] == cache.own.shape[0]:
        cache.slot[:] = -1
        cache.used[0] = 0
    slot = cache.used[0]
    cache.used[0] += 1
    cache.slot[code] = slot
    cache.stamp[slot] = -1
    if _built(cache.state, problem, code):
        set_neighbours(cache.state, problem, target)
        cache.own[slot] = cache.state.number[LOG_LIKELIHOOD]
        cache.neighbour[slot] = cache.state.vectors[NEIGHBOUR, : cache.neighbour.shape[1]]
    else:
        cache.own[slot] = -math.inf
        cache.neighbour[slot] = -math.inf
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def _built(state: ActiveSet, problem: FactorisedRows, code: int) -> bool:
    """Factor a configuration with its columns in canonical order, unless the pivot rule forbids it."""
    clear(state, problem)
    for j in range(state.place.shape[0]):
        if (code >> j) & 1:
            if state.vectors[PIVOT, j] < EXPLICIT_PIVOT:
                recompute_pivot(state, problem, j)
            if state.vectors[PIVOT, j] < problem.tolerance:
                return False
            add_column(state, problem, j)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _set_rates(cache: ConfigurationCache, slot: int, code: int, target: TemperedTarget, call: int) -> None:
    cache.stamp[slot] = call
    total = 0.0
    for j in range(cache.neighbour.shape[1]):
        active, field = (code >> j) & 1 == 1, coded_field(target, code, j)
        rate = barker(tempered_log_odds(field, active, target.beta, cache.own[slot], cache.neighbour[slot, j]))
        cache.rate[slot, j] = rate
        total += rate
    cache.total[slot] = total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def coded_field(target: TemperedTarget, code: int, column: int) -> float:
    """Prior log odds of one spin being up, given all others, of a configuration as a binary number."""
    field = target.logits[column]
    for i in range(target.couplings.shape[0]):
        if (code >> i) & 1:
            field += target.couplings[i, column]
    return float(field)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def own_of(cache: ConfigurationCache, code: int, problem: FactorisedRows, target: TemperedTarget) -> float:
    """Log likelihood of a configuration, -inf where the pivot rule forbids it."""
    slot = cache.slot[code]
    return float(cache.own[slot if slot >= 0 else add(cache, code, problem, target)])
