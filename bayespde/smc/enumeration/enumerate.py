"""Target -> its exact posterior, by visiting all 2^K configurations without storing them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from bayespde.core.errors import ConfigError
from bayespde.smc.base import LinearTarget, Target
from bayespde.smc.enumeration.branch import BranchProblem, sum_branch
from bayespde.smc.enumeration.problem import no_likelihood, problem_of, with_reference
from bayespde.smc.enumeration.top_models import TopModels, empty, joined, prune, select

MAXIMUM_LINEAR_TERMS = 26
MAXIMUM_TERMS = 20
BRANCH_TERMS = 14
MAXIMUM_DECIDED = 10
CHUNK = 2**16
# exp of more than this above the reference could overflow in a sum over 2^26
TOO_HIGH = 600.0


class ExactResult(NamedTuple):
    """The posterior over all configurations, as far as it is worth keeping.

    Attributes:
        log_evidence: Log of the sum of prior times likelihood.
        inclusion_probability: `[K]`, float64.
        spins: Kept configurations, most probable first, `[N, K]`, bool: the top ones and the best of every
            size.
        probability: Their posterior probabilities, `[N]`, float64.
        models_enumerated: Number of configurations in the sum.
    """

    log_evidence: float
    inclusion_probability: np.ndarray
    spins: np.ndarray
    probability: np.ndarray
    models_enumerated: int


class Enumeration(NamedTuple):
    """The masses of all configurations by branch, relative to `exp(reference)`; columns in the order of the factor.

    Attributes:
        order: Index of the spin that belongs to each column, `[K]`.
        problem: What was summed; None if every configuration was evaluated, and is a branch of its own.
        reference: Log mass that counts as 1.
        mass: Mass of each branch, `[2^P]`, by the bits of the first P columns.
        share: Mass with each of the later columns in, `[K]`; 0 for the first P.
        code: TopModels configurations as binary numbers, `[N]`, most probable first.
        log_mass: Their log masses, `[N]`.
    """

    order: np.ndarray
    problem: BranchProblem | None
    reference: float
    mass: np.ndarray
    share: np.ndarray
    code: np.ndarray
    log_mass: np.ndarray

    def result(self) -> ExactResult:
        """Evidence, inclusion probabilities and the best configurations."""
        terms, total = len(self.order), float(self.mass.sum())
        inclusion = self.share.copy()
        for column in range(_decided(self.mass)):
            inclusion[column] = self.mass.reshape(2**column, 2, -1)[:, 1].sum()
        log_evidence = self.reference + math.log(total)
        probability = np.empty(terms)
        probability[self.order] = inclusion / total
        kept = np.exp(self.log_mass - log_evidence)
        return ExactResult(log_evidence, probability, _spins(self.code, self.order), kept, 2**terms)

    def draw(self, draws: int, *, generator: torch.Generator, progress: bool = False) -> torch.Tensor:
        """Independent configurations, `[draws, K]`, bool; the branches that are drawn are gone through once more."""
        uniform = torch.rand((2, draws), generator=generator, dtype=torch.float64).numpy()
        branch = _choose(self.mass, uniform[0])
        terms, decided, problem = len(self.order), _decided(self.mass), self.problem
        code = branch << (terms - decided)
        distinct, index = np.unique(branch, return_inverse=True)
        members = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])

        def work(place: int) -> np.ndarray:
            masses = np.zeros(2 ** (terms - decided))
            nothing = empty(terms, keep=0, per_size=0, leaves=0)
            sum_branch(problem, nothing, int(distinct[place]), decided, np.zeros(terms), masses)
            return _choose(masses, uniform[1, members[place]])

        if problem is not None and draws > 0:
            for rows, leaves in zip(members, _in_threads(work, range(len(distinct)), progress=progress), strict=True):
                code[rows] += leaves
        return torch.as_tensor(_spins(code, self.order))


def enumerate_exact(target: Target, *, keep: int = 2000, per_size: int = 20, progress: bool = False) -> ExactResult:
    """Sum over all configurations.

    A `LinearTarget` is enumerated depth first with the canonical pivot rule. Configurations that together have less
    than 1e-13 of the best one's mass are left out of the sum, whole branches of them at once, judged by
    the residuals with all remaining columns in [furnivalwilson1974]. For that the log prior must be a sum over
    spins and pairs of spins, and the evidence must fall with the residuals. Any other target is evaluated,
    configuration by configuration. The answer does not depend on the number of threads, nor on `keep` and `per_size`.

    Args:
        target: What to enumerate.
        keep: Number of most probable configurations to return, at least 1.
        per_size: Number of best configurations of every size to return besides.
        progress: Show a progress bar.

    Returns:
        The exact posterior.

    Raises:
        ConfigError: If there are too many terms, or no configuration has a positive likelihood.
    """
    return enumerate_branches(target, keep=keep, per_size=per_size, progress=progress).result()


def draw_exact(target: Target, draws: int, *, generator: torch.Generator, progress: bool = False) -> torch.Tensor:
    """Draw independent configurations from the exact posterior over all 2^K.

    Args:
        target: What to draw from, as for `enumerate_exact`.
        draws: Number of configurations.
        generator: Source of randomness.
        progress: Show a progress bar.

    Returns:
        `[draws, K]`, bool.

    Raises:
        ConfigError: As for `enumerate_exact`.
    """
    return enumerate_branches(target, keep=1, per_size=0, progress=progress).draw(
        draws, generator=generator, progress=progress
    )


def enumerate_branches(target: Target, *, keep: int = 2000, per_size: int = 20, progress: bool = False) -> Enumeration:
    """Do the work of `enumerate_exact` once, for its result and for any number of draws; the same arguments."""
    linear = target if isinstance(target, LinearTarget) else None
    _refuse_more_than(MAXIMUM_LINEAR_TERMS if linear else MAXIMUM_TERMS, target.terms)
    decided = min(MAXIMUM_DECIDED, max(0, target.terms - BRANCH_TERMS))
    problem = problem_of(linear, decided=decided) if linear else None
    if linear is None or problem is None:
        _refuse_more_than(MAXIMUM_TERMS, target.terms)
        return _evaluate(target, keep=keep, per_size=per_size, progress=progress)
    while True:
        found = _sum_branches(problem, linear.order, decided, keep=keep, per_size=per_size, progress=progress)
        if found.log_mass[0] <= found.reference + TOO_HIGH:
            return found
        problem = with_reference(problem, float(found.log_mass[0]))


def _refuse_more_than(limit: int, terms: int) -> None:
    if terms > limit:
        raise ConfigError(
            "There are too many terms to enumerate.",
            got=f"{terms} terms",
            wanted=f"at most {MAXIMUM_LINEAR_TERMS}, or {MAXIMUM_TERMS} where every configuration has to be evaluated",
            fix="use sequential Monte Carlo, or a smaller library",
        )


def _sum_branches(
    problem: BranchProblem, order: np.ndarray, decided: int, *, keep: int, per_size: int, progress: bool
) -> Enumeration:
    """Sum branch by branch, in threads; what is reduced is in the order of the branches."""
    terms = len(order)
    leaves, unwanted = 2 ** (terms - decided), np.empty(0)
    free: SimpleQueue[TopModels] = SimpleQueue()
    for _ in range(torch.get_num_threads()):
        free.put(empty(terms, keep=max(keep, 1), per_size=per_size, leaves=leaves))

    def work(prefix: int) -> tuple[float, np.ndarray]:
        best, share = free.get(), np.zeros(terms)
        try:
            prune(best, leaves=leaves)
            return sum_branch(problem, best, prefix, decided, share, unwanted), share
        finally:
            free.put(best)

    # columns in come first: the gates of the best rise early
    masses, shares = zip(*_in_threads(work, range(2**decided - 1, -1, -1), progress=progress), strict=True)
    code, log_mass, _ = select(joined([free.get() for _ in range(free.qsize())]))
    share = np.array(shares[::-1]).sum(axis=0)
    return Enumeration(order, problem, problem.rule.reference, np.array(masses[::-1]), share, code, log_mass)


def _in_threads(work: Callable[[int], Any], items: Sequence[int], *, progress: bool) -> list[Any]:
    """Results in the order of the items; an interrupt waits for the branches that have begun, and for no more."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            bar = tqdm(futures, desc="enumerating", unit="branch", disable=not progress)
            return [future.result() for future in bar]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _evaluate(target: Target, *, keep: int, per_size: int, progress: bool) -> Enumeration:
    """The same for a target that can only be evaluated: all log masses at once, K <= 20."""
    terms = target.terms
    log_mass, size = np.empty(2**terms), np.empty(2**terms, np.int64)
    for start in tqdm(range(0, len(log_mass), CHUNK), desc="enumerating", unit="chunk", disable=not progress):
        chunk = slice(start, min(start + CHUNK, len(log_mass)))
        bits = _bits(np.arange(chunk.start, chunk.stop), terms)
        spins, size[chunk] = torch.as_tensor(bits), bits.sum(axis=1)
        log_mass[chunk] = (target.log_prior(spins) + target.log_likelihood(spins)).numpy()
    reference = float(log_mass.max())
    if reference == -math.inf:
        raise no_likelihood()
    code = np.flatnonzero(log_mass > -math.inf)
    best = empty(terms, keep=max(keep, 1), per_size=per_size, leaves=0)
    possible = best._replace(code=code, log_mass=log_mass[code], size=size[code], used=np.array([len(code)]))
    code, kept, _ = select(possible)
    mass, share = np.exp(log_mass - reference), np.zeros(terms)
    return Enumeration(np.arange(terms), None, reference, mass, share, code, kept)


def _choose(mass: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Indices with probabilities proportional to `mass`, one for each uniform number in [0, 1)."""
    cumulative = np.cumsum(mass)
    found = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return np.minimum(found, np.flatnonzero(mass)[-1])


def _decided(mass: np.ndarray) -> int:
    """Number of columns that 2^P branches decide: P."""
    return len(mass).bit_length() - 1


def _spins(codes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Configurations `[N, K]` in the target's order from binary numbers in the factor's."""
    spins = np.empty((len(codes), len(order)), dtype=bool)
    spins[:, order] = _bits(codes, len(order))
    return spins


def _bits(codes: np.ndarray, width: int) -> np.ndarray:
    """Binary digits, highest first: `[N, width]`, bool."""
    return (codes[:, None] >> np.arange(width - 1, -1, -1)) & 1 == 1
