"""Linear target -> the `BranchProblem` that compiled branch and bound reads, if the target has the required form."""

from __future__ import annotations

import math

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.core.triangular import ridged
from bayespde.smc.base import LinearTarget
from bayespde.smc.enumeration.branch import BranchProblem
from bayespde.smc.enumeration.triangles import without_square_roots
from bayespde.smc.kernels.evidence_table import EvidenceTable, tabulate
from bayespde.smc.kernels.layout import compacted

# all configurations that are left out of the sum have together less than this share of the best one's mass
NEGLECTED = 1e-13
LEAST_TERMS = 3
PATTERNS = 64


def branch_problem(target: LinearTarget, *, decided: int) -> BranchProblem | None:
    """Tabulate a target for branch and bound.

    Args:
        target: What to enumerate.
        decided: Number of columns that are decided at the root of every branch.

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
    rows = target.regression
    log_empty, log_odds = prior[0], prior[1][rows.order]
    couplings = prior[2][np.ix_(rows.order, rows.order)]
    triangle = without_square_roots(ridged(rows.factor, rows.ridge))
    problem = BranchProblem(
        triangle=triangle,
        table=table,
        log_odds=log_odds,
        couplings=compacted(couplings),
        max_gain=_max_gain(triangle, table.determinant, log_odds, couplings, decided),
        log_empty=log_empty,
        tolerance=rows.pivot_tolerance,
        reference=math.nan,
        negligible=math.nan,
    )
    reference = _hill_climb(target)
    if reference == -math.inf:
        raise no_likelihood()
    return with_reference(problem, reference)


def with_reference(problem: BranchProblem, log_mass: float) -> BranchProblem:
    """Count masses relative to that of a known configuration, and neglect those that are too small compared with it."""
    negligible = log_mass - len(problem.log_odds) * math.log(2) + math.log(NEGLECTED)
    return problem._replace(reference=log_mass, negligible=negligible)


def no_likelihood() -> ConfigError:
    """The error of a posterior without mass."""
    return ConfigError(
        "No configuration has a positive likelihood.",
        got="log likelihoods of -inf only",
        wanted="at least one possible configuration",
        fix="check the target for infinite values",
    )


def _max_gain(
    triangle: np.ndarray, determinant: float, log_odds: np.ndarray, couplings: np.ndarray, decided: int
) -> np.ndarray:
    """Upper bound on what m undecided columns can add to log prior and log determinant, `[L+1]`."""
    # a column adds the more to the log determinant the fewer columns are included before it
    gain = log_odds[decided:] + determinant * np.log(np.diagonal(triangle)[decided:-1])
    # and to the log prior at most what all positive couplings add; half of it where two undecided columns share one
    positive = np.maximum(couplings, 0)
    gain += positive[:decided, decided:].sum(axis=0) + positive[decided:, decided:].sum(axis=0) / 2
    return np.append(0.0, np.cumsum(np.sort(gain)[::-1]))


def _pairwise_prior(target: LinearTarget) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Log prior of the empty configuration, log odds `[K]` and couplings `[K, K]`; None if they do not explain it.

    Read from single spins and pairs; tested on all but one, all but two, and pseudorandom configurations.
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


def _hill_climb(target: LinearTarget) -> float:
    """Log mass of a good configuration: the better end of two hill climbs by single flips, from empty and from full."""
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
