"""The moves of `barker` for libraries of at most 20 terms: every configuration is factored once and remembered.

A path of the jump process returns to the same configurations again and again, and so do the other particles. What a
configuration's neighbours are worth does not depend on the temperature, so a table of them serves all stages of a run.
A relocation reads the row of the configuration without the term that moves. A row is a function of its configuration
alone, computed from scratch: results depend neither on the order of the visits nor on which thread made them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.jumps import choose
from bayespde.smc.kernels.layout import LOG_LIKELIHOOD, NEIGHBOUR, Active, FactorisedRows, make_active
from bayespde.smc.kernels.neighbour_odds import Tempered, barker, set_neighbours, tempered_log_odds
from bayespde.smc.kernels.stream import advance, uniform

MOST_TERMS = 20
SLOTS = 2**16


class ConfigurationCache(NamedTuple):
    """Configurations that have been seen, one bit a column.

    Attributes:
        slot: Where a configuration is remembered, -1 if it is not, `[2^K]`, int32.
        neighbour: Log likelihood after each flip, `[slots, K]`.
        own: Log likelihood, `[slots]`.
        rate: Flip probabilities at the temperature of `stamp`, `[slots, K]`.
        total: Their sum, `[slots]`.
        stamp: Number of the call that the rates belong to, `[slots]`, int64.
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
    state: Active


def make_memo(terms: int) -> ConfigurationCache:
    """An empty memory for configurations of `terms` columns."""
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
        make_active(terms, terms),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def move_codes(
    codes: np.ndarray,
    keys: np.ndarray,
    memo: ConfigurationCache,
    problem: FactorisedRows,
    target: Tempered,
    time: float,
    swaps: int,
    call: int,
    log_likelihood: np.ndarray,
    conditional: np.ndarray,
) -> int:
    """Move particles in place: the jump process for a time, then relocations.

    Args:
        codes: Configurations, one bit a column, `[P]`, int64; overwritten.
        keys: Keys of the particles' random numbers, `[P]`, uint64.
        memo: What is known already.
        problem: The factor.
        target: The tempered target.
        time: How long the jump process runs.
        swaps: Number of relocations.
        call: Number of this call, so that rates of other temperatures are told apart.
        log_likelihood: Overwritten, `[P]`.
        conditional: Gains the integral over time of each spin's probability of being up, summed over particles, `[K]`.

    Returns:
        The number of flips.
    """
    flips, terms = 0, conditional.shape[0]
    # read once: the compiler would count references to every array of a tuple each time it is passed on
    slots, stamp, rate, totals = memo.slot, memo.stamp, memo.rate, memo.total
    for particle in range(codes.shape[0]):
        code, key, left = codes[particle], keys[particle], time
        while True:
            slot = slots[code]
            if slot < 0 or stamp[slot] != call:
                slot = _find(memo, code, problem, target, call)
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
        for _ in range(swaps):
            code, key = _relocate(memo, code, key, problem, target)
        slot = slots[code]
        codes[particle] = code
        log_likelihood[particle] = memo.own[slot if slot >= 0 else _learn(memo, code, problem, target)]
    return flips


@njit(cache=True, nogil=True, error_model="numpy")
def mean_rate(
    codes: np.ndarray, memo: ConfigurationCache, problem: FactorisedRows, target: Tempered, call: int
) -> float:
    """Mean over configurations (`[N]`, int64) of the sum of all flips' rates."""
    total = 0.0
    for code in codes:
        total += memo.total[_find(memo, code, problem, target, call)]
    return total / len(codes)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _find(memo: ConfigurationCache, code: int, problem: FactorisedRows, target: Tempered, call: int) -> int:
    """Slot of a configuration with rates at the present temperature; valid until the next one is looked for."""
    slot = memo.slot[code]
    if slot < 0:
        slot = _learn(memo, code, problem, target)
    if memo.stamp[slot] != call:
        _set_rates(memo, slot, code, target, call)
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(memo: ConfigurationCache, code: int, problem: FactorisedRows, target: Tempered) -> int:
    """Factor a configuration and remember it; forget all others where there is no more room."""
    if memo.used[0] == memo.own.shape[0]:
        memo.slot[:] = -1
        memo.used[0] = 0
    slot = memo.used[0]
    memo.used[0] += 1
    memo.slot[code] = slot
    memo.stamp[slot] = -1
    for j in range(memo.spins.shape[0]):
        memo.spins[j] = (code >> j) & 1
    build(memo.state, problem, memo.spins)
    set_neighbours(memo.state, problem, target)
    memo.own[slot] = memo.state.number[LOG_LIKELIHOOD]
    for j in range(memo.spins.shape[0]):
        memo.neighbour[slot, j] = memo.state.vectors[NEIGHBOUR, j]
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def _set_rates(memo: ConfigurationCache, slot: int, code: int, target: Tempered, call: int) -> None:
    memo.stamp[slot] = call
    total = 0.0
    for j in range(memo.spins.shape[0]):
        active, field = (code >> j) & 1 == 1, _field(target, code, j)
        rate = barker(tempered_log_odds(field, active, target.temperature, memo.own[slot], memo.neighbour[slot, j]))
        memo.rate[slot, j] = rate
        total += rate
    memo.total[slot] = total


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _field(target: Tempered, code: int, column: int) -> float:
    """Prior log odds of one spin being up, given all others, of a configuration that is a binary number."""
    field = target.logits[column]
    for i in range(target.couplings.shape[0]):
        if (code >> i) & 1:
            field += target.couplings[i, column]
    return float(field)


@njit(cache=True, nogil=True, error_model="numpy")
def _relocate(
    memo: ConfigurationCache, code: int, key: int, problem: FactorisedRows, target: Tempered
) -> tuple[int, int]:
    """Draw anew where one active term, chosen uniformly, stands: the new configuration and key."""
    weight, neighbour = memo.weight, memo.neighbour
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
    slot, peak, total = memo.slot[without], -math.inf, 0.0
    if slot < 0:
        slot = _learn(memo, without, problem, target)
    for j in range(terms):
        candidate = neighbour[slot, j]
        free = (without >> j) & 1 == 0 and candidate > -math.inf
        weight[j] = _field(target, without, j) + target.temperature * candidate if free else -math.inf
        peak = max(peak, weight[j])
    if peak == -math.inf:
        return code, key
    for j in range(terms):
        weight[j] = math.exp(weight[j] - peak)
        total += weight[j]
    key = advance(key)
    return without | (1 << choose(weight, total * uniform(key))), key
