"""Target -> its exact posterior, summed over all 2^K configurations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.core.posterior import ExactTable
from bayespde.core.progress import Progress
from bayespde.smc.base import LinearTarget, Target
from bayespde.smc.config import MOST_LINEAR_TERMS
from bayespde.smc.enumeration.branch import BranchProblem, Sums, sum_branch
from bayespde.smc.enumeration.problem import branch_problem, no_likelihood, with_reference
from bayespde.smc.enumeration.top_models import TopModels, empty, joined, prune, select

MOST_TERMS = 20
BRANCH_TERMS = 14
MOST_DECIDED = 10
CHUNK = 2**16
# exp of more than this above the reference could overflow in a sum over 2^26
TOO_HIGH = 600.0


class Enumeration(NamedTuple):
    """The masses of all configurations by branch; columns in the order of the factor.

    Attributes:
        order: Index of the spin that belongs to each column, `[K]`.
        problem: What was summed; None if every configuration was evaluated, as a branch of its own.
        mass: Relative mass of each branch, `[2^P]`, by the bits of the first P columns.
        log_mass: Log masses of the best configurations, `[N]`.
        exact: Evidence, inclusion probabilities and those configurations.
    """

    order: np.ndarray
    problem: BranchProblem | None
    mass: np.ndarray
    log_mass: np.ndarray
    exact: ExactTable

    def draw(self, draws: int, *, generator: torch.Generator) -> torch.Tensor:
        """Independent configurations, `[draws, K]`, bool; the branches that are drawn are summed a second time."""
        uniform = torch.rand((2, draws), generator=generator, dtype=torch.float64).numpy()
        branch = _choose(self.mass, uniform[0])
        terms, decided, problem = len(self.order), _decided(self.mass), self.problem
        code = branch << (terms - decided)
        distinct, index = np.unique(branch, return_inverse=True)
        members = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])

        def work(place: int) -> np.ndarray:
            masses = np.zeros(2 ** (terms - decided))
            nothing = empty(terms, keep=0, per_size=0, leaves=0)
            sum_branch(problem, nothing, int(distinct[place]), decided, Sums(np.zeros(terms), masses))
            return _choose(masses, uniform[1, members[place]])

        if problem is not None and draws > 0:
            for rows, leaves in zip(members, _in_threads(work, range(len(distinct)), progress=False), strict=True):
                code[rows] += leaves
        return torch.as_tensor(_spins(code, self.order))


def enumerate_exact(
    target: Target, *, keep: int = 2000, per_size: int = 20, progress: bool | Progress = False
) -> ExactTable:
    """Sum over all configurations.

    A `LinearTarget` is enumerated by branch and bound [furnivalwilson1974], with the canonical pivot rule. Subtrees are
    pruned if all that is left out of the sum has less than 1e-13 of the best configuration's mass. For that the log
    prior must be a sum over spins and pairs of spins, and the evidence must fall with the residuals. Any other target
    is evaluated, configuration by configuration. The sums do not depend on the number of threads, nor on `keep` and
    `per_size`.

    Args:
        target: What to enumerate.
        keep: Number of most probable configurations to return, at least 1.
        per_size: Number of best configurations of every size to return as well.
        progress: Show a progress bar.

    Returns:
        The exact posterior.

    Raises:
        ConfigError: If there are too many terms, or no configuration has a positive likelihood.
    """
    return enumerate_branches(target, keep=keep, per_size=per_size, progress=progress).exact


def enumerate_branches(
    target: Target, *, keep: int = 2000, per_size: int = 20, progress: bool | Progress = False
) -> Enumeration:
    """Enumerate once, for the exact table and any number of draws; arguments and errors as in `enumerate_exact`."""
    linear = target if isinstance(target, LinearTarget) else None
    _check_terms(MOST_LINEAR_TERMS if linear else MOST_TERMS, target.terms)
    decided = min(MOST_DECIDED, max(0, target.terms - BRANCH_TERMS))
    problem = branch_problem(linear, decided=decided) if linear else None
    if linear is None or problem is None:
        _check_terms(MOST_TERMS, target.terms)
        return _evaluate(target, keep=keep, per_size=per_size, progress=progress)
    while True:
        found = _sum_branches(problem, decided, keep=keep, per_size=per_size, progress=progress)
        if found.log_mass[0] <= problem.reference + TOO_HIGH:
            return _enumeration(linear.regression.order, problem, problem.reference, found)
        problem = with_reference(problem, float(found.log_mass[0]))


class _Masses(NamedTuple):
    """What was summed, relative to a reference.

    Attributes:
        mass: Mass of each branch, `[2^P]`.
        inclusion: Mass with each of the later columns included, `[K]`; 0 for the first P.
        code: The top models as binary numbers, `[N]`, most probable first.
        log_mass: Their log masses, `[N]`.
    """

    mass: np.ndarray
    inclusion: np.ndarray
    code: np.ndarray
    log_mass: np.ndarray


def _enumeration(order: np.ndarray, problem: BranchProblem | None, reference: float, found: _Masses) -> Enumeration:
    """Probabilities from masses relative to `exp(reference)`."""
    total, inclusion = float(found.mass.sum()), found.inclusion
    for column in range(_decided(found.mass)):
        inclusion[column] = found.mass.reshape(2**column, 2, -1)[:, 1].sum()
    log_evidence = reference + math.log(total)
    probability = np.empty(len(order))
    probability[order] = inclusion / total
    kept = np.exp(found.log_mass - log_evidence)
    exact = ExactTable(log_evidence, probability, _spins(found.code, order), kept, 2 ** len(order))
    return Enumeration(order, problem, found.mass, found.log_mass, exact)


def _check_terms(limit: int, terms: int) -> None:
    if terms > limit:
        raise ConfigError(
            "There are too many terms to enumerate.",
            got=f"{terms} terms",
            wanted=f"at most {MOST_LINEAR_TERMS}, or {MOST_TERMS} where every configuration has to be evaluated",
            fix="use sequential Monte Carlo, or a smaller library",
        )


def _sum_branches(
    problem: BranchProblem, decided: int, *, keep: int, per_size: int, progress: bool | Progress
) -> _Masses:
    """Sum branch by branch, in threads; results are added in the order of the branches."""
    terms = len(problem.log_odds)
    leaves, unwanted = 2 ** (terms - decided), np.empty(0)
    free: SimpleQueue[TopModels] = SimpleQueue()
    for _ in range(torch.get_num_threads()):
        free.put(empty(terms, keep=max(keep, 1), per_size=per_size, leaves=leaves))

    def work(prefix: int) -> tuple[float, np.ndarray]:
        top, inclusion = free.get(), np.zeros(terms)
        try:
            prune(top, leaves=leaves)
            return sum_branch(problem, top, prefix, decided, Sums(inclusion, unwanted)), inclusion
        finally:
            free.put(top)

    # branches that include the first columns come first: the thresholds rise early
    masses, inclusions = zip(*_in_threads(work, range(2**decided - 1, -1, -1), progress=progress), strict=True)
    code, log_mass, _ = select(joined([free.get() for _ in range(free.qsize())]))
    return _Masses(np.array(masses[::-1]), np.array(inclusions[::-1]).sum(axis=0), code, log_mass)


def _in_threads(work: Callable[[int], Any], items: Sequence[int], *, progress: bool | Progress) -> list[Any]:
    """Results in the order of the items; an interrupt waits only for the branches that are being summed."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            bar = Progress.of(progress).bar(futures, desc="enumerating", unit="branch")
            return [future.result() for future in bar]
        finally:
            pool.shutdown(cancel_futures=True)


def _evaluate(target: Target, *, keep: int, per_size: int, progress: bool | Progress) -> Enumeration:
    """Enumerate a target that can only be evaluated: all log masses at once, K <= 20."""
    terms = target.terms
    log_mass, size = np.empty(2**terms), np.empty(2**terms, np.int64)
    for start in Progress.of(progress).bar(range(0, len(log_mass), CHUNK), desc="enumerating", unit="chunk"):
        chunk = slice(start, min(start + CHUNK, len(log_mass)))
        bits = _bits(np.arange(chunk.start, chunk.stop), terms)
        spins, size[chunk] = torch.as_tensor(bits), bits.sum(axis=1)
        log_mass[chunk] = (target.log_prior(spins) + target.log_likelihood(spins)).numpy()
    reference = float(log_mass.max())
    if reference == -math.inf:
        raise no_likelihood()
    code = np.flatnonzero(log_mass > -math.inf)
    top = empty(terms, keep=max(keep, 1), per_size=per_size, leaves=0)
    possible = top._replace(code=code, log_mass=log_mass[code], size=size[code], used=np.array([len(code)]))
    code, kept, _ = select(possible)
    masses = _Masses(np.exp(log_mass - reference), np.zeros(terms), code, kept)
    return _enumeration(np.arange(terms), None, reference, masses)


def _choose(mass: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Indices with probabilities proportional to `mass`, one for each uniform number in [0, 1)."""
    cumulative = np.cumsum(mass)
    found = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return np.minimum(found, np.flatnonzero(mass)[-1])


def _decided(mass: np.ndarray) -> int:
    """Number P of columns that 2^P branches decide."""
    return len(mass).bit_length() - 1


def _spins(codes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Configurations `[N, K]` in the target's order from binary numbers in the factor's."""
    spins = np.empty((len(codes), len(order)), dtype=bool)
    spins[:, order] = _bits(codes, len(order))
    return spins


def _bits(codes: np.ndarray, width: int) -> np.ndarray:
    """Binary digits, highest first: `[N, width]`, bool."""
    return (codes[:, None] >> np.arange(width - 1, -1, -1)) & 1 == 1
