"""State -> state at the same temperature, compiled: Barker's jump process over flips, and relocations of terms.

In continuous time every spin has a clock of rate 1; when it rings, the spin is drawn from its conditional distribution.
Only the changes are simulated: the waiting time is exponential with the sum of all flip probabilities, the spin is
chosen in proportion to them [zanella2020]. Running it for a fixed time leaves the tempered target invariant, and one
unit of time does what one Gibbs sweep with random scan does, at the cost of the flips that happen. A relocation moves
one active term to where the conditional distribution over all places puts it: the exchange of an up and a down spin
with the partner drawn by heat bath.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from bayespde.core.distinct import distinct
from bayespde.smc.base import LinearTarget, Moves, SMCState
from bayespde.smc.factored import (
    LOG_LIKELIHOOD,
    RATE,
    TOTAL_RATE,
    Active,
    Problem,
    add_column,
    build,
    copy_active,
    drop_column,
    make_active,
    make_problem,
)
from bayespde.smc.odds import Tempered, refresh, relocation_weights
from bayespde.smc.stream import advance, uniform
from bayespde.smc.table import EvidenceTable, tabulate

FIRST_CAP = 64
CHUNKS = 32
RATED = 64
SWEEPS = (0.05, 50.0)


class _Moved(NamedTuple):
    """What the compiled code writes, one entry per particle or per chunk: see `_move_groups`."""

    spins: np.ndarray
    log_likelihood: np.ndarray
    flips: np.ndarray
    conditional: np.ndarray
    overflow: np.ndarray


class BarkerFlips:
    """The compiled kernels on one linear target; results do not depend on the number of threads."""

    def __init__(self, target: LinearTarget, *, swaps: int = 0, threads: int = 1) -> None:
        """Prepare the tables of a target.

        Args:
            target: What to sample; its spins are independent under the prior.
            swaps: Relocations after each run of the jump process.
            threads: Number of threads over particles.
        """
        self.target, self.swaps, self.threads = target, swaps, threads
        self._order = np.asarray(target.order)
        self._problem = make_problem(target.factor, ridge=target.ridge, tolerance=target.pivot_tolerance)
        self._logits = np.ascontiguousarray(target.prior_logits.numpy()[self._order])
        self._table = self._tabulate(FIRST_CAP)

    def _tabulate(self, cap: int) -> EvidenceTable:
        return tabulate(self.target, sizes=min(self.target.terms, cap) + 1)

    @property
    def _cap(self) -> int:
        """Largest number of terms that there is room for."""
        return len(self._table.coefficients) - 1

    def _make_room(self, spins: np.ndarray) -> None:
        """See that the largest of some configurations has room."""
        largest = int(spins.sum(axis=1).max())
        if largest > self._cap:
            self._table = self._tabulate(2 * largest)

    def __call__(self, state: SMCState, *, sweeps: float, generator: torch.Generator) -> tuple[SMCState, Moves]:
        """Move every particle.

        Args:
            state: Particles of positive likelihood at `state.temperature`.
            sweeps: How long the jump process runs: in one unit of time every clock rings once on average. The
                relocations follow.
            generator: Source of randomness, read once for a key per particle.

        Returns:
            The new state, and what happened.
        """
        keys = torch.randint(-(2**63), 2**63 - 1, (len(state.spins),), generator=generator).numpy().view(np.uint64)
        spins = np.ascontiguousarray(state.spins.numpy()[:, self._order])
        self._make_room(spins)
        moved = self._move(spins, keys, float(state.temperature), float(sweeps))
        while moved.overflow.any():
            self._table = self._tabulate(2 * self._cap)
            moved = self._move(spins, keys, float(state.temperature), float(sweeps))
        answer = np.empty_like(moved.spins)
        answer[:, self._order] = moved.spins
        conditional = np.empty(spins.shape[1])
        conditional[self._order] = moved.conditional.sum(axis=0) / (len(spins) * sweeps)
        new = torch.as_tensor(answer)
        state = state._replace(
            spins=new, log_prior=self.target.log_prior(new), log_likelihood=torch.as_tensor(moved.log_likelihood)
        )
        return state, Moves(torch.as_tensor(conditional), float(moved.flips.sum()) / (spins.size * sweeps))

    def sweeps_for(self, state: SMCState, *, flips: float) -> float:
        """Number of sweeps in which a particle flips about `flips` spins, from the rates of some particles."""
        some = np.ascontiguousarray(state.spins.numpy()[:: max(1, len(state.spins) // RATED)][:, self._order])
        self._make_room(some)
        mean = _mean_rate(some, self._problem, Tempered(self._table, self._logits, float(state.temperature)))
        return float(np.clip(flips / max(mean, 1e-300), *SWEEPS))

    def _move(self, spins: np.ndarray, keys: np.ndarray, temperature: float, time: float) -> _Moved:
        """Equal configurations are moved together, so that they are factored once."""
        particles, terms = spins.shape
        same = distinct(spins)
        edges = np.unique(np.searchsorted(same.edges, np.linspace(0, particles, CHUNKS + 1)))
        target = Tempered(self._table, self._logits, temperature)
        moved = _Moved(
            np.empty_like(spins),
            np.empty(particles),
            np.zeros(len(edges), np.int64),
            np.zeros((len(edges), terms)),
            np.zeros(len(edges), np.bool_),
        )

        def one(chunk: int) -> None:
            groups = same.edges[edges[chunk] : edges[chunk + 1] + 1]
            _move_groups(spins, keys, same.order, groups, self._problem, target, time, self.swaps, chunk, moved)

        if self.threads == 1:
            for chunk in range(len(edges) - 1):
                one(chunk)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(one, range(len(edges) - 1)))
        return moved


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
def _move_groups(
    spins: np.ndarray,
    keys: np.ndarray,
    order: np.ndarray,
    groups: np.ndarray,
    problem: Problem,
    target: Tempered,
    time: float,
    swaps: int,
    chunk: int,
    moved: _Moved,
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
        at_rest = 0.0
        for index in range(groups[g], groups[g + 1]):
            particle = order[index]
            key, stayed, flips = _jump(group, problem, target, time, keys[particle], conditional)
            left = flips > 0
            at_rest += stayed
            moved.flips[chunk] += flips
            for _ in range(swaps):
                key, left = _relocate(group, problem, target, left, key)
            state = group.own if left else group.base
            for j in range(terms):
                moved.spins[particle, j] = state.place[j] >= 0
            moved.log_likelihood[particle] = state.number[LOG_LIKELIHOOD]
        _spend(group.base, at_rest, conditional)
    # a full work space refuses further columns: then all are moved again with more room
    moved.overflow[chunk] = group.base.size[1] + group.own.size[1] > 0


@njit(cache=True, nogil=True, error_model="numpy")
def _jump(
    group: _Group, problem: Problem, target: Tempered, time: float, key: int, conditional: np.ndarray
) -> tuple[int, float, int]:
    """Run the jump process from the shared configuration: new key, time before the first flip, number of flips."""
    at_rest, flips = 0.0, 0
    while True:
        state = group.own if flips else group.base
        total = state.number[TOTAL_RATE]
        key = advance(key)
        wait = -math.log(uniform(key)) / total if total > 0.0 else math.inf
        if flips:
            _spend(state, min(wait, time), conditional)
        else:
            at_rest = min(wait, time)
        time -= wait
        if time <= 0.0:
            return key, at_rest, flips
        key = advance(key)
        column = _choose(state.vectors[RATE], total * uniform(key))
        if not flips:
            copy_active(group.base, group.own)
        flip(group.own, problem, target, column)
        flips += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _relocate(group: _Group, problem: Problem, target: Tempered, left: bool, key: int) -> tuple[int, bool]:
    """Draw anew where one active term, chosen uniformly, stands: new key, and whether the particle is on its own."""
    state = group.own if left else group.base
    k = state.size[0]
    if k == 0 or k == state.place.shape[0]:
        return key, left
    key = advance(key)
    position = min(int(uniform(key) * k), k - 1)
    cumulative = group.spare if left else group.cumulative[position]
    if left or not group.known[position]:
        relocation_weights(state, problem, target, position, cumulative)
        group.known[position] |= not left
    key = advance(key)
    column = np.searchsorted(cumulative, cumulative[-1] * uniform(key), side="right")
    old = state.terms[position]
    if column == old:
        return key, left
    if not left:
        copy_active(group.base, group.own)
    drop_column(group.own, old)
    add_column(group.own, problem, column)
    refresh(group.own, problem, target)
    return key, True


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_rate(spins: np.ndarray, problem: Problem, target: Tempered) -> float:
    """Mean over configurations (`[N, K]`, bool) of the sum of all flips' rates."""
    state = make_active(spins.shape[1], target.table.coefficients.shape[0] - 1)
    total = 0.0
    for particle in range(spins.shape[0]):
        build(state, problem, spins[particle])
        refresh(state, problem, target)
        total += state.number[TOTAL_RATE]
    return total / spins.shape[0]


@njit(cache=True, nogil=True, error_model="numpy")
def flip(state: Active, problem: Problem, target: Tempered, column: int) -> None:
    """Change one spin of a refreshed configuration and refresh it."""
    if state.place[column] >= 0:
        drop_column(state, column)
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
def _choose(rate: np.ndarray, level: float) -> int:
    """First column at which the cumulated rates exceed `level`; the last of positive rate where rounding hides it."""
    last = -1
    for j in range(rate.shape[0] - 1):
        if rate[j] > 0.0:
            last = j
            level -= rate[j]
            if level < 0.0:
                break
    return last
