"""Regression of a configuration -> its log marginal likelihood, with coefficients and noise integrated out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pyro.distributions import TorchDistribution
from torch.distributions import constraints

from bayespde.core.canonical_regression import CanonicalRegression
from bayespde.core.slabs import ProfileLikelihood, Slab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model.over_rows import over_rows
from bayespde.model.regression import regress

BLOCK = 1024


@dataclass(frozen=True)
class ClosedForm:
    """The multivariate Student-t density of the rows, as a function of size, residuals and log determinant.

    Attributes:
        rows: Effective number of rows n (power included).
        prior_rows: a0 of the noise variance prior `InverseGamma(a0/2, a0 v0/2)`, in rows.
        prior_variance: v0, squared units of the whitened target.
        log_jacobian: Log determinant of the whitening.
        slab: Prior of the coefficients.
        observations: Number of rows of which g-priors and slabs speak: those of an intercept included.
    """

    rows: float
    prior_rows: float
    prior_variance: float
    log_jacobian: float
    slab: Slab
    observations: float

    @classmethod
    def from_statistics(cls, statistics: SufficientStatistics, slab: Slab) -> ClosedForm:
        """Read the constants of the density from the compressed rows."""
        return cls(
            statistics.rows,
            statistics.prior_rows,
            statistics.prior_variance,
            float(statistics.log_jacobian.sum()),
            slab,
            statistics.observations,
        )

    @property
    def ridge(self) -> float:
        """Precision that the slab adds to every unit-norm column, dimensionless."""
        return self.slab.ridge(self.observations)

    @property
    def shape(self) -> float:
        """Rows of data and prior together: twice the shape of the posterior of the noise variance."""
        return self.rows + self.prior_rows

    @cached_property
    def mixture(self) -> tuple[np.ndarray, np.ndarray]:
        """Values of g and their log weights, `[G]` each, float64."""
        return self.slab.mixture(self.observations)

    def log_determinant(self, size: np.ndarray, logdet: np.ndarray) -> np.ndarray:
        """Log determinant of the prior predictive covariance in units of the noise variance, `[N, G]`."""
        if self.ridge > 0:
            return np.asarray(logdet - size * math.log(self.ridge))[:, None]
        if isinstance(self.slab, ProfileLikelihood):
            return np.zeros((len(size), 1))
        return np.asarray(size[:, None] * np.log1p(self.mixture[0]))

    def scaled_square(self, rss: np.ndarray, energy: float) -> np.ndarray:
        """`a0 v0 + q` with q the squared target in the metric of the prior predictive, `[N, G]`.

        Written as `rss + (energy - rss) / (1 + g)`, which does not cancel where the fit is nearly perfect.
        """
        square = rss[:, None] + (energy - rss)[:, None] / (1 + self.mixture[0])
        return np.asarray(self.prior_rows * self.prior_variance + square)

    def log_components(self, size: Any, rss: Any, logdet: Any, *, energy: float) -> np.ndarray:
        """Log of weight times density for every value of g, `[N, G]`, float64.

        Args:
            size: Number of terms, `[N]`.
            rss: Residual sum of squares, `[N]`, squared units of the whitened target.
            logdet: Log determinant of the selected Gram matrix with ridge, `[N]`; read for the isotropic slab only.
            energy: Sum of squares of the target.

        Returns:
            Terms whose log-sum-exp over the last axis is the log evidence [liang2008].
        """
        size, rss, logdet = (np.asarray(a, dtype=np.float64) for a in (size, rss, logdet))
        a0, v0, shape = self.prior_rows, self.prior_variance, self.shape
        constant = math.lgamma(shape / 2) - math.lgamma(a0 / 2) + a0 / 2 * math.log(a0 * v0)
        constant += self.log_jacobian - self.rows / 2 * math.log(math.pi)
        log_density = -0.5 * self.log_determinant(size, logdet) - shape / 2 * np.log(self.scaled_square(rss, energy))
        return np.asarray((constant + self.mixture[1]) + log_density)

    def log_evidence(self, size: Any, rss: Any, logdet: Any, *, energy: float) -> torch.Tensor:
        """Log marginal likelihood, `[N]`, float64; arguments as in `log_components`."""
        arrays = [np.asarray(a, dtype=np.float64) for a in (size, rss, logdet)]
        answer = np.empty(len(arrays[0]))
        # In NumPy and in blocks that fit the cache: torch starts its threads for short arrays, which costs more.
        for start in range(0, len(answer), BLOCK):
            block = slice(start, start + BLOCK)
            components = self.log_components(*(a[block] for a in arrays), energy=energy)
            peak = components.max(axis=1)
            answer[block] = peak + np.log(np.exp(components - peak[:, None]).sum(axis=1))
        return torch.as_tensor(answer)

    def log_likelihood(self, rows: CanonicalRegression, spins: np.ndarray) -> torch.Tensor:
        """Log marginal likelihood of configurations of a regression.

        Args:
            rows: The regression.
            spins: `[N, K]`, bool, in the factor's order.

        Returns:
            `[N]`, float64; -inf where a pivot is too small.
        """
        rss, logdet, pivot = regress(rows.factor, spins, rows.ridge)
        allowed = pivot >= rows.pivot_tolerance
        answer = torch.full((len(spins),), -torch.inf, dtype=torch.float64)
        size = spins[allowed].sum(axis=1)
        some = self.log_evidence(size, rss[allowed], logdet[allowed], energy=rows.energy)
        answer[torch.as_tensor(allowed)] = some
        return answer


class SpinEvidence(TorchDistribution):
    """Distribution of the target given the spins, coefficients and noise integrated out.

    The event is the target's column of the triangular factor, `[K+1]`; the density is that of the rows that it
    compresses.

    Args:
        spins: `[..., K]`, bool or 0/1, in the order of the factor's columns.
        rows: The regression; the last column of its factor is replaced by the value whose density is computed.
        closed_form: Constants and slab.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    support = constraints.real_vector

    def __init__(self, spins: torch.Tensor, rows: CanonicalRegression, closed_form: ClosedForm) -> None:
        self.spins, self.regression, self.closed_form = spins.bool(), rows, closed_form
        super().__init__(spins.shape[:-1], torch.Size([len(rows.factor)]), validate_args=False)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Log density of the rows that the column `value`, `[K+1]`, compresses: shape `spins.shape[:-1]`, float64."""
        factor = self.regression.factor.copy()
        factor[:, -1] = value.detach().numpy()
        regression = replace(self.regression, factor=factor)

        def log_likelihood(spins: torch.Tensor) -> torch.Tensor:
            flat = spins.reshape(-1, spins.shape[-1]).numpy()
            return self.closed_form.log_likelihood(regression, flat).reshape(spins.shape[:-1])

        return over_rows(log_likelihood, self.spins)
