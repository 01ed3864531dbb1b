"""State -> state at the same temperature, compiled: Barker's jump process over flips, and relocations of terms.

In continuous time every spin has a clock of rate 1; when it rings, the spin is drawn from its conditional distribution.
Only the changes are simulated: the waiting time is exponential with the sum of all flip probabilities, the spin is
chosen in proportion to them [zanella2020]. Running it for a fixed time leaves the tempered target invariant, and one
unit of time does what one Gibbs sweep with random scan does, at the cost of the flips that happen. A relocation moves
one active term to where the conditional distribution over all places puts it: the exchange of an up and a down spin
with the partner drawn by heat bath.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from bayespde.core.distinct import distinct
from bayespde.smc.base import LinearTarget, Moves, SMCState, Target
from bayespde.smc.geometric_path import GeometricPath, check_path
from bayespde.smc.kernels import cached_jumps, jumps
from bayespde.smc.kernels.cached_jumps import ConfigurationCache, make_memo
from bayespde.smc.kernels.evidence_table import EvidenceTable, tabulate
from bayespde.smc.kernels.jumps import Moved, make_moved
from bayespde.smc.kernels.layout import make_problem
from bayespde.smc.kernels.neighbour_odds import Tempered, compact_couplings

FIRST_CAP = 64
CHUNKS = 32
LEAST_CHUNK = 1024  # of particles whose configurations are remembered
LEAST_GROUPED = 8  # of particles whose configurations are factored
RATED = 64
WORTH_THREADS = 2**14  # with fewer particles two memories cost more than a second thread saves
SWEEPS = (0.05, 50.0)


class LocallyBalancedJumps:
    """The compiled kernels on one linear target; results do not depend on the number of threads."""

    def __init__(self, target: LinearTarget, *, swaps: int = 0, threads: int = 1) -> None:
        """Prepare the tables of a target.

        Args:
            target: What to sample.
            swaps: Relocations after each run of the jump process.
            threads: Number of threads over particles.
        """
        self.target, self.swaps, self.threads = target, swaps, threads
        self._order = np.asarray(target.order)
        self._problem = make_problem(target)
        self.path: Target = target
        self._start = target.prior_logits
        self._table = self._tabulate(FIRST_CAP)
        self._memos: list[ConfigurationCache] = []
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        self._calls = itertools.count()

    def on_path(self, path: Target) -> LocallyBalancedJumps:
        """The same moves on a bridge to the same target; tables and memories are shared."""
        check_path(self.path, path, same=False)
        other = copy.copy(self)
        other.path, other._start = path, path.logits if isinstance(path, GeometricPath) else self.target.prior_logits
        return other

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles get: threads belong to one object in one process."""
        return self.__dict__ | {"_pool": None}

    def _tempered(self, temperature: float) -> Tempered:
        """The target at a temperature."""
        prior = self.target.prior_logits
        logits = prior + (1 - temperature) * (self._start - prior)
        # spins are independent at the start of a bridge
        share = temperature if isinstance(self.path, GeometricPath) else 1.0
        couplings = share * compact_couplings(self.target)
        return Tempered(self._table, np.ascontiguousarray(logits.numpy()[self._order]), couplings, temperature)

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
        moved = self._moved(spins, keys, float(state.temperature), float(sweeps))
        answer = np.empty_like(moved.spins)
        answer[:, self._order] = moved.spins
        conditional = np.empty(spins.shape[1])
        conditional[self._order] = moved.conditional.sum(axis=0) / (len(spins) * sweeps)
        new, log_likelihood = torch.as_tensor(answer), torch.as_tensor(moved.log_likelihood)
        log_prior = self.path.log_prior(new)
        if self.path is not self.target:
            log_likelihood += self.target.log_prior(new) - log_prior
        state = state._replace(spins=new, log_prior=log_prior, log_likelihood=log_likelihood)
        return state, Moves(torch.as_tensor(conditional), float(moved.flips.sum()) / (spins.size * sweeps))

    def sweeps_for(self, state: SMCState, *, flips: float) -> float:
        """Number of sweeps in which a particle flips `flips` spins and half of its terms, from the rates of some.

        A flip costs about as much as taking one column in, so that factoring the particle anew and moving it share the
        work, and a configuration of many terms is not left as it was.
        """
        some = np.ascontiguousarray(state.spins.numpy()[:: max(1, len(state.spins) // RATED)][:, self._order])
        mean = self._mean_rate(some, float(state.temperature))
        wanted = flips + some.sum() / len(some) / 2
        return float(np.clip(wanted / max(mean, 1e-300), *SWEEPS))

    def _mean_rate(self, spins: np.ndarray, temperature: float) -> float:
        """Mean over configurations of the sum of all flips' rates."""
        if self.target.terms <= cached_jumps.MOST_TERMS:
            memo = self._free_memo()
            mean = cached_jumps.mean_rate(
                _codes(spins), memo, self._problem, self._tempered(temperature), next(self._calls)
            )
            self._memos.append(memo)
            return float(mean)
        self._make_room(spins)
        return float(jumps.mean_rate(spins, self._problem, self._tempered(temperature)))

    def _moved(self, spins: np.ndarray, keys: np.ndarray, temperature: float, time: float) -> Moved:
        if self.target.terms <= cached_jumps.MOST_TERMS:
            return self._look_up(spins, keys, temperature, time)
        self._make_room(spins)
        moved = self._move(spins, keys, temperature, time)
        while moved.overflow.any():
            self._table = self._tabulate(2 * self._cap)
            moved = self._move(spins, keys, temperature, time)
        return moved

    def _look_up(self, spins: np.ndarray, keys: np.ndarray, temperature: float, time: float) -> Moved:
        """Few columns: configurations are remembered, one memory a thread."""
        target, call = self._tempered(temperature), next(self._calls)
        chunks = min(CHUNKS, 1 + len(spins) // LEAST_CHUNK)
        codes, moved = _codes(spins), make_moved(len(spins), spins.shape[1], chunks)
        edges = np.linspace(0, len(spins), chunks + 1).astype(int)

        def one(chunk: int) -> None:
            part = slice(edges[chunk], edges[chunk + 1])
            memo = self._free_memo()
            moved.flips[chunk] = cached_jumps.move_codes(
                codes[part],
                keys[part],
                memo,
                self._problem,
                target,
                time,
                self.swaps,
                call,
                moved.log_likelihood[part],
                moved.conditional[chunk],
            )
            self._memos.append(memo)

        self._for_all(one, chunks, alone=len(spins) < WORTH_THREADS)
        moved.spins[:] = (codes[:, None] >> np.arange(spins.shape[1])) & 1
        return moved

    def _move(self, spins: np.ndarray, keys: np.ndarray, temperature: float, time: float) -> Moved:
        """Equal configurations are moved together, so that they are factored once."""
        particles, terms = spins.shape
        same = distinct(spins)
        chunks = min(CHUNKS, 1 + particles // LEAST_GROUPED)
        edges = np.unique(np.searchsorted(same.edges, np.linspace(0, particles, chunks + 1)))
        target = self._tempered(temperature)
        moved = make_moved(particles, terms, len(edges))

        def one(chunk: int) -> None:
            groups = same.edges[edges[chunk] : edges[chunk + 1] + 1]
            jumps.move_groups(spins, keys, same.order, groups, self._problem, target, time, self.swaps, chunk, moved)

        self._for_all(one, len(edges) - 1)
        return moved

    def _free_memo(self) -> ConfigurationCache:
        """A memory that no thread holds; asked for and given back without a lock, as a list pops in one step."""
        try:
            return self._memos.pop()
        except IndexError:
            return make_memo(self.target.terms)

    def _for_all(self, one: Callable[[int], None], chunks: int, *, alone: bool = False) -> None:
        """Work through the chunks; which thread takes which changes nothing."""
        if self.threads == 1 or alone:
            for chunk in range(chunks):
                one(chunk)
            return
        # a forked child has the object but not its threads
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = os.getpid(), ThreadPoolExecutor(self.threads)
        list(self._pool[1].map(one, range(chunks)))


def _codes(spins: np.ndarray) -> np.ndarray:
    """Configurations (`[P, K]`, bool) as integers, first column in the lowest bit: `[P]`, int64."""
    return spins @ (1 << np.arange(spins.shape[1], dtype=np.int64))
