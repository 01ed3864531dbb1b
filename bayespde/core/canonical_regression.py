"""A linear regression as compiled samplers read it: unit columns in a fixed order, and the prior of their spins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayespde.core.pairwise import PairwiseSpins


@dataclass(frozen=True, eq=False)
class CanonicalRegression:
    """The numbers behind a target whose likelihood depends on the fit of a linear model only.

    Attributes:
        factor: Triangular factor of unit-norm columns and the response, `[K+1, K+1]`, float64.
        order: Index of the spin that belongs to each column of the factor, `[K]`, int64.
        ridge: Precision added to each unit column; 0 for none.
        offset: What the noise prior adds to the residual sum of squares, in squared units of the response; the evidence
            is smooth in the log of both.
        pivot_tolerance: Configurations with a smaller pivot have likelihood 0.
        prior: Distribution of the spins before the data, in their own order.
    """

    factor: np.ndarray
    order: np.ndarray
    ridge: float
    offset: float
    pivot_tolerance: float
    prior: PairwiseSpins

    @property
    def terms(self) -> int:
        """Number of columns K."""
        return len(self.order)

    @cached_property
    def energy(self) -> float:
        """Sum of squares of the response."""
        return float(np.sum(self.factor[:, -1] ** 2))
