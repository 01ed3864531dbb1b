"""Settings -> the prior of the spin model: expected number of terms, slab of the coefficients, couplings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.slabs import HyperGSlab, Slab
from bayespde.model.complexity_prior import complexity_prior
from bayespde.model.couplings import Coupling


@dataclass(frozen=True)
class Prior:
    """The prior of the spin model.

    Attributes:
        expected_terms: Prior mean number of terms in the equation; None means 3, or half the terms if that is fewer.
        slab: Prior of the coefficients that are in the equation.
        pivot_tolerance: Smallest squared distance of a unit column from those before it, in (0, 1).
        couplings: Pairs of terms that are not independent under the prior, such as `isotropic_couplings(library)`.
    """

    expected_terms: float | None = None
    slab: Slab = field(default_factory=HyperGSlab)
    pivot_tolerance: float = 1e-10
    couplings: tuple[Coupling, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.couplings, tuple) or not all(isinstance(c, Coupling) for c in self.couplings):
            raise ConfigError(
                "Couplings must be a tuple of couplings.",
                got=repr(self.couplings)[:80],
                wanted="Coupling objects",
                fix="couplings=(Coupling('u_xx', 'u_yy'),)",
            )
        expected = self.expected_terms
        if expected is not None and not (isinstance(expected, int | float) and expected > 0):
            raise ConfigError(
                "The expected number of terms is not a positive number.",
                got=repr(expected),
                wanted="a number > 0, or None",
                fix="expected_terms=3",
            )
        if not (isinstance(self.pivot_tolerance, int | float) and 0 < self.pivot_tolerance < 1):
            raise ConfigError(
                "The pivot tolerance is out of range.",
                got=repr(self.pivot_tolerance),
                wanted="0 < pivot_tolerance < 1",
                fix="pivot_tolerance=1e-10",
            )

    def of_spins(self, names: Sequence[str], complexities: np.ndarray) -> PairwiseSpins:
        """The distribution of the spins of some terms.

        Args:
            names: Names of the terms, K of them.
            complexities: Their complexities, `[K]`, float64, positive, dimensionless.

        Raises:
            ConfigError: If the number of terms is impossible, or a coupling names another term.
        """
        return complexity_prior(complexities, expected_terms=self.expected_terms, names=names, couplings=self.couplings)
