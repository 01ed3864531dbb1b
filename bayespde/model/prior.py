"""Settings -> the prior of the spin model: expected number of terms, slab of the coefficients, couplings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.slabs import HyperGSlab, Slab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model.complexity_prior import complexity_prior
from bayespde.model.couplings import Coupling
from bayespde.model.spin import SpinModel


@dataclass(frozen=True)
class Prior:
    """The prior of the spin model.

    Attributes:
        expected_terms: Prior mean number of terms in the equation; None means 3, or half the terms if that is fewer.
        slab: Prior of the coefficients that are in the equation.
        pivot_tolerance: Smallest squared distance of a unit column from those before it.
        couplings: Pairs of terms that are not independent under the prior, such as `isotropic_couplings(library)`.
    """

    expected_terms: float | None = None
    slab: Slab = field(default_factory=HyperGSlab)
    pivot_tolerance: float = 1e-10
    couplings: tuple[Coupling, ...] = ()

    def model(self, statistics: SufficientStatistics, library: Library) -> SpinModel:
        """The spin model of rows under this prior."""
        return SpinModel(statistics, library, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    def spins(self, library: Library) -> PairwiseSpins:
        """The distribution of the spins of a library's terms under this prior.

        Raises:
            ConfigError: If the number of terms is impossible, or a coupling names a term that is not in the library.
        """
        return complexity_prior(
            library.complexities, expected_terms=self.expected_terms, names=library.names, couplings=self.couplings
        )

    def __post_init__(self) -> None:
        if not isinstance(self.couplings, tuple) or not all(isinstance(c, Coupling) for c in self.couplings):
            raise ConfigError(
                "Couplings must be a tuple of couplings.",
                got=repr(self.couplings)[:80],
                wanted="Coupling objects",
                fix="couplings=(Coupling('u_xx', 'u_yy'),)",
            )
        numbers = [self.pivot_tolerance, 1.0 if self.expected_terms is None else self.expected_terms]
        if not all(isinstance(n, int | float) and n > 0 for n in numbers):
            raise ConfigError(
                "A setting of the prior is not a positive number.",
                got=f"expected_terms={self.expected_terms!r}, pivot_tolerance={self.pivot_tolerance!r}",
                wanted="numbers > 0",
                fix="Prior()",
            )
