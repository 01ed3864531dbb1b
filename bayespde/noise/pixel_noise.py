"""RESIDUALS -> MISFIT, WHITENED RESIDUALS: the noise of pixels under which networks are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayespde.core.errors import ConfigError


@dataclass(frozen=True, eq=False)
class PixelNoise:
    """The noise of pixels in training and in intervals.

    Attributes:
        scale: Root mean square over the pixels of its standard deviation, standardised units. For Student's t it is the
            standard deviation of normal noise with the same Fisher information about the mean: the scale of t times
            sqrt((freedom + 3) / (freedom + 1)).
        freedom: Degrees of freedom of Student's t; infinite for normal noise.
        deviation: Standard deviation of every pixel relative to `scale`, `[n]`, or None if all are 1; for intervals.

    Raises:
        ConfigError: If a number is not positive, or the scale not finite.
    """

    scale: float
    freedom: float = math.inf
    deviation: np.ndarray | None = None

    def __post_init__(self) -> None:
        is_bad = self.deviation is not None and not (np.isfinite(self.deviation) & (self.deviation > 0)).all()
        if not 0 < self.scale < math.inf or not self.freedom > 0 or is_bad:
            raise ConfigError(
                "The noise_scale, freedom or deviation of the pixels is not usable.",
                got=f"scale {self.scale}, freedom {self.freedom}" + (", deviation of 0 or less" if is_bad else ""),
                wanted="positive numbers, the scale and the deviation finite",
                fix="PixelNoise(0.1)",
            )

    def misfit(self, residual: np.ndarray) -> np.ndarray:
        """Minus twice the log density of residuals, in units of `scale**2`, up to a constant: 0 where they are 0.

        For normal noise it is the square.
        """
        return misfit_and_slope(residual, self.scale, self.freedom)[0]

    def whitened(self, residual: np.ndarray) -> np.ndarray:
        """Half the slope of the misfit: residuals with standard deviation `scale`, whatever the family."""
        return misfit_and_slope(residual, self.scale, self.freedom)[1] / 2

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Noise of this number of pixels, `[count]`, float64; of all pixels, where each has its own deviation."""
        if math.isinf(self.freedom):
            return self.scale * rng.standard_normal(count) * (1.0 if self.deviation is None else self.deviation)
        return student_scale(self.scale, self.freedom) * rng.standard_t(self.freedom, count)


def misfit_and_slope(residual: np.ndarray, scale: float, freedom: float) -> tuple[np.ndarray, np.ndarray]:
    """As `PixelNoise.misfit`, and its slope in the residual."""
    square = residual * residual
    if math.isinf(freedom):
        return square, 2 * residual
    height = residual.dtype.type(scale**2 * (freedom + 1))
    width = residual.dtype.type(student_scale(scale, freedom) ** 2 * freedom)
    return height * np.log1p(square / width), 2 * residual * (height / (width + square))


def student_scale(scale: float, freedom: float) -> float:
    """The scale of Student's t with the Fisher information about the mean of normal noise of this deviation."""
    return scale if math.isinf(freedom) else scale * math.sqrt((freedom + 1) / (freedom + 3))
