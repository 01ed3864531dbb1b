"""PIXELS + MEAN -> Student's t [lange1989]: noise with outliers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import t

from bayespde.noise.families.base import LEAST_SCALE, LEAST_VARIANCE, NoiseFamily
from bayespde.noise.pixel_noise import PixelNoise

MIN_FREEDOM, MAX_FREEDOM = 2.1, 100.0

SUPPORT = "any values"


@dataclass(frozen=True)
class StudentT(NoiseFamily):
    """Heavy tails, the same for all pixels.

    Attributes:
        scale: Of the distribution.
        freedom: Degrees of freedom.
    """

    scale: float
    freedom: float
    family: ClassVar[str] = "student_t"

    def variance(self, mean: np.ndarray | float) -> np.ndarray:
        """That of normal noise of equal Fisher information, of the shape of the mean."""
        factor = (self.freedom + 3) / (self.freedom + 1)
        return np.full(np.shape(mean), max(factor * self.scale**2, LEAST_VARIANCE))

    def log_density(self, observed: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Log density of every observed value, `[n]`."""
        return np.asarray(t.logpdf(observed - mean, self.freedom, scale=self.scale))

    def pixel_noise(self, mean: np.ndarray | None, amplitude: float) -> PixelNoise:
        """The same for every mean, with the degrees of freedom."""
        return PixelNoise(math.sqrt(float(self.variance(0.0))) / amplitude, self.freedom)

    def describe(self) -> str:
        """Name, degrees of freedom and scale."""
        return f"student_t: {self.freedom:.3g} degrees of freedom, scale {self.scale:.4g}"


def is_possible(observed: np.ndarray) -> bool:
    """Any values can have outliers."""
    return True


def fit(observed: np.ndarray, mean: np.ndarray) -> StudentT:
    """The maximum-likelihood scale and degrees of freedom."""
    residual = observed - mean
    spread = max(float(np.median(np.abs(residual))), LEAST_SCALE)

    def parameters(x: np.ndarray) -> tuple[float, float]:
        return spread * math.exp(x[0]), MIN_FREEDOM + (MAX_FREEDOM - MIN_FREEDOM) * float(expit(x[1]))

    def cost(x: np.ndarray) -> float:
        scale, freedom = parameters(x)
        return -float(np.mean(t.logpdf(residual, freedom, scale=scale)))

    found = minimize(cost, [0.3, -2.0], method="Nelder-Mead", options={"xatol": 1e-2, "fatol": 1e-6})
    return StudentT(*parameters(found.x))
