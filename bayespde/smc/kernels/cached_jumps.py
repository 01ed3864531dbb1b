"""Configurations as integers -> the moved ones, compiled, for at most 20 terms: each is factored once and cached.

A path of the jump process returns to the same configurations again and again, and so do other particles. The log
likelihoods of a configuration's neighbours do not depend on the inverse temperature, so that one cache serves all
stages of a run. A swap move reads the row of the configuration without the term that leaves. A row is a function of its
configuration alone, computed from scratch: results depend neither on the order of the visits nor on the thread.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.jumps import Pass, choose
from bayespde.smc.kernels.layout import LOG_LIKELIHOOD, NEIGHBOUR, ActiveSet, FactorisedRows, make_active_set
from bayespde.smc.kernels.neighbour_odds import TemperedTarget, barker, set_neighbours, tempered_log_odds
from bayespde.smc.kernels.stream import advance, uniform

MOST_TERMS = 20
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
        spins: Work space, `[K]`, bool.
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
    spins: np.ndarray
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
        np.empty(terms, np.bool_),
        np.empty(terms),
        make_active_set(terms, terms),
    )


class CodedParticles(NamedTuple):
    """Particles as integers, overwritten by a pass.

    Attributes:
        codes: Configurations, one bit per column, `[P]`, int64.
        keys: Keys of the particles' random streams, `[P]`, uint64.
        log_likelihood: `[P]`.
        conditional: Gains the integral over time of each spin's probability of being up, summed over particles, `[K]`.
    """

    codes: np.ndarray
    keys: np.ndarray
    log_likelihood: np.ndarray
    conditional: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def move_codes(
    particles: CodedParticles,
    cache: ConfigurationCache,
    problem: FactorisedRows,
    target: TemperedTarget,
    one_pass: Pass,
) -> int:
    """Move particles in place: the jump process for a time, then swap moves; returns the number of flips."""
    # read once: the compiler would count references to every array of a tuple each time it is passed on
    codes, conditional, call = particles.codes, particles.conditional, one_pass.call
    slots, stamp, rate, totals = cache.slot, cache.stamp, cache.rate, cache.total
    flips, terms = 0, conditional.shape[0]
    for particle in range(codes.shape[0]):
        code, key, left = codes[particle], particles.keys[particle], one_pass.time
        while True:
            slot = slots[code]
            if slot < 0 or stamp[slot] != call:
                slot = _find(cache, code, problem, target, call)
            key = advance(key)
            total = totals[slot]
            wait = -math.log(uniform(key)) / total if total > 0.0 else math.inf
            spent = min(wait, left)
            for j in range(terms):
                conditional[j] += spent * (1.0 - rate[slot, j] if (code >> j) & 1 else rate[slot, j])
            left -= wait
            if left <= 0.0:
                break
            key = advance(key)
            code ^= 1 << choose(rate[slot], total * uniform(key))
            flips += 1
        for _ in range(one_pass.swaps):
            code, key = _swap(cache, code, key, problem, target)
        slot = slots[code]
        codes[particle] = code
        particles.log_likelihood[particle] = cache.own[slot if slot >= 0 else _add(cache, code, problem, target)]
    return flips


@njit(cache=True, nogil=True, error_model="numpy")
def mean_rate(
    codes: np.ndarray, cache: ConfigurationCache, problem: FactorisedRows, target: TemperedTarget, call: int
) -> float:
    """Mean over configurations (`[N]`, int64) of the sum of all flips' rates."""
    total = 0.0
    for code in codes:
        total += cache.total[_find(cache, code, problem, target, call)]
    return total / len(codes)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _find(cache: ConfigurationCache, code: int, problem: FactorisedRows, target: TemperedTarget, call: int) -> int:
    """Slot of a configuration, with rates at the present inverse temperature; valid until the next search."""
    slot = cache.slot[code]
    if slot < 0:
        slot = _add(cache, code, problem, target)
    if cache.stamp[slot] != call:
        _set_rates(cache, slot, code, target, call)
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def _add(cache: ConfigurationCache, code: int, problem: FactorisedRows, target: TemperedTarget) -> int:
    """Factor a configuration and cache it; a full cache is emptied first."""
    if cache.used[0] == cache.own.shape[0]:
        cache.slot[:] = -1
        cache.used[0] = 0
    slot = cache.used[0]
    cache.used[0] += 1
    cache.slot[code] = slot
    cache.stamp[slot] = -1
    for j in range(cache.spins.shape[0]):
        cache.spins[j] = (code >> j) & 1
    build(cache.state, problem, cache.spins)
    set_neighbours(cache.state, problem, target)
    cache.own[slot] = cache.state.number[LOG_LIKELIHOOD]
    for j in range(cache.spins.shape[0]):
        cache.neighbour[slot, j] = cache.state.vectors[NEIGHBOUR, j]
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def _set_rates(cache: ConfigurationCache, slot: int, code: int, target: TemperedTarget, call: int) -> None:
    cache.stamp[slot] = call
    total = 0.0
    for j in range(cache.spins.shape[0]):
        active, field = (code >> j) & 1 == 1, _local_field(target, code, j)
        rate = barker(tempered_log_odds(field, active, target.beta, cache.own[slot], cache.neighbour[slot, j]))
        cache.rate[slot, j] = rate
        total += rate
    cache.total[slot] = total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _local_field(target: TemperedTarget, code: int, column: int) -> float:
    """Prior log odds of one spin being up, given all others, of a configuration as a binary number."""
    field = target.logits[column]
    for i in range(target.couplings.shape[0]):
        if (code >> i) & 1:
            field += target.couplings[i, column]
    return float(field)


@njit(cache=True, nogil=True, error_model="numpy")
def _swap(
    cache: ConfigurationCache, code: int, key: int, problem: FactorisedRows, target: TemperedTarget
) -> tuple[int, int]:
    """Swap one active term, chosen uniformly, by heat bath: the new configuration and key."""
    weight, neighbour = cache.weight, cache.neighbour
    terms, size = weight.shape[0], 0
    for j in range(terms):
        size += (code >> j) & 1
    if size == 0 or size == terms:
        return code, key
    key = advance(key)
    rank, term = min(int(uniform(key) * size), size - 1), -1
    while rank >= 0:
        term += 1
        rank -= (code >> term) & 1
    without = code ^ (1 << term)
    slot, peak, total = cache.slot[without], -math.inf, 0.0
    if slot < 0:
        slot = _add(cache, without, problem, target)
    for j in range(terms):
        candidate = neighbour[slot, j]
        free = (without >> j) & 1 == 0 and candidate > -math.inf
        weight[j] = _local_field(target, without, j) + target.beta * candidate if free else -math.inf
        peak = max(peak, weight[j])
    if peak == -math.inf:
        return code, key
    for j in range(terms):
        weight[j] = math.exp(weight[j] - peak)
        total += weight[j]
    key = advance(key)
    return without | (1 << choose(weight, total * uniform(key))), key
