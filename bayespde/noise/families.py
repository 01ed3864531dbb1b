"""PIXELS + MEAN -> NOISE FAMILY: Gaussian, Student's t, Poisson or logit, chosen by held-out log density.

Student's t [lange1989] changes the mean: outliers have little weight. A variance that depends on the mean, as that of
counts, changes the intervals only: all pixels have equal weight in the mean, which stays consistent [liangzeger1986],
and training is a least-squares problem. The family is chosen by the log density of pixels that neither mean nor family
were fitted to.
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
from bayespde.noise.pixel_noise import PixelNoise

FAMILIES = ("gaussian", "student_t", "poisson", "logit")
# Nats per pixel, and standard errors, by which another family has to exceed the Gaussian.
MIN_GAIN, GAIN_ERRORS = 0.01, 3.0
# Lower bound of a variance relative to the median: where it is smaller, the error of the mean dominates.
MIN_VARIANCE = 0.01
MIN_FREEDOM, MAX_FREEDOM = 2.1, 100.0
# Residuals to which a family is fitted where the field is a whole video.
MAX_RESIDUALS = 20_000
MIN_PIXELS, MAX_SCORED = 100, 20_000
# Distance of the mean of a fraction from 0 and 1.
FRACTION_MARGIN = 1e-3


@dataclass(frozen=True)
class NoiseFamily:
    """One family with its parameters, in the units of the field.

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
        """The maximum-likelihood parameters of a family, from observed values `[n]` and their mean.

        Raises:
            ConfigError: If the values are outside the support of the family.
        """
        check_family(family, observed)
        residual = observed - mean
        scale = max(float(np.sqrt(np.mean(residual**2))), 1e-150)
        if family == "student_t":
            return cls(family, *_fit_student(residual))
        if family == "logit":
            return cls(family, float(np.sqrt(np.mean((logit(observed) - logit(_inside(mean))) ** 2))))
        if family == "poisson":
            detector = cls(family, scale, math.inf, *_fit_linear_variance(residual, mean))
            counts = cls(family, scale, slope=1.0, counts=True)
            # Grey values of a camera are integers as well, but their variance is not their mean.
            is_better = (
                _are_counts(observed)
                and np.mean(counts.log_density(observed, mean) - detector.log_density(observed, mean)) > -MIN_GAIN
            )
            return counts if is_better else detector
        return cls(family, scale)

    def variance(self, mean: np.ndarray | float) -> np.ndarray:
        """Variance of pixels with this mean; for Student's t that of normal noise of equal Fisher information."""
        if self.family == "poisson":
            return np.asarray(self.offset + self.slope * mean)
        if self.family == "logit":
            return np.asarray((self.scale * _inside(mean) * (1 - _inside(mean))) ** 2)
        factor = 1.0 if math.isinf(self.freedom) else (self.freedom + 3) / (self.freedom + 1)
        return np.full(np.shape(mean), max(factor * self.scale**2, 1e-300))

    def log_density(self, observed: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Log density of every observed value, `[n]`."""
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
        """The noise of pixels with this mean, `[n]`, in standardised units, of which one is `amplitude`."""
        if self.family in ("gaussian", "student_t") or mean is None:
            return PixelNoise(math.sqrt(float(self.variance(0.0))) / amplitude, self.freedom)
        variance = self._floored(mean)
        total = float(np.mean(variance))
        return PixelNoise(math.sqrt(total) / amplitude, deviation=np.sqrt(variance / total).astype(np.float32))

    def describe(self) -> str:
        """Family and parameters, as text."""
        if self.family == "poisson":
            return "poisson: counts" if self.counts else f"poisson: variance {self.offset:.3g} + {self.slope:.3g} mean"
        name = {"student_t": f"student_t: {self.freedom:.3g} degrees of freedom, scale", "logit": "logit: sd"}
        return f"{name.get(self.family, 'gaussian: sd')} {self.scale:.4g}"

    def _floored(self, mean: np.ndarray) -> np.ndarray:
        variance = self.variance(mean)
        return np.maximum(variance, max(MIN_VARIANCE * float(np.median(variance)), 1e-300))


def thinned(values: np.ndarray, most: int) -> np.ndarray:
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
        seed: Non-negative integer, for the split into halves: each is scored by the fit to the other.

    Returns:
        The family, Gaussian unless another is better by three standard errors and 0.01 nats per pixel, fitted to all
        pixels; and the mean log density by family, nats per pixel, empty for fewer than 100 pixels.
    """
    if len(observed) < MIN_PIXELS:
        return NoiseFamily.fit("gaussian", observed, mean), {}
    order = np.random.default_rng(seed).permutation(len(observed))[:MAX_SCORED]
    halves = (order[::2], order[1::2])
    possible = [family for family in FAMILIES if is_possible(family, observed)]
    scores = {f: _cross_scores(f, observed, mean, halves) for f in possible}
    best = max(possible, key=lambda f: scores[f].mean())
    gain = scores[best] - scores["gaussian"]
    error = gain.std() / math.sqrt(len(gain))
    chosen = best if gain.mean() > max(MIN_GAIN, GAIN_ERRORS * error) else "gaussian"
    return NoiseFamily.fit(chosen, observed, mean), {f: float(s.mean()) for f, s in scores.items()}


def _cross_scores(family: str, observed: np.ndarray, mean: np.ndarray, halves: Sequence[np.ndarray]) -> np.ndarray:
    first, second = halves
    pairs = ((first, second), (second, first))
    models = [(NoiseFamily.fit(family, observed[a], mean[a]), b) for a, b in pairs]
    return np.concatenate([model.log_density(observed[b], mean[b]) for model, b in models])


def _inside(mean: np.ndarray | float) -> np.ndarray:
    return np.clip(mean, FRACTION_MARGIN, 1 - FRACTION_MARGIN)


def _are_counts(observed: np.ndarray) -> bool:
    return bool((observed == np.round(observed)).all() and observed.min() >= 0)


def _fit_student(residual: np.ndarray) -> tuple[float, float]:
    """Scale and degrees of freedom."""
    spread = max(float(np.median(np.abs(residual))), 1e-150)

    def parameters(x: np.ndarray) -> tuple[float, float]:
        return spread * math.exp(x[0]), MIN_FREEDOM + (MAX_FREEDOM - MIN_FREEDOM) * float(expit(x[1]))

    def cost(x: np.ndarray) -> float:
        scale, freedom = parameters(x)
        return -float(np.mean(t.logpdf(residual, freedom, scale=scale)))

    found = minimize(cost, [0.3, -2.0], method="Nelder-Mead", options={"xatol": 1e-2, "fatol": 1e-6})
    return parameters(found.x)


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
