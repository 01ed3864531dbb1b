"""Configurations as integers -> the moved ones, compiled, for at most 20 terms: each is factored once and cached.

A path of the jump process returns to the same configurations again and again, and so do other particles. A swap move
reads what is kept of the configuration without the term that leaves. Results depend neither on the order of the visits
nor on the thread.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.kernels.block_jumps import Blocks, draw_block
from bayespde.smc.kernels.configuration_cache import ConfigurationCache, add, coded_field, find, own_of
from bayespde.smc.kernels.jumps import Pass, choose
from bayespde.smc.kernels.layout import FactorisedRows
from bayespde.smc.kernels.neighbour_odds import TemperedTarget
from bayespde.smc.kernels.stream import advance, uniform

MOST_TERMS = 20


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
    """Move particles in place: the jump process for a time, then other moves; returns the number of flips."""
    # read once: the compiler would count references to every array of a tuple each time it is passed on
    codes, conditional, call = particles.codes, particles.conditional, one_pass.call
    slots, stamp, rate, totals = cache.slot, cache.stamp, cache.rate, cache.total
    flips, terms = 0, conditional.shape[0]
    for particle in range(codes.shape[0]):
        code, key, left = codes[particle], particles.keys[particle], one_pass.time
        while True:
            slot = slots[code]
            if slot < 0 or stamp[slot] != call:
                slot = find(cache, code, problem, target, call)
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
        for _ in range(one_pass.blocks.flips):
            code, key = _flip_block(cache, code, key, problem, target, one_pass.blocks)
        codes[particle] = code
        particles.log_likelihood[particle] = own_of(cache, code, problem, target)
    return flips


@njit(cache=True, nogil=True, error_model="numpy")
def mean_rate(
    codes: np.ndarray, cache: ConfigurationCache, problem: FactorisedRows, target: TemperedTarget, call: int
) -> float:
    """Mean over configurations (`[N]`, int64) of the sum of all flips' rates."""
    total = 0.0
    for code in codes:
        total += cache.total[find(cache, code, problem, target, call)]
    return total / len(codes)


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
        slot = add(cache, without, problem, target)
    for j in range(terms):
        candidate = neighbour[slot, j]
        free = (without >> j) & 1 == 0 and candidate > -math.inf
        weight[j] = coded_field(target, without, j) + target.beta * candidate if free else -math.inf
        peak = max(peak, weight[j])
    if peak == -math.inf:
        return code, key
    for j in range(terms):
        weight[j] = math.exp(weight[j] - peak)
        total += weight[j]
    key = advance(key)
    return without | (1 << choose(weight, total * uniform(key))), key


@njit(cache=True, nogil=True, error_model="numpy")
def _flip_block(
    cache: ConfigurationCache, code: int, key: int, problem: FactorisedRows, target: TemperedTarget, blocks: Blocks
) -> tuple[int, int]:
    """Metropolis step that flips a set of spins: the new configuration and key."""
    key = advance(key)
    block = draw_block(blocks, uniform(key))
    key = advance(key)
    log_ratio, proposed = 0.0, code
    for index in range(blocks.edges[block], blocks.edges[block + 1]):
        field = coded_field(target, proposed, blocks.members[index])
        log_ratio += -field if (proposed >> blocks.members[index]) & 1 else field
        proposed ^= 1 << blocks.members[index]
    value = own_of(cache, proposed, problem, target)
    if value == -math.inf:
        return code, key
    log_ratio += target.beta * (value - own_of(cache, code, problem, target))
    return (proposed if math.log(uniform(key)) < log_ratio else code), key
