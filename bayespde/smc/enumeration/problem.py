"""Linear target -> the numbers that the compiled enumeration reads, if the target has the form that it needs."""

from __future__ import annotations

import math

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.core.triangular import ridged
from bayespde.smc.base import LinearTarget
from bayespde.smc.enumeration.branch import BranchProblem, Rule
from bayespde.smc.enumeration.triangles import without_square_roots
from bayespde.smc.kernels.evidence_table import EvidenceTable, tabulate
from bayespde.smc.kernels.layout import compacted

# all configurations that are left out of the sum have together less than this share of the best one's mass
NEGLECTED = 1e-13
LEAST_TERMS = 3
PATTERNS = 64


def problem_of(target: LinearTarget, *, decided: int) -> BranchProblem | None:
    """Tabulate a target for the compiled enumeration.

    Args:
        target: What to enumerate.
        decided: Number of columns that a branch decides beforehand.

    Returns:
        The problem; None if there are fewer than 3 terms, if the log prior is not a sum over spins and pairs of
        spins, or if the evidence cannot be tabulated or does not fall with the residuals.

    Raises:
        ConfigError: If no configuration has a positive likelihood.
    """
    prior = _pairwise_prior(target) if target.terms >= LEAST_TERMS else None
    table = _falling_table(target) if prior else None
    if prior is None or table is None:
        return None
    log_empty, log_odds = prior[0], prior[1][target.order]
    couplings = prior[2][np.ix_(target.order, target.order)]
    triangle = without_square_roots(ridged(target.factor, target.ridge))
    # a column adds the more to the log determinant the fewer columns are before it
    gain = log_odds[decided:] + table.determinant * np.log(np.diagonal(triangle)[decided:-1])
    # and to the log prior no more than with all partners in that like it; half of what two undecided ones share
    liked = np.maximum(couplings, 0)
    gain += liked[:decided, decided:].sum(axis=0) + liked[decided:, decided:].sum(axis=0) / 2
    rule = Rule(target.pivot_tolerance, table.offset, table.determinant, reference=math.nan, floor=math.nan)
    most = np.append(0.0, np.cumsum(np.sort(gain)[::-1]))
    problem = BranchProblem(triangle, table, log_odds, compacted(couplings), most, log_empty, rule)
    reference = _climb(target)
    if reference == -math.inf:
        raise no_likelihood()
    return with_reference(problem, reference)


def with_reference(problem: BranchProblem, log_mass: float) -> BranchProblem:
    """Count masses relative to one that occurs, and neglect what is too small beside it."""
    floor = log_mass - len(problem.log_odds) * math.log(2) + math.log(NEGLECTED)
    return problem._replace(rule=problem.rule._replace(reference=log_mass, floor=floor))


def no_likelihood() -> ConfigError:
    """The error of a posterior without mass."""
    return ConfigError(
        "No configuration has a positive likelihood.",
        got="all refused",
        wanted="at least one possible configuration",
        fix="check the target for infinite values",
    )


def _pairwise_prior(target: LinearTarget) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Log prior of the empty configuration, log odds `[K]` and couplings `[K, K]`; None if they do not explain it.

    Read off single spins and pairs; looked at are all but one, all but two, and configurations whose bits look random.
    """
    terms = target.terms
    one = np.eye(terms, dtype=bool)
    pairs = (one[:, None] | one[None]).reshape(-1, terms)
    codes = np.arange(1, PATTERNS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    patterns = (codes[:, None] >> np.arange(64 - terms, 64, dtype=np.uint64)) & np.uint64(1) == 1
    spins = np.vstack([np.zeros((1, terms), dtype=bool), one, pairs, ~one, ~pairs, patterns])
    log_prior = target.log_prior(torch.as_tensor(spins)).numpy()
    log_empty, log_odds = float(log_prior[0]), log_prior[1 : terms + 1] - log_prior[0]
    tolerance = 1e-13 * terms * (1 + abs(log_empty) + np.abs(log_odds).sum())
    joint = log_prior[terms + 1 : terms + 1 + terms**2].reshape(terms, terms)
    couplings = joint - log_empty - log_odds[:, None] - log_odds
    couplings[(np.abs(couplings) <= tolerance) | one] = 0.0
    shared = np.einsum("na,ab,nb->n", spins, couplings / 2, spins) if couplings.any() else 0.0
    tolerance *= 1 + np.count_nonzero(couplings)
    explained = np.abs(log_empty + spins @ log_odds + shared - log_prior) <= tolerance
    return (log_empty, log_odds, couplings) if explained.all() else None


def _falling_table(target: LinearTarget) -> EvidenceTable | None:
    """The tabulated evidence, if it falls with the residuals from interval to interval."""
    try:
        table = tabulate(target, sizes=target.terms + 1)
    except ConfigError:
        return None
    signs = (-1.0) ** np.arange(table.coefficients.shape[-1] - 1, -1, -1)
    left, right = table.coefficients @ signs, table.coefficients.sum(axis=-1)
    return table if (right <= left + 1e-3).all() else None


def _climb(target: LinearTarget) -> float:
    """Log mass of a good configuration: the better one of two climbs by single flips, from empty and from full."""
    return max(_climb_from(target, torch.full((target.terms,), start)) for start in (False, True))


def _climb_from(target: LinearTarget, spins: torch.Tensor) -> float:
    flips = torch.eye(len(spins), dtype=torch.bool)
    reached, candidates = -math.inf, spins[None]
    while True:
        log_mass = target.log_prior(candidates) + target.log_likelihood(candidates)
        best = int(log_mass.argmax())
        if not float(log_mass[best]) > reached:
            return reached
        reached, candidates = float(log_mass[best]), candidates[best] ^ flips
