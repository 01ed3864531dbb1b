"""A family's variance given the mean -> the density of observed pixels, and their noise in training and intervals."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.stats import norm

from bayespde.noise.pixel_noise import PixelNoise

# Lower bound of a variance relative to the median: where it is smaller, the error of the mean dominates.
MIN_VARIANCE = 0.01
LEAST_VARIANCE = 1e-300
LEAST_SCALE = 1e-150


@dataclass(frozen=True)
class NoiseFamily(ABC):
    """The distribution of a pixel given its mean, with its parameters, in the units of the field.

    Unless a family says otherwise, pixels are normal with a variance that depends on the mean.

    Attributes:
        family: Its name in `FAMILIES`.
    """

    family: ClassVar[str]

    @abstractmethod
    def variance(self, mean: np.ndarray | float) -> np.ndarray:
        """Variance of pixels with this mean, of its shape."""

    @abstractmethod
    def describe(self) -> str:
        """Family and parameters, as text that begins with the name."""

    def log_density(self, observed: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Log density of every observed value, `[n]`."""
        return np.asarray(norm.logpdf(observed, mean, np.sqrt(self.floored_variance(mean))))

    def pixel_noise(self, mean: np.ndarray | None, amplitude: float) -> PixelNoise:
        """The noise of pixels with this mean, `[n]`, in standardised units, of which one is `amplitude`."""
        if mean is None:
            return PixelNoise(math.sqrt(float(self.variance(0.0))) / amplitude)
        variance = self.floored_variance(mean)
        total = float(np.mean(variance))
        return PixelNoise(math.sqrt(total) / amplitude, deviation=np.sqrt(variance / total).astype(np.float32))

    def floored_variance(self, mean: np.ndarray) -> np.ndarray:
        """Variance of pixels with this mean, at least 1 % of the median."""
        variance = self.variance(mean)
        return np.maximum(variance, max(MIN_VARIANCE * float(np.median(variance)), LEAST_VARIANCE))


def rms_scale(residual: np.ndarray) -> float:
    """Root mean square of residuals, positive."""
    return max(float(np.sqrt(np.mean(residual**2))), LEAST_SCALE)
