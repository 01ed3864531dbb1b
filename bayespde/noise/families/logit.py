"""PIXELS + MEAN -> noise of fractions: normal after the logistic transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import special
from scipy.stats import norm

from bayespde.noise.families.base import NoiseFamily

# Distance of the mean of a fraction from 0 and 1.
FRACTION_MARGIN = 1e-3

SUPPORT = "values between 0 and 1"


@dataclass(frozen=True)
class Logit(NoiseFamily):
    """Noise of values between 0 and 1.

    Attributes:
        scale: Standard deviation of the logit.
    """

    scale: float
    family: ClassVar[str] = "logit"

    def variance(self, mean: np.ndarray | float) -> np.ndarray:
        """To first order in the noise."""
        return np.asarray((self.scale * _inside(mean) * (1 - _inside(mean))) ** 2)

    def log_density(self, observed: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Log density of every observed value, `[n]`."""
        jacobian = np.log(observed) + np.log1p(-observed)
        return np.asarray(norm.logpdf(special.logit(observed), special.logit(_inside(mean)), self.scale) - jacobian)

    def describe(self) -> str:
        """Name and standard deviation."""
        return f"logit: sd {self.scale:.4g}"


def is_possible(observed: np.ndarray) -> bool:
    """Whether the values are fractions."""
    return bool(observed.min() > 0 and observed.max() < 1)


def fit(observed: np.ndarray, mean: np.ndarray) -> Logit:
    """The maximum-likelihood standard deviation of the logit."""
    return Logit(float(np.sqrt(np.mean((special.logit(observed) - special.logit(_inside(mean))) ** 2))))


def _inside(mean: np.ndarray | float) -> np.ndarray:
    return np.clip(mean, FRACTION_MARGIN, 1 - FRACTION_MARGIN)
