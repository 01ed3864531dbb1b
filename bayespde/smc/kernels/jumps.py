"""Groups of particles -> the same at the same temperature, compiled: the moves of `barker` for any number of terms."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.kernels.factorisation import add_column, build, drop_column
from bayespde.smc.kernels.layout import (
    FULL,
    LOG_LIKELIHOOD,
    RATE,
    SIZE,
    TOTAL_RATE,
    Active,
    FactorisedRows,
    copy_active,
    make_active,
)
from bayespde.smc.kernels.neighbour_odds import Tempered, refresh, relocation_weights
from bayespde.smc.kernels.stream import advance, uniform


class Moved(NamedTuple):
    """What the compiled code writes, one entry per particle or per chunk: see `move_groups`."""

    spins: np.ndarray
    log_likelihood: np.ndarray
    flips: np.ndarray
    conditional: np.ndarray
    overflow: np.ndarray


def make_moved(particles: int, terms: int, chunks: int) -> Moved:
    """Room for the answers of a call."""
    return Moved(
        np.empty((particles, terms), np.bool_),
        np.empty(particles),
        np.zeros(chunks, np.int64),
        np.zeros((chunks, terms)),
        np.zeros(chunks, np.bool_),
    )


class _Group(NamedTuple):
    """Work space of a chunk: the configuration that a group of particles shares, and the one of a particle that left.

    Attributes:
        base: The shared configuration.
        own: The particle's own.
        cumulative: Where each term of the shared configuration may go, made when first asked for, `[cap, K]`.
        known: Whether it has been made, `[cap]`, bool.
        spare: The same for the particle's own configuration, `[K]`, never kept.
    """

    base: Active
    own: Active
    cumulative: np.ndarray
    known: np.ndarray
    spare: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def move_groups(
    spins: np.ndarray,
    keys: np.ndarray,
    order: np.ndarray,
    groups: np.ndarray,
    problem: FactorisedRows,
    target: Tempered,
    time: float,
    swaps: int,
    chunk: int,
    moved: Moved,
) -> None:
    """Move the particles `order[groups[g]:groups[g + 1]]`, which share a configuration, for every g."""
    terms, cap = spins.shape[1], target.table.coefficients.shape[0] - 1
    conditional = moved.conditional[chunk]
    group = _Group(
        make_active(terms, cap),
        make_active(terms, cap),
        np.empty((cap, terms)),
        np.zeros(cap, np.bool_),
        np.empty(terms),
    )
    for g in range(len(groups) - 1):
        build(group.base, problem, spins[order[groups[g]]])
        refresh(group.base, problem, target)
        group.known[:] = False
        register_if_jittering = 0.0
        for index in range(groups[g], groups[g + 1]):
            particle = order[index]
            key, stayed, flips = _jump(group, problem, target, time, keys[particle], conditional)
            left = flips > 0
            register_if_jittering += stayed
            moved.flips[chunk] += flips
            for _ in range(swaps):
                key, left = _relocate(group, problem, target, left, key)
            state = group.own if left else group.base
            for j in range(terms):
                moved.spins[particle, j] = state.place[j] >= 0
            moved.log_likelihood[particle] = state.number[LOG_LIKELIHOOD]
        _spend(group.base, register_if_jittering, conditional)
    # a full work space refuses further columns: then all are moved again with more room
    moved.overflow[chunk] = group.base.size[FULL] + group.own.size[FULL] > 0


@njit(cache=True, nogil=True, error_model="numpy")
def _jump(
    group: _Group, problem: FactorisedRows, target: Tempered, time: float, key: int, conditional: np.ndarray
) -> tuple[int, float, int]:
    """Run the jump process from the shared configuration: new key, time before the first flip, number of flips."""
    register_if_jittering, flips = 0.0, 0
    while True:
        state = group.own if flips else group.base
        total = state.number[TOTAL_RATE]
        key = advance(key)
        wait = -math.log(uniform(key)) / total if total > 0.0 else math.inf
        if flips:
            _spend(state, min(wait, time), conditional)
        else:
            register_if_jittering = min(wait, time)
        time -= wait
        if time <= 0.0:
            return key, register_if_jittering, flips
        key = advance(key)
        column = choose(state.vectors[RATE, : state.place.shape[0]], total * uniform(key))
        if not flips:
            copy_active(group.base, group.own)
        flip(group.own, problem, target, column)
        flips += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _relocate(group: _Group, problem: FactorisedRows, target: Tempered, left: bool, key: int) -> tuple[int, bool]:
    """Draw anew where one active term, chosen uniformly, stands: new key, and whether the particle is on its own."""
    state = group.own if left else group.base
    k = state.size[SIZE]
    if k == 0 or k == state.place.shape[0]:
        return key, left
    key = advance(key)
    position = min(int(uniform(key) * k), k - 1)
    cumulative = group.spare if left else group.cumulative[position]
    if left or not group.known[position]:
        relocation_weights(state, problem, target, position, cumulative)
        group.known[position] |= not left
    key = advance(key)
    last = cumulative.shape[0] - 1
    column = min(np.searchsorted(cumulative, cumulative[last] * uniform(key), side="right"), last)
    old = state.terms[position]
    if column == old:
        return key, left
    if not left:
        copy_active(group.base, group.own)
    drop_column(group.own, problem, old)
    add_column(group.own, problem, column)
    refresh(group.own, problem, target)
    return key, True


@njit(cache=True, nogil=True, error_model="numpy")
def mean_rate(spins: np.ndarray, problem: FactorisedRows, target: Tempered) -> float:
    """Mean over configurations (`[N, K]`, bool) of the sum of all flips' rates."""
    state = make_active(spins.shape[1], target.table.coefficients.shape[0] - 1)
    total = 0.0
    for particle in range(spins.shape[0]):
        build(state, problem, spins[particle])
        refresh(state, problem, target)
        total += state.number[TOTAL_RATE]
    return total / spins.shape[0]


@njit(cache=True, nogil=True, error_model="numpy")
def flip(state: Active, problem: FactorisedRows, target: Tempered, column: int) -> None:
    """Change one spin of a refreshed configuration and refresh it."""
    if state.place[column] >= 0:
        drop_column(state, problem, column)
    else:
        add_column(state, problem, column)
    refresh(state, problem, target)


@njit(cache=True, nogil=True, error_model="numpy")
def _spend(state: Active, time: float, conditional: np.ndarray) -> None:
    """Add `time` times the conditional probability of every spin being up."""
    for j in range(conditional.shape[0]):
        rate = state.vectors[RATE, j]
        conditional[j] += time * (1.0 - rate if state.place[j] >= 0 else rate)


@njit(cache=True, nogil=True, error_model="numpy")
def choose(weight: np.ndarray, level: float) -> int:
    """First column at which the cumulated weights exceed `level`; the last positive one where rounding hides it."""
    last = -1
    for j in range(weight.shape[0]):
        if weight[j] > 0.0:
            last = j
            level -= weight[j]
            if level < 0.0:
                break
    return last
