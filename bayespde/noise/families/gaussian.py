"""PIXELS + MEAN -> normal noise of one standard deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bayespde.noise.families.base import LEAST_VARIANCE, NoiseFamily, rms_scale
from bayespde.noise.pixel_noise import PixelNoise

SUPPORT = "any values"


@dataclass(frozen=True)
class Gaussian(NoiseFamily):
    """Normal noise, the same for all pixels.

    Attributes:
        scale: Standard deviation.
    """

    scale: float
    family: ClassVar[str] = "gaussian"

    def variance(self, mean: np.ndarray | float) -> np.ndarray:
        """One variance, of the shape of the mean."""
        return np.full(np.shape(mean), max(self.scale**2, LEAST_VARIANCE))

    def pixel_noise(self, mean: np.ndarray | None, amplitude: float) -> PixelNoise:
        """The same for every mean."""
        return PixelNoise(math.sqrt(float(self.variance(0.0))) / amplitude)

    def describe(self) -> str:
        """Name and standard deviation."""
        return f"gaussian: sd {self.scale:.4g}"


def is_possible(observed: np.ndarray) -> bool:
    """Any values can have normal noise."""
    return True


def fit(observed: np.ndarray, mean: np.ndarray) -> Gaussian:
    """The maximum-likelihood standard deviation."""
    return Gaussian(rms_scale(observed - mean))
