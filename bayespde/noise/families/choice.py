"""PIXELS + MEAN -> the noise family that is asked for, or the one with the highest held-out log density."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np

from bayespde.core.errors import ConfigError
from bayespde.noise.families.base import NoiseFamily

# Name of a family -> its module, imported on first use: a `FamilyModule`.
FAMILIES = {
    "gaussian": "bayespde.noise.families.gaussian",
    "student_t": "bayespde.noise.families.student_t",
    "poisson": "bayespde.noise.families.poisson",
    "logit": "bayespde.noise.families.logit",
}
# Nats per pixel, and standard errors, by which another family has to exceed the Gaussian.
MIN_GAIN, GAIN_ERRORS = 0.01, 3.0
# Residuals to which a family is fitted where the field is a whole video.
MAX_RESIDUALS = 20_000
MIN_PIXELS, MAX_SCORED = 100, 20_000


class FamilyModule(Protocol):
    """What the module of a family offers.

    Attributes:
        SUPPORT: Values that pixels can have, in words.
    """

    SUPPORT: str

    def is_possible(self, observed: np.ndarray) -> bool:
        """Whether pixels of these values can have such noise."""
        ...

    def fit(self, observed: np.ndarray, mean: np.ndarray) -> NoiseFamily:
        """The parameters, from possible observed values `[n]` and their mean."""
        ...


def family_module(family: str) -> FamilyModule:
    """The module of a family, by its name in the table."""
    return cast(FamilyModule, importlib.import_module(FAMILIES[family]))


def fit_family(family: str, observed: np.ndarray, mean: np.ndarray) -> NoiseFamily:
    """The maximum-likelihood parameters of a family, from observed values `[n]` and their mean.

    Raises:
        ConfigError: If the family is unknown, or the values are outside its support.
    """
    check_family(family, observed)
    return family_module(family).fit(observed, mean)


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """All of the values, or every second, third ... where there are more than `most`."""
    return values[:: -(-len(values) // most)]


def check_family(family: str, observed: np.ndarray) -> None:
    """Raise a `ConfigError` unless pixels of these values can have noise of this family."""
    if not is_possible(family, observed):
        raise ConfigError(
            f"The pixels cannot have {family} noise.",
            got=f"values from {observed.min():g} to {observed.max():g}",
            wanted=(f"{family_module(family).SUPPORT}; or " if family in FAMILIES else "")
            + f"one of {', '.join(FAMILIES)}",
            fix="noise='auto'",
        )


def is_possible(family: str, observed: np.ndarray) -> bool:
    """Whether pixels of these values can have noise of this family."""
    return family in FAMILIES and family_module(family).is_possible(observed)


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
        return fit_family("gaussian", observed, mean), {}
    order = np.random.default_rng(seed).permutation(len(observed))[:MAX_SCORED]
    halves = (order[::2], order[1::2])
    possible = [family for family in FAMILIES if is_possible(family, observed)]
    scores = {f: _cross_scores(f, observed, mean, halves) for f in possible}
    best = max(possible, key=lambda f: scores[f].mean())
    gain = scores[best] - scores["gaussian"]
    error = gain.std() / math.sqrt(len(gain))
    chosen = best if gain.mean() > max(MIN_GAIN, GAIN_ERRORS * error) else "gaussian"
    return fit_family(chosen, observed, mean), {f: float(s.mean()) for f, s in scores.items()}


def _cross_scores(family: str, observed: np.ndarray, mean: np.ndarray, halves: Sequence[np.ndarray]) -> np.ndarray:
    first, second = halves
    pairs = ((first, second), (second, first))
    models = [(fit_family(family, observed[a], mean[a]), b) for a, b in pairs]
    return np.concatenate([model.log_density(observed[b], mean[b]) for model, b in models])
