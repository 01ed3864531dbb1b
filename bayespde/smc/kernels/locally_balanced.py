"""State -> state at the same inverse temperature, compiled: Barker's jump process over flips, and swap moves.

In continuous time every spin has a clock of rate 1; when it rings, the spin is drawn from its conditional distribution.
Only the changes are simulated: the waiting time is exponential with the sum of all flip probabilities, the spin is
chosen in proportion to them, a locally balanced choice [barker1965, zanella2020]. Running it for a fixed time leaves
the tempered target invariant, and one unit of time does what one Gibbs sweep with random scan does, at the cost of the
flips that happen. A swap move replaces one active term by another one [brown1998], drawn by heat bath: from the
conditional distribution over all replacements.
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
from bayespde.core.errors import ConfigError
from bayespde.smc.base import BlockFlips, LinearTarget, Moves, SMCState, Target
from bayespde.smc.config import SMCConfig
from bayespde.smc.geometric_path import prior_on_path
from bayespde.smc.kernels import cached_jumps, jumps
from bayespde.smc.kernels.block_jumps import NO_BLOCKS, compiled
from bayespde.smc.kernels.cached_jumps import CodedParticles
from bayespde.smc.kernels.configuration_cache import ConfigurationCache, make_cache
from bayespde.smc.kernels.evidence_table import EvidenceTable, tabulate
from bayespde.smc.kernels.jumps import Groups, Moved, Pass, make_moved
from bayespde.smc.kernels.layout import factorised_rows
from bayespde.smc.kernels.neighbour_odds import TemperedTarget, compact_couplings

FIRST_CAP = 64
CHUNKS = 32
LEAST_CHUNK = 1024  # of particles whose configurations are cached
LEAST_GROUPED = 8  # of particles whose configurations are factored
RATED = 64
WORTH_THREADS = 2**14  # with fewer particles a second cache costs more than a second thread saves
SWEEPS = (0.05, 50.0)


class LocallyBalancedJumps:
    """The compiled kernels on one linear target; results do not depend on the number of threads."""

    def __init__(self, target: LinearTarget, *, swaps: int = 0, threads: int = 1) -> None:
        """Prepare the tables of a target.

        Args:
            target: What to sample.
            swaps: Swap moves after each run of the jump process.
            threads: Number of threads over particles.
        """
        self.target, self.swaps, self.threads = target, swaps, threads
        self._order, self._couplings = target.regression.order, compact_couplings(target.regression)
        self._problem = factorised_rows(target.regression)
        self._table = self._tabulate(FIRST_CAP)
        self._caches: list[ConfigurationCache] = []
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        self._calls = itertools.count()
        self._blocks = NO_BLOCKS

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles get: threads belong to one object in one process."""
        return self.__dict__ | {"_pool": None}

    def __call__(
        self, state: SMCState, path: Target, *, sweeps: float, generator: torch.Generator
    ) -> tuple[SMCState, Moves]:
        """Move every particle, as `Kernel` says; the generator is read once, for a key per particle.

        In one sweep of the jump process every clock rings once on average. The swap moves follow.
        """
        target = self._tempered(path, state.inverse_temperature)
        keys = torch.randint(-(2**63), 2**63 - 1, (len(state.spins),), generator=generator).numpy().view(np.uint64)
        spins = np.ascontiguousarray(state.spins.numpy()[:, self._order])
        moved = self._moved(spins, keys, target, Pass(float(sweeps), self.swaps, self._blocks, next(self._calls)))
        answer = np.empty_like(moved.spins)
        answer[:, self._order] = moved.spins
        conditional = np.empty(spins.shape[1])
        conditional[self._order] = moved.conditional.sum(axis=0) / (len(spins) * sweeps)
        new, log_likelihood = torch.as_tensor(answer), torch.as_tensor(moved.log_likelihood)
        log_prior = path.log_prior(new)
        if path is not self.target:
            log_likelihood += self.target.log_prior(new) - log_prior
        state = state._replace(spins=new, log_prior=log_prior, log_likelihood=log_likelihood)
        return state, Moves(torch.as_tensor(conditional), float(moved.flips.sum()) / (spins.size * sweeps))

    def sweeps_for(self, state: SMCState, path: Target, *, flips: float) -> float:
        """Number of sweeps in which a particle flips `flips` spins and half of its terms, from the rates of some.

        A flip costs about as much as adding one column, so that factoring the particle anew and moving it cost about
        the same, and configurations of many terms are moved as well.
        """
        some = np.ascontiguousarray(state.spins.numpy()[:: max(1, len(state.spins) // RATED)][:, self._order])
        mean = self._mean_rate(some, self._tempered(path, state.inverse_temperature))
        wanted = flips + some.sum() / len(some) / 2
        return float(np.clip(wanted / max(mean, 1e-300), *SWEEPS))

    def with_block_flips(self, block_flips: BlockFlips) -> LocallyBalancedJumps:
        """The kernel whose passes end with flips of these sets; both share their tables, caches and threads."""
        other = copy.copy(self)
        other._blocks, other._pool = compiled(block_flips, self._order), self._pool
        return other

    def _tempered(self, path: Target, beta: float) -> TemperedTarget:
        """The target at an inverse temperature on a path."""
        logits, share = prior_on_path(path, self.target, float(beta))
        canonical = np.ascontiguousarray(logits.numpy()[self._order])
        return TemperedTarget(self._table, canonical, share * self._couplings, float(beta))

    @property
    def _cached(self) -> bool:
        """Whether the target has so few terms that configurations are cached."""
        return self.target.terms <= cached_jumps.MOST_TERMS

    def _tabulate(self, cap: int) -> EvidenceTable:
        return tabulate(self.target, sizes=min(self.target.terms, cap) + 1)

    @property
    def _cap(self) -> int:
        """Largest number of terms that the table holds."""
        return len(self._table.coefficients) - 1

    def _with_room(self, target: TemperedTarget, spins: np.ndarray) -> TemperedTarget:
        """The target with a table that holds the largest of some configurations."""
        largest = int(spins.sum(axis=1).max())
        if largest > self._cap:
            self._table = self._tabulate(2 * largest)
        return target._replace(table=self._table)

    def _mean_rate(self, spins: np.ndarray, target: TemperedTarget) -> float:
        """Mean over configurations of the sum of all flips' rates."""
        if self._cached:
            cache = self._free_cache()
            mean = cached_jumps.mean_rate(_codes(spins), cache, self._problem, target, next(self._calls))
            self._caches.append(cache)
            return float(mean)
        return float(jumps.mean_rate(spins, self._problem, self._with_room(target, spins)))

    def _moved(self, spins: np.ndarray, keys: np.ndarray, target: TemperedTarget, one_pass: Pass) -> Moved:
        if self._cached:
            return self._move_cached(spins, keys, target, one_pass)
        target = self._with_room(target, spins)
        moved = self._move_grouped(spins, keys, target, one_pass)
        while moved.overflow.any():
            self._table = self._tabulate(2 * self._cap)
            moved = self._move_grouped(spins, keys, target._replace(table=self._table), one_pass)
        return moved

    def _move_cached(self, spins: np.ndarray, keys: np.ndarray, target: TemperedTarget, one_pass: Pass) -> Moved:
        """Few columns: configurations are cached, one cache per thread."""
        chunks = min(CHUNKS, 1 + len(spins) // LEAST_CHUNK)
        codes, moved = _codes(spins), make_moved(len(spins), spins.shape[1], chunks)
        edges = np.linspace(0, len(spins), chunks + 1).astype(int)

        def one(chunk: int) -> None:
            part, cache = slice(edges[chunk], edges[chunk + 1]), self._free_cache()
            particles = CodedParticles(codes[part], keys[part], moved.log_likelihood[part], moved.conditional[chunk])
            moved.flips[chunk] = cached_jumps.move_codes(particles, cache, self._problem, target, one_pass)
            self._caches.append(cache)

        self._for_all(one, chunks, alone=len(spins) < WORTH_THREADS)
        moved.spins[:] = (codes[:, None] >> np.arange(spins.shape[1])) & 1
        return moved

    def _move_grouped(self, spins: np.ndarray, keys: np.ndarray, target: TemperedTarget, one_pass: Pass) -> Moved:
        """Equal configurations are moved together, so that they are factored once."""
        particles, terms = spins.shape
        same = distinct(spins)
        chunks = min(CHUNKS, 1 + particles // LEAST_GROUPED)
        edges = np.unique(np.searchsorted(same.edges, np.linspace(0, particles, chunks + 1)))
        moved = make_moved(particles, terms, len(edges))

        def one(chunk: int) -> None:
            groups = Groups(spins, keys, same.order, same.edges[edges[chunk] : edges[chunk + 1] + 1])
            jumps.move_groups(groups, self._problem, target, one_pass, chunk, moved)

        self._for_all(one, len(edges) - 1)
        return moved

    def _free_cache(self) -> ConfigurationCache:
        """A cache that no thread uses; taken and returned without a lock, as a list pops in one step."""
        try:
            return self._caches.pop()
        except IndexError:
            return make_cache(self.target.terms)

    def _for_all(self, one: Callable[[int], None], chunks: int, *, alone: bool = False) -> None:
        """Work through the chunks; the result does not depend on which thread takes which."""
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


def make(target: Target, config: SMCConfig, *, threads: int = 1) -> LocallyBalancedJumps:
    """The compiled kernel of a linear target.

    Raises:
        ConfigError: If the target is not linear.
    """
    if not isinstance(target, LinearTarget):
        raise ConfigError(
            "The compiled kernel serves linear models only.",
            got=type(target).__name__,
            wanted="a LinearTarget",
            fix="kernel='gibbs'",
        )
    return LocallyBalancedJumps(target, swaps=config.swaps, threads=threads)
