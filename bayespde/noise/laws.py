"""Residuals + values -> the law by which the noise variance of pixels differs: the table of laws, and the choice."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

import numpy as np

# A law counts as visible above this many standard errors, and this ratio of the larger variances to the smaller ones.
STANDARD_ERRORS = 5.0
NOTICEABLE_RATIO = 1.5

# Name of a law -> its module, imported on first use: a `LawModule`.
LAWS = {
    "shot": "bayespde.noise.shot",
}


class FittedLaw(NamedTuple):
    """A law with its parameters.

    Attributes:
        variance: Noise variance at every pixel, positive, units of the field squared.
        parameters: By name.
        standard_errors: By how many standard errors the variance differs between pixels as the law says.
    """

    variance: np.ndarray
    parameters: Mapping[str, float]
    standard_errors: float


class LawModule(Protocol):
    """What the module of a law offers."""

    def fit(self, residual: np.ndarray, value: np.ndarray, *, redundancy: float = 1.0) -> FittedLaw:
        """Fit the law.

        Args:
            residual: Raw minus smoothed field, NaN where missing, `[time, (z, y,) x]`.
            value: The smoothed field, the same shape, nowhere missing.
            redundancy: Number of pixels per independent one, where the noise of neighbours is correlated.
        """
        ...


def noise_kinds() -> tuple[str, ...]:
    """The kinds of noise that may be asked for."""
    return ("auto", "white", *LAWS, "correlated", "frame_jitter", "front_jitter")


def choose_law(
    residual: np.ndarray, value: np.ndarray, *, kind: str = "auto", redundancy: float = 1.0
) -> tuple[str, FittedLaw] | None:
    """The law that is asked for, or of those that are visible the one under which residuals have the highest density.

    Args:
        residual: As in `LawModule.fit`.
        value: The same.
        kind: Name of a law, or `auto`.
        redundancy: The same.

    Returns:
        Its name, and the law; None if none is visible.
    """
    fitted = {
        name: cast(LawModule, importlib.import_module(module)).fit(residual, value, redundancy=redundancy)
        for name, module in LAWS.items()
        if kind in ("auto", name)
    }
    seen = ~np.isnan(residual)

    def is_visible(law: FittedLaw) -> bool:
        small, large = np.quantile(law.variance[seen], [0.05, 0.95])
        return bool(law.standard_errors > STANDARD_ERRORS and large > NOTICEABLE_RATIO * small)

    def log_density(law: FittedLaw) -> float:
        variance = law.variance[seen]
        return -float(np.mean(np.log(variance) + residual[seen] ** 2 / variance)) / 2

    found = [(name, law) for name, law in fitted.items() if name == kind or is_visible(law)]
    if len(found) < 2:
        return found[0] if found else None
    return max(found, key=lambda one: log_density(one[1]))
