"""Smoother + test functions -> which of its modes influence the moments, and how much pixel noise it passes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, Self

import numpy as np

from bayespde.weak.integration_by_parts import Orders
from bayespde.weak.test_functions import TestFunctions

# Modes whose error moves the moments by less than this share of the largest, in variance, are held fixed.
NEGLIGIBLE = 1e-5


class GaussianSmoother(Protocol):
    """A smoothed field that can be conditioned: a tensor basis and independent Gaussian coefficients."""

    @property
    def noise_scale(self) -> float:
        """Standard deviation of the pixel noise."""
        ...

    def evaluate(self, orders: tuple[int, ...]) -> np.ndarray:
        """Derivative of the given orders on the grid of the data, physical units."""
        ...

    @property
    def grids(self) -> tuple[np.ndarray, ...]:
        """Basis functions of each axis on the samples, `[samples, basis]` each; orthonormal columns."""
        ...

    @property
    def coefficients(self) -> np.ndarray:
        """Posterior mean, `[basis, ...]`, one axis per dimension."""
        ...

    @property
    def variance(self) -> np.ndarray:
        """Posterior variance of each coefficient, same shape."""
        ...

    def with_coefficients(self, coefficients: np.ndarray) -> Self:
        """The same field with other coefficients."""
        ...


def influential_modes(
    smooth: GaussianSmoother, test_functions: Sequence[TestFunctions], orders: Iterable[Orders]
) -> np.ndarray:
    """Modes of the smoother whose error moves a moment: `[basis, ...]`, bool.

    A test function passes low frequencies, and the more of the others the higher the derivative on it: what counts is
    the posterior variance of a mode times its mean squared moment. Correlations of the field's error with the noise of
    the rows add up over all rows, so that modes far below the largest still bias a coefficient by its sd.

    Args:
        smooth: The posterior from the data alone.
        test_functions: One per dimension, time first.
        orders: Derivatives on the test functions, the target's among them.
    """
    variance, share = smooth.variance, np.zeros(smooth.variance.shape)
    for order in orders:
        moment = variance * _mean_square(smooth, test_functions, order)
        share = np.maximum(share, moment / max(moment.max(), np.finfo(float).tiny))
    return np.asarray(share > NEGLIGIBLE)


def noise_gain(smooth: GaussianSmoother, test_functions: Sequence[TestFunctions], order: Orders) -> float:
    """Share of the pixel noise that the smoother passes on to the moments, from 0 to 1.

    It is L S L' / L L' for moments L and the smoother's matrix S, averaged over the test functions.
    """
    if not smooth.noise_scale > 0:
        return 1.0
    shrinkage = smooth.variance / smooth.noise_scale**2
    total = np.prod([np.mean(np.sum(f.matrix(q) ** 2, axis=1)) for f, q in zip(test_functions, order, strict=True)])
    return float(np.clip(np.sum(shrinkage * _mean_square(smooth, test_functions, order)) / total, 0.0, 1.0))


def _mean_square(smooth: GaussianSmoother, test_functions: Sequence[TestFunctions], order: Orders) -> np.ndarray:
    """Mean over the test functions of the squared moment of every mode, `[basis, ...]`."""
    squared = np.ones(())
    for functions, grid, q in zip(test_functions, smooth.grids, order, strict=True):
        squared = np.multiply.outer(squared, np.mean((functions.matrix(q) @ grid) ** 2, axis=0))
    return squared
