"""Complexities and couplings -> the prior distribution of the spins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.model.couplings import Coupling, interactions

# Default of the expected number of terms.
EXPECTED_TERMS = 3.0


def complexity_prior(
    complexity: np.ndarray,
    *,
    expected_terms: float | None = None,
    names: Sequence[str] = (),
    couplings: Sequence[Coupling] = (),
) -> PairwiseSpins:
    """The prior `exp(-gamma * complexity)` of configurations, with gamma solved for the expected number of terms.

    Without couplings the spins are independent. With couplings gamma is solved for the coupled prior.

    Args:
        complexity: Cost per term, `[K]`, float64, positive, dimensionless.
        expected_terms: Prior mean number of terms, in (0, K); None means 3, or half the terms if that is fewer.
        names: Names of the terms, by which couplings refer to them.
        couplings: Pairs of terms that are not independent under the prior.

    Returns:
        The distribution of the spins.

    Raises:
        ConfigError: If a complexity is not positive, no gamma gives that expectation, or couplings cannot be used.
    """
    cost = np.asarray(complexity, dtype=np.float64)
    if cost.ndim != 1 or not cost.size or not (np.isfinite(cost).all() and (cost > 0).all()):
        raise ConfigError(
            "Complexities must be positive.", got=cost, wanted="[K] positive numbers", fix="use 1 per term"
        )
    terms = cost.size
    expectation = min(EXPECTED_TERMS, terms / 2) if expected_terms is None else float(expected_terms)
    if not 0 < expectation < terms:
        raise ConfigError(
            "The expected number of terms is impossible.",
            got=expectation,
            wanted=f"more than 0 and fewer than the {terms} terms of the library",
            fix=f"expected_terms={terms / 2:g}",
        )

    fields, joint = interactions(names, couplings) if couplings else (np.zeros(terms), np.zeros((terms, terms)))

    def at(gamma: float) -> PairwiseSpins:
        return PairwiseSpins(fields - gamma * cost, joint)

    def excess(gamma: float) -> float:
        return float(at(gamma).inclusion.sum()) - expectation

    limit = 1.0 / cost.max()
    while excess(limit) > 0 or excess(-limit) < 0:
        limit *= 2
    return at(float(brentq(excess, -limit, limit, xtol=1e-14, rtol=1e-14)))
