"""Residuals + values -> the function that the noise variance of a pixel follows: the table, and the choice."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

import numpy as np

# A variance function counts as visible above this many standard errors, and this ratio of large to small variances.
STANDARD_ERRORS = 5.0
NOTICEABLE_RATIO = 1.5

# Name of a variance function -> its module, imported on first use: a `VarianceModule`.
VARIANCE_FUNCTIONS = {
    "shot": "bayespde.noise.shot",
}


class FittedVariance(NamedTuple):
    """A variance function with its parameters.

    Attributes:
        variance: Noise variance at every pixel, positive, units of the field squared.
        parameters: By name.
        standard_errors: By how many standard errors the variance differs between pixels in this way.
    """

    variance: np.ndarray
    parameters: Mapping[str, float]
    standard_errors: float


class VarianceModule(Protocol):
    """What the module of a variance function offers."""

    def fit(self, residual: np.ndarray, value: np.ndarray, *, redundancy: float = 1.0) -> FittedVariance:
        """Fit the function.

        Args:
            residual: Raw minus smoothed field, NaN where missing, `[time, (z, y,) x]`.
            value: The smoothed field, the same shape, nowhere missing.
            redundancy: Number of pixels per independent one, where the noise of neighbours is correlated.
        """
        ...


def noise_kinds() -> tuple[str, ...]:
    """The kinds of noise that may be asked for."""
    return ("auto", "white", *VARIANCE_FUNCTIONS, "correlated", "frame_jitter", "front_jitter")


def choose_variance(
    residual: np.ndarray, value: np.ndarray, *, kind: str = "auto", redundancy: float = 1.0
) -> tuple[str, FittedVariance] | None:
    """The function that is asked for, or of those that are visible the one of highest density of the residuals.

    Args:
        residual: As in `VarianceModule.fit`.
        value: The same.
        kind: Name of a variance function, or `auto`.
        redundancy: The same.

    Returns:
        Its name, and the function with its parameters; None if none is visible.
    """
    fitted = {
        name: cast(VarianceModule, importlib.import_module(module)).fit(residual, value, redundancy=redundancy)
        for name, module in VARIANCE_FUNCTIONS.items()
        if kind in ("auto", name)
    }
    seen = ~np.isnan(residual)

    def is_visible(one: FittedVariance) -> bool:
        small, large = np.quantile(one.variance[seen], [0.05, 0.95])
        return bool(one.standard_errors > STANDARD_ERRORS and large > NOTICEABLE_RATIO * small)

    def log_density(one: FittedVariance) -> float:
        variance = one.variance[seen]
        return -float(np.mean(np.log(variance) + residual[seen] ** 2 / variance)) / 2

    found = [(name, one) for name, one in fitted.items() if name == kind or is_visible(one)]
    if len(found) < 2:
        return found[0] if found else None
    return max(found, key=lambda named: log_density(named[1]))
