"""PIXELS + MEAN -> the noise of counts, or of a detector with gain and read noise [foi2008]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import stats
from scipy.optimize import minimize

from bayespde.noise.families.base import NoiseFamily

# Nats per pixel by which the density of a detector has to exceed that of counts where values may be counts.
MIN_GAIN = 0.01

SUPPORT = "any values"


@dataclass(frozen=True)
class Poisson(NoiseFamily):
    """A variance that is linear in the mean; for counts the mean itself.

    Attributes:
        offset: Variance where the mean is 0.
        slope: Variance per unit of the mean.
        counts: Whether the density is that of counts, not of continuous values.
    """

    offset: float = 0.0
    slope: float = 0.0
    counts: bool = False
    family: ClassVar[str] = "poisson"

    def variance(self, mean: np.ndarray | float) -> np.ndarray:
        """Linear in the mean."""
        return np.asarray(self.offset + self.slope * mean)

    def log_density(self, observed: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Log density of every observed value, `[n]`."""
        if self.counts:
            return np.asarray(stats.poisson.logpmf(observed, self.floored_variance(mean)))
        return super().log_density(observed, mean)

    def describe(self) -> str:
        """Name, and the variance."""
        return "poisson: counts" if self.counts else f"poisson: variance {self.offset:.3g} + {self.slope:.3g} mean"


def is_possible(observed: np.ndarray) -> bool:
    """Any values can have a variance that grows with the mean."""
    return True


def fit(observed: np.ndarray, mean: np.ndarray) -> Poisson:
    """The maximum-likelihood variance; counts if the values may be, and have nearly as high a density."""
    detector, counts = Poisson(*_fit_linear_variance(observed - mean, mean)), Poisson(slope=1.0, counts=True)
    # Grey values of a camera are integers as well, but their variance is not their mean.
    is_better = (
        _are_counts(observed)
        and np.mean(counts.log_density(observed, mean) - detector.log_density(observed, mean)) > -MIN_GAIN
    )
    return counts if is_better else detector


def _are_counts(observed: np.ndarray) -> bool:
    return bool((observed == np.round(observed)).all() and observed.min() >= 0)


def _fit_linear_variance(residual: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    """Offset and slope of the variance, both at least 0 within the range of the mean."""
    lowest, spread = float(mean.min()), max(float(np.ptp(mean)), 1e-150)
    total = max(float(np.mean(residual**2)), 1e-300)
    height = (mean - lowest) / spread

    def cost(x: np.ndarray) -> float:
        variance = total * (math.exp(x[0]) + math.exp(x[1]) * height)
        return float(np.mean(np.log(variance) + residual**2 / variance))

    found = minimize(
        cost, [0.0, 0.0], method="Nelder-Mead", bounds=[(-12, 12)] * 2, options={"xatol": 1e-2, "fatol": 1e-6}
    )
    slope = total * math.exp(found.x[1]) / spread
    return total * math.exp(found.x[0]) - slope * lowest, slope
