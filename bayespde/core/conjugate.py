"""Statistics + a configuration -> the conditional posterior of its coefficients, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from bayespde.core.statistics import SufficientStatistics

# Singular values of unit columns below this, relative to the largest, count as zero.
RANK_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class CoefficientPosterior:
    """Normal-inverse-gamma posterior of the coefficients of one configuration under one g-prior or ridge.

    Under a g-prior with shrinkage w = g / (1 + g) [zellner1986] the mean is w times the least-squares fit, and the
    covariance is w (X'X)^-1 times the noise variance; under an isotropic slab X'X gains a ridge on unit columns. With
    the inverse-gamma prior of the noise variance (prior variance with the weight of the prior rows), the coefficients
    are Student t with prior plus effective rows as degrees of freedom.

    Attributes:
        fit: Least-squares (or ridge) coefficients of unit columns, `[k]` for the k terms that are on.
        root: Root of `(X'X)^-1` of unit columns, `[k, k]`.
        scale: Norm of each column, `[k]`.
        shrinkage: The factor w, dimensionless.
        square: Twice the scale of the inverse-gamma posterior of the noise variance.
        freedom: Twice its shape: degrees of freedom.
    """

    fit: np.ndarray
    root: np.ndarray
    scale: np.ndarray
    shrinkage: float
    square: float
    freedom: float

    @classmethod
    def of(
        cls, statistics: SufficientStatistics, spins: np.ndarray, *, shrinkage: float = 1.0, ridge: float = 0.0
    ) -> CoefficientPosterior:
        """The posterior given a configuration.

        Args:
            statistics: The compressed rows.
            spins: Configuration, `[K]`, bool.
            shrinkage: The factor w; 1 for large g.
            ridge: Added to the squared norm of unit columns; 0 for a g-prior.
        """
        on = np.flatnonzero(spins)
        scale = statistics.column_scale[on]
        columns = np.vstack([statistics.factor[:, on] / scale, np.sqrt(ridge) * np.eye(on.size)])
        target = np.append(statistics.factor[:, -1], np.zeros(on.size))
        root = np.linalg.pinv(np.linalg.qr(columns, mode="r"), rcond=RANK_TOLERANCE)
        fit = np.linalg.lstsq(columns, target, rcond=RANK_TOLERANCE)[0]
        residual = float(np.sum((target - columns @ fit) ** 2))
        quadratic = residual + (1 - shrinkage) * (statistics.energy - residual)
        square = statistics.prior_rows * statistics.prior_variance + quadratic
        return cls(fit, root, scale, shrinkage, square, statistics.prior_rows + statistics.rows)

    @property
    def mean(self) -> np.ndarray:
        """Posterior means, `[k]`, physical units."""
        return np.asarray(self.shrinkage * self.fit / self.scale)

    @property
    def sd(self) -> np.ndarray:
        """Posterior standard deviations, `[k]`, physical units."""
        return np.asarray(self._spread * np.sqrt(self.square / max(self.freedom - 2, 1.0)))

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the equal-tailed interval of mass `level` of every coefficient, `[k]` each, physical units."""
        half = self._spread * np.sqrt(self.square / self.freedom) * stats.t.ppf(0.5 + level / 2, self.freedom)
        return self.mean - half, self.mean + half

    def deviations(self, draws: int, random: np.random.Generator) -> np.ndarray:
        """Draws of the deviations from the mean at noise variance 1, `[draws, k]`, physical units."""
        normal = random.standard_normal((draws, len(self.fit)))
        return np.asarray(np.sqrt(self.shrinkage) * (normal @ self.root.T / self.scale))

    @property
    def _spread(self) -> np.ndarray:
        """Standard deviations at noise variance 1, `[k]`, physical units."""
        return np.asarray(np.sqrt(self.shrinkage) * np.linalg.norm(self.root, axis=1) / self.scale)
