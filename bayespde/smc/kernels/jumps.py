"""Groups of equal particles -> the moved particles at the same inverse temperature, compiled, for any number of terms.

Particles that share a configuration are moved together: it is factored once, and they part when they first flip.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.kernels.block_jumps import Blocks, flip_block
from bayespde.smc.kernels.factorisation import add_column, build, drop_column
from bayespde.smc.kernels.layout import (
    LOG_LIKELIHOOD,
    OVERFLOW,
    RATE,
    SIZE,
    TOTAL_RATE,
    ActiveSet,
    FactorisedRows,
    copy_active_set,
    make_active_set,
)
from bayespde.smc.kernels.neighbour_odds import TemperedTarget, refresh
from bayespde.smc.kernels.stream import advance, uniform
from bayespde.smc.kernels.swap_odds import swap_weights


class Pass(NamedTuple):
    """What a pass consists of.

    Attributes:
        time: How long the jump process runs: in one unit of time every clock rings once on average.
        swaps: Number of swap moves after it.
        blocks: Sets of spins that are flipped at its end.
        call: Number of this pass, by which cached rates of other inverse temperatures are told apart.
    """

    time: float
    swaps: int
    blocks: Blocks
    call: int


class Groups(NamedTuple):
    """Particles in groups of equal configurations: group g is `order[edges[g]:edges[g + 1]]`.

    Attributes:
        spins: Configurations in canonical order, `[P, K]`, bool.
        keys: Keys of the particles' random streams, `[P]`, uint64.
        order: Particles group by group, `[P]`, int64.
        edges: Where each group begins, and the last one ends, `[G+1]`, int64.
    """

    spins: np.ndarray
    keys: np.ndarray
    order: np.ndarray
    edges: np.ndarray


class Moved(NamedTuple):
    """What the compiled code writes.

    Attributes:
        spins: New configurations, `[P, K]`, bool.
        log_likelihood: Theirs, `[P]`.
        flips: Number of flips in each chunk, `[C]`, int64.
        conditional: Integral over time of each spin's probability of being up, summed over each chunk, `[C, K]`.
        overflow: Whether the arrays of a chunk were too small, so that it has to be repeated, `[C]`, bool.
    """

    spins: np.ndarray
    log_likelihood: np.ndarray
    flips: np.ndarray
    conditional: np.ndarray
    overflow: np.ndarray


def make_moved(particles: int, terms: int, chunks: int) -> Moved:
    """Empty arrays for one pass."""
    return Moved(
        np.empty((particles, terms), np.bool_),
        np.empty(particles),
        np.zeros(chunks, np.int64),
        np.zeros((chunks, terms)),
        np.zeros(chunks, np.bool_),
    )


class _Group(NamedTuple):
    """Work space of a chunk: the configuration that a group of particles shares, and that of a particle that left it.

    Attributes:
        base: The shared configuration.
        own: The particle's own.
        trial: One that is proposed.
        cumulative: Swap weights of each term of the shared configuration, computed at first use, `[cap, K]`.
        known: Whether they have been computed, `[cap]`, bool.
        spare: Swap weights of one term of the particle's own configuration, `[K]`.
    """

    base: ActiveSet
    own: ActiveSet
    trial: ActiveSet
    cumulative: np.ndarray
    known: np.ndarray
    spare: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def move_groups(
    groups: Groups, problem: FactorisedRows, target: TemperedTarget, one_pass: Pass, chunk: int, moved: Moved
) -> None:
    """Move the particles of some groups by the jump process, then by swap moves and block flips."""
    spins, order, edges = groups.spins, groups.order, groups.edges
    terms, cap = spins.shape[1], target.table.coefficients.shape[0] - 1
    conditional = moved.conditional[chunk]
    group = _Group(
        make_active_set(terms, cap),
        make_active_set(terms, cap),
        make_active_set(terms, cap),
        np.empty((cap, terms)),
        np.zeros(cap, np.bool_),
        np.empty(terms),
    )
    for g in range(len(edges) - 1):
        build(group.base, problem, spins[order[edges[g]]])
        refresh(group.base, problem, target)
        group.known[:] = False
        before_first_flip = 0.0
        for index in range(edges[g], edges[g + 1]):
            particle = order[index]
            key, stayed, flips = _jump(group, problem, target, one_pass.time, groups.keys[particle], conditional)
            left = flips > 0
            before_first_flip += stayed
            moved.flips[chunk] += flips
            for _ in range(one_pass.swaps):
                key, left = _swap(group, problem, target, left, key)
            state, trial, spare = group.own if left else group.base, group.trial, group.own
            for _ in range(one_pass.blocks.flips):
                key, accepted = flip_block(state, trial, problem, target, one_pass.blocks, key)
                if accepted:
                    # the arrays of the last one are free, but for those of the group
                    spare = state if left else spare
                    left, state, trial = True, trial, spare
            for j in range(terms):
                moved.spins[particle, j] = state.place[j] >= 0
            moved.log_likelihood[particle] = state.number[LOG_LIKELIHOOD]
        _add_time(group.base, before_first_flip, conditional)
    # arrays that are full allow no further column: the caller then repeats the pass with larger ones
    moved.overflow[chunk] = group.base.size[OVERFLOW] + group.own.size[OVERFLOW] + group.trial.size[OVERFLOW] > 0


@njit(cache=True, nogil=True, error_model="numpy")
def _jump(
    group: _Group, problem: FactorisedRows, target: TemperedTarget, time: float, key: int, conditional: np.ndarray
) -> tuple[int, float, int]:
    """Run the jump process from the shared configuration: new key, time before the first flip, number of flips."""
    before_first_flip, flips = 0.0, 0
    while True:
        state = group.own if flips else group.base
        total = state.number[TOTAL_RATE]
        key = advance(key)
        wait = -math.log(uniform(key)) / total if total > 0.0 else math.inf
        if flips:
            _add_time(state, min(wait, time), conditional)
        else:
            before_first_flip = min(wait, time)
        time -= wait
        if time <= 0.0:
            return key, before_first_flip, flips
        key = advance(key)
        column = choose(state.vectors[RATE, : state.place.shape[0]], total * uniform(key))
        if not flips:
            copy_active_set(group.base, group.own)
        flip(group.own, problem, target, column)
        flips += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _swap(group: _Group, problem: FactorisedRows, target: TemperedTarget, left: bool, key: int) -> tuple[int, bool]:
    """Swap one active term, chosen uniformly, by heat bath: new key, and whether the particle has left its group."""
    state = group.own if left else group.base
    k = state.size[SIZE]
    if k == 0 or k == state.place.shape[0]:
        return key, left
    key = advance(key)
    position = min(int(uniform(key) * k), k - 1)
    cumulative = group.spare if left else group.cumulative[position]
    if left or not group.known[position]:
        swap_weights(state, problem, target, position, cumulative)
        group.known[position] |= not left
    key = advance(key)
    last = cumulative.shape[0] - 1
    column = min(np.searchsorted(cumulative, cumulative[last] * uniform(key), side="right"), last)
    old = state.terms[position]
    if column == old:
        return key, left
    if not left:
        copy_active_set(group.base, group.own)
    drop_column(group.own, problem, old)
    add_column(group.own, problem, column)
    refresh(group.own, problem, target)
    return key, True


@njit(cache=True, nogil=True, error_model="numpy")
def mean_rate(spins: np.ndarray, problem: FactorisedRows, target: TemperedTarget) -> float:
    """Mean over configurations (`[N, K]`, bool) of the sum of all flips' rates."""
    state = make_active_set(spins.shape[1], target.table.coefficients.shape[0] - 1)
    total = 0.0
    for particle in range(spins.shape[0]):
        build(state, problem, spins[particle])
        refresh(state, problem, target)
        total += state.number[TOTAL_RATE]
    return total / spins.shape[0]


@njit(cache=True, nogil=True, error_model="numpy")
def flip(state: ActiveSet, problem: FactorisedRows, target: TemperedTarget, column: int) -> None:
    """Change one spin of a refreshed configuration and refresh it."""
    if state.place[column] >= 0:
        drop_column(state, problem, column)
    else:
        add_column(state, problem, column)
    refresh(state, problem, target)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_time(state: ActiveSet, time: float, conditional: np.ndarray) -> None:
    """Add `time` times the conditional probability of every spin being up."""
    for j in range(conditional.shape[0]):
        rate = state.vectors[RATE, j]
        conditional[j] += time * (1.0 - rate if state.place[j] >= 0 else rate)


@njit(cache=True, nogil=True, error_model="numpy")
def choose(weight: np.ndarray, level: float) -> int:
    """First column at which the cumulated weights exceed `level`; the last positive one if rounding prevents that."""
    last = -1
    for j in range(weight.shape[0]):
        if weight[j] > 0.0:
            last = j
            level -= weight[j]
            if level < 0.0:
                break
    return last
