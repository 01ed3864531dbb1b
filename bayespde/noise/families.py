"""Observed pixels and their mean -> which noise they have.

Student's t [lange1989] changes the mean: what is far out says little. A variance that depends on the mean, as that of
counts, changes the intervals only: every pixel counts the same for the mean, which is then still the right one
[liangzeger1986], and training is a least-squares problem. Which family the data have is decided by the log density of
pixels that neither mean nor family have seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm, poisson, t

from bayespde.core.errors import ConfigError

FAMILIES = ("gaussian", "student_t", "poisson", "logit")
# Nats per pixel, and standard errors, by which another family has to beat the Gaussian.
GAIN, ERRORS = 0.01, 3.0
# Variances below this share of the median are not believed: there the mean has an error of its own.
LEAST = 0.01
FEWEST, MOST_FREEDOM = 2.1, 100.0
# Residuals from which the numbers of a family are found where whole videos are looked at.
MOST_RESIDUALS = 20_000
FEWEST_PIXELS, SCORED = 100, 20_000
EDGE = 1e-3


@dataclass(frozen=True, eq=False)
class PixelNoise:
    """The noise of pixels in training and in intervals.

    Attributes:
        scale: Root mean square over the pixels of its standard deviation, standardised units; for Student's t that of
            normal noise which says as much about the mean: its own scale times sqrt((freedom + 3) / (freedom + 1)).
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
        """What residuals say about the mean, with standard deviation `scale` whatever the family."""
        return misfit_and_slope(residual, self.scale, self.freedom)[1] / 2

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Noise of that many pixels, `[count]`, float64: of all of them, where they have deviations of their own."""
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
    """The scale of Student's t that says as much about its mean as normal noise of this standard deviation."""
    return scale if math.isinf(freedom) else scale * math.sqrt((freedom + 1) / (freedom + 3))


@dataclass(frozen=True)
class NoiseFamily:
    """One family with its numbers, in the units of the field.

    Attributes:
        family: `gaussian`: one standard deviation. `student_t`: heavy tails. `poisson`: variance `offset + slope mean`,
            that of a detector [foi2008]; for counts the mean. `logit`: normal after the logistic transform.
        scale: Standard deviation; scale of Student's t; standard deviation of the logit.
        freedom: Degrees of freedom of Student's t.
        offset: Variance where the mean is 0, for `poisson`.
        slope: Variance per unit of the mean, for `poisson`.
        counts: Whether the density is that of counts, not of continuous values.
    """

    family: str
    scale: float = 0.0
    freedom: float = math.inf
    offset: float = 0.0
    slope: float = 0.0
    counts: bool = False

    @classmethod
    def fit(cls, family: str, observed: np.ndarray, mean: np.ndarray) -> NoiseFamily:
        """The most likely numbers of a family, from observed values `[n]` and their mean.

        Raises:
            ConfigError: If the values are none that the family can have.
        """
        check_family(family, observed)
        residual = observed - mean
        scale = max(float(np.sqrt(np.mean(residual**2))), 1e-150)
        if family == "student_t":
            return cls(family, *_student(residual))
        if family == "logit":
            return cls(family, float(np.sqrt(np.mean((logit(observed) - logit(_inside(mean))) ** 2))))
        if family == "poisson":
            detector = cls(family, scale, math.inf, *_detector(residual, mean))
            counts = cls(family, scale, slope=1.0, counts=True)
            # Grey values of a camera are integers as well, but their variance is not their mean.
            is_better = (
                _are_counts(observed)
                and np.mean(counts.log_density(observed, mean) - detector.log_density(observed, mean)) > -GAIN
            )
            return counts if is_better else detector
        return cls(family, scale)

    def variance(self, mean: np.ndarray | float) -> np.ndarray:
        """Variance of pixels with this mean; for Student's t that of normal pixels which say as much about it."""
        if self.family == "poisson":
            return np.asarray(self.offset + self.slope * mean)
        if self.family == "logit":
            return np.asarray((self.scale * _inside(mean) * (1 - _inside(mean))) ** 2)
        factor = 1.0 if math.isinf(self.freedom) else (self.freedom + 3) / (self.freedom + 1)
        return np.full(np.shape(mean), max(factor * self.scale**2, 1e-300))

    def log_density(self, observed: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Of every observed value, `[n]`."""
        if self.family == "student_t":
            return np.asarray(t.logpdf(observed - mean, self.freedom, scale=self.scale))
        if self.family == "logit":
            jacobian = np.log(observed) + np.log1p(-observed)
            return np.asarray(norm.logpdf(logit(observed), logit(_inside(mean)), self.scale) - jacobian)
        variance = self._floored(mean)
        if self.counts:
            return np.asarray(poisson.logpmf(observed, variance))
        return np.asarray(norm.logpdf(observed, mean, np.sqrt(variance)))

    def pixel_noise(self, mean: np.ndarray | None, amplitude: float) -> PixelNoise:
        """The noise of pixels with this mean, `[n]`, where one standardised unit is `amplitude`."""
        if self.family in ("gaussian", "student_t") or mean is None:
            return PixelNoise(math.sqrt(float(self.variance(0.0))) / amplitude, self.freedom)
        variance = self._floored(mean)
        total = float(np.mean(variance))
        return PixelNoise(math.sqrt(total) / amplitude, deviation=np.sqrt(variance / total).astype(np.float32))

    def describe(self) -> str:
        """Family and numbers, in words."""
        if self.family == "poisson":
            return "poisson: counts" if self.counts else f"poisson: variance {self.offset:.3g} + {self.slope:.3g} mean"
        name = {"student_t": f"student_t: {self.freedom:.3g} degrees of freedom, scale", "logit": "logit: sd"}
        return f"{name.get(self.family, 'gaussian: sd')} {self.scale:.4g}"

    def _floored(self, mean: np.ndarray) -> np.ndarray:
        variance = self.variance(mean)
        return np.maximum(variance, max(LEAST * float(np.median(variance)), 1e-300))


def evenly(values: np.ndarray, most: int) -> np.ndarray:
    """All of the values, or every second, third ... where there are more than `most`."""
    return values[:: -(-len(values) // most)]


def check_family(family: str, observed: np.ndarray) -> None:
    """Raise a `ConfigError` unless pixels of these values can have noise of this family."""
    if not is_possible(family, observed):
        raise ConfigError(
            f"The pixels cannot have {family} noise.",
            got=f"values from {observed.min():g} to {observed.max():g}",
            wanted="values between 0 and 1 for logit; one of " + ", ".join(FAMILIES),
            fix="noise='auto'",
        )


def is_possible(family: str, observed: np.ndarray) -> bool:
    """Whether pixels of these values can have noise of this family."""
    if family == "logit":
        return bool(observed.min() > 0 and observed.max() < 1)
    return family in FAMILIES


def choose_noise(observed: np.ndarray, mean: np.ndarray, *, seed: int) -> tuple[NoiseFamily, dict[str, float]]:
    """Compare the families by the log density of pixels that they were not fitted to.

    Args:
        observed: Pixels that the mean was not fitted to, `[n]`.
        mean: Their mean.
        seed: Non-negative integer, for the halves: each is scored by the numbers of the other.

    Returns:
        The family, Gaussian unless another is better by three standard errors and a hundredth of a nat per pixel, with
        its numbers from all pixels; and the mean log density by family, nats per pixel, none for less than 100 pixels.
    """
    if len(observed) < FEWEST_PIXELS:
        return NoiseFamily.fit("gaussian", observed, mean), {}
    order = np.random.default_rng(seed).permutation(len(observed))[:SCORED]
    halves = (order[::2], order[1::2])
    possible = [family for family in FAMILIES if is_possible(family, observed)]
    scores = {f: _cross_scores(f, observed, mean, halves) for f in possible}
    best = max(possible, key=lambda f: scores[f].mean())
    gain = scores[best] - scores["gaussian"]
    error = gain.std() / math.sqrt(len(gain))
    chosen = best if gain.mean() > max(GAIN, ERRORS * error) else "gaussian"
    return NoiseFamily.fit(chosen, observed, mean), {f: float(s.mean()) for f, s in scores.items()}


def _cross_scores(family: str, observed: np.ndarray, mean: np.ndarray, halves: Sequence[np.ndarray]) -> np.ndarray:
    given, asked = halves
    pairs = ((given, asked), (asked, given))
    models = [(NoiseFamily.fit(family, observed[a], mean[a]), b) for a, b in pairs]
    return np.concatenate([model.log_density(observed[b], mean[b]) for model, b in models])


def _inside(mean: np.ndarray | float) -> np.ndarray:
    return np.clip(mean, EDGE, 1 - EDGE)


def _are_counts(observed: np.ndarray) -> bool:
    return bool((observed == np.round(observed)).all() and observed.min() >= 0)


def _student(residual: np.ndarray) -> tuple[float, float]:
    """Scale and degrees of freedom."""
    spread = max(float(np.median(np.abs(residual))), 1e-150)

    def numbers(x: np.ndarray) -> tuple[float, float]:
        return spread * math.exp(x[0]), FEWEST + (MOST_FREEDOM - FEWEST) * float(expit(x[1]))

    def cost(x: np.ndarray) -> float:
        scale, freedom = numbers(x)
        return -float(np.mean(t.logpdf(residual, freedom, scale=scale)))

    found = minimize(cost, [0.3, -2.0], method="Nelder-Mead", options={"xatol": 1e-2, "fatol": 1e-6})
    return numbers(found.x)


def _detector(residual: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
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
