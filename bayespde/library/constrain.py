"""Smooth field + pilot equation -> the field nearest to it whose weak moments obey the equation.

A smoother's error hangs together with the noise of the rows that are formed from the same pixels, and biases every
coefficient (errors in variables). The smoother's Gaussian posterior, conditioned on all moments r(v) = b(v) - A(v) beta
of the pilot equation being zero, is free of that: with v - u = S e for pixel noise e, and r(v) linear with slope L, the
conditioned field errs by (I - S L' (L S L')^-1 L) S e, which is uncorrelated with the rows' noise L e. r is not linear,
so the condition is imposed by Gauss-Newton steps: the iterated Kalman update [bell1993].
"""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bayespde.library.choose import Smoother
from bayespde.library.moments import project
from bayespde.library.weak import WeakProblem
from bayespde.library.windows import Windows

# Modes of the smoother whose posterior variance is below this share of the largest stay as they are.
NEGLIGIBLE = 1e-2
SLACK = 1e-3
ROUNDING = 1e-9


class GaussianSmoother(Smoother, Protocol):
    """What conditioning asks of a smooth field: a tensor basis and independent Gaussian coefficients."""

    @property
    def grids(self) -> tuple[np.ndarray, ...]:
        """Basis functions of each axis on the samples, `[samples, basis]` each."""
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


S = TypeVar("S", bound=GaussianSmoother)


def constrain(smooth: S, current: S, problem: WeakProblem, pilot: np.ndarray, noise: np.ndarray) -> S:
    """One Gauss-Newton step towards the smoother's posterior mean under the moments of an equation.

    Args:
        smooth: The posterior from the data alone.
        current: Where the moments were linearised; `smooth` itself in the first step.
        problem: Moments over `current`.
        pilot: Coefficients of the equation, `[K]`, physical units.
        noise: Covariance that the noise of the video gives these moments, `[m, m]`, nearly enough: what the smoother
            kept of it is taken out up to a thousandth. Where it kept less nothing is gained, and its bias would be
            taken for noise.

    Returns:
        The next field, with the basis of `smooth`.
    """
    variance = smooth.variance
    if not variance.max() > 0:
        return smooth
    free = variance > NEGLIGIBLE * variance.max()
    slope, variance = _slope(smooth, problem, pilot, free), variance[free]
    order = problem.target_order
    field = current.evaluate((0,) * len(problem.windows))
    moments = (-1) ** order * project(field, problem.windows, (order,) + (0,) * (field.ndim - 1))
    residual = moments[problem.kept] - problem.design @ pilot
    start = (smooth.coefficients - current.coefficients)[free]
    spread = (slope * variance) @ slope.T + SLACK * noise
    spread[np.diag_indices_from(spread)] *= 1 + ROUNDING
    gain = cho_solve(cho_factor(spread, lower=True), residual + slope @ start)
    coefficients = smooth.coefficients.copy()
    coefficients[free] -= variance * (slope.T @ gain)
    return smooth.with_coefficients(coefficients)


def _slope(smooth: GaussianSmoother, problem: WeakProblem, pilot: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Derivative of the moments in the free coefficients, `[m, free]`."""
    kept = [np.flatnonzero(free.any(axis=tuple(i for i in range(free.ndim) if i != a))) for a in range(free.ndim)]
    grids = [grid[:, k] for grid, k in zip(smooth.grids, kept, strict=True)]
    order, windows = problem.target_order, problem.windows
    total = np.ones(())
    for window, grid, o in zip(windows, grids, (order,) + (0,) * (len(windows) - 1), strict=True):
        total = np.multiply.outer(total, (-1) ** o * window.matrix(o) @ grid)
    for q, kernel in problem.pilot_kernels(pilot).items():
        part = kernel
        for axis in reversed(range(len(windows))):
            part = _contract(part, axis, windows[axis], q[axis], grids[axis])
        total = total - part
    centres_first = [*range(0, total.ndim, 2), *range(1, total.ndim, 2)]
    rows = total.transpose(centres_first).reshape(len(problem.kept), -1)
    return np.ascontiguousarray(rows[np.ix_(problem.kept, free[np.ix_(*kept)].ravel())])


def _contract(values: np.ndarray, axis: int, window: Windows, order: int, grid: np.ndarray) -> np.ndarray:
    """Integrate one axis against every bump times every basis function: the axis becomes two, `[centre, basis]`."""
    parts = []
    for index, weight in zip(*window.local(order), strict=True):
        inside = np.moveaxis(values, axis, 0)[index[0] : index[-1] + 1]
        part = np.tensordot(weight[:, None] * grid[index], inside, axes=(0, 0))
        parts.append(np.moveaxis(part, 0, axis))
    return np.stack(parts, axis=axis)
