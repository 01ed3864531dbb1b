"""Settings -> the prior of the spin model: expected number of terms, slab of the coefficients, couplings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq

from bayespde.core.annotations import Positive, Share
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.slabs import HyperGSlab, Slab
from bayespde.model.couplings import Coupling, interactions

# Default of the expected number of terms.
EXPECTED_TERMS = 3.0


@dataclass(frozen=True)
class Prior(Checked):
    """The prior of the spin model.

    Attributes:
        expected_terms: Prior mean number of terms in the equation; None means 3, or half the terms if that is fewer.
        slab: Prior of the coefficients that are in the equation.
        pivot_tolerance: Smallest squared distance of a unit column from those before it, in (0, 1).
        couplings: Pairs of terms that are not independent under the prior, such as `isotropic_couplings(library)`.
    """

    expected_terms: Positive | None = None
    slab: Slab = field(default_factory=HyperGSlab)
    pivot_tolerance: Share = 1e-10
    couplings: tuple[Coupling, ...] = ()

    def of_spins(self, complexities: np.ndarray, names: Sequence[str] = ()) -> PairwiseSpins:
        """The prior `exp(-gamma * complexity)` of configurations, with gamma solved for the expected number of terms.

        Without couplings the spins are independent. With couplings gamma is solved for the coupled prior.

        Args:
            complexities: Cost per term, `[K]`, float64, positive, dimensionless.
            names: Names of the terms, by which couplings refer to them.

        Returns:
            The distribution of the spins.

        Raises:
            ConfigError: If a complexity is not positive, no gamma gives that expectation, or couplings cannot be used.
        """
        cost = np.asarray(complexities, dtype=np.float64)
        if cost.ndim != 1 or not cost.size or not (np.isfinite(cost).all() and (cost > 0).all()):
            raise ConfigError(
                "Complexities must be positive.", got=cost, wanted="[K] positive numbers", fix="use 1 per term"
            )
        expectation = min(EXPECTED_TERMS, cost.size / 2) if self.expected_terms is None else float(self.expected_terms)
        if not expectation < cost.size:
            raise ConfigError(
                "The expected number of terms is impossible.",
                got=expectation,
                wanted=f"more than 0 and fewer than the {cost.size} terms of the library",
                fix=f"expected_terms={cost.size / 2:g}",
            )
        zero = np.zeros(cost.size), np.zeros((cost.size, cost.size))
        fields, joint = interactions(names, self.couplings) if self.couplings else zero

        def at(gamma: float) -> PairwiseSpins:
            return PairwiseSpins(fields - gamma * cost, joint)

        def excess(gamma: float) -> float:
            return float(at(gamma).inclusion.sum()) - expectation

        limit = 1.0 / cost.max()
        while excess(limit) > 0 or excess(-limit) < 0:
            limit *= 2
        return at(float(brentq(excess, -limit, limit, xtol=1e-14, rtol=1e-14)))
