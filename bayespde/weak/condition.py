"""Smoothed field + equation -> the field nearest to it whose weak moments satisfy the equation.

A smoother's error is correlated with the noise of the rows that are formed from the same pixels, and biases every
coefficient (errors in variables). The smoother's Gaussian posterior, conditioned on all moments r(v) = b(v) - A(v) beta
of the equation being zero, is free of that: with v - u = S e for pixel noise e, and r(v) linear with slope L, the
conditioned field errs by (I - S L' (L S L')^-1 L) S e, which is uncorrelated with the rows' noise L e. r is not linear,
so the condition is imposed by Gauss-Newton steps: the iterated Kalman update [bell1993].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bayespde.weak.integration_by_parts import Orders
from bayespde.weak.problem import WeakProblem
from bayespde.weak.smoother import GaussianSmoother
from bayespde.weak.test_functions import TestFunctions, target_moments

SLACK = 1e-5
ROUNDING = 1e-9
# Number of groups into which the modes in time are split.
GROUPS = 8


S = TypeVar("S", bound=GaussianSmoother)


def condition_on_equation(
    smooths: Sequence[S],
    currents: Sequence[S],
    problem: WeakProblem,
    point: np.ndarray,
    noise: np.ndarray,
    frees: Sequence[np.ndarray],
) -> tuple[S, ...]:
    """One Gauss-Newton step towards the smoothers' posterior means under the moments of an equation.

    Coupled fields move together: the moments of one equation are shared among them by their variances.

    Args:
        smooths: The posterior of each field from its data alone, that of the target first.
        currents: Where the moments were linearised; `smooths` themselves in the first step.
        problem: Moments over `currents`.
        point: Coefficients of the equation, `[K]`, physical units.
        noise: Covariance that noise at the smoothers' own level gives these moments, `[m, m]`, approximately: the part
            of it that the smoothers passed on is removed down to 1e-5. Where they passed on less, removing more gains
            nothing and would take their bias for noise.
        frees: Modes of each that may move, shape of the coefficients, bool: those that are `influential_modes`.

    Returns:
        The next fields, with the bases of `smooths`.
    """
    if not frees[0].any():
        return tuple(smooths)
    field = currents[0].evaluate((0,) * len(problem.shape))
    moments = target_moments(field - field.mean(), problem.test_functions, problem.target_order)
    # The moments to be removed, linearised at the smoothers themselves.
    left = moments[problem.kept] - problem.design @ point
    spread, slopes = SLACK * noise, []
    for i, (smooth, current, free) in enumerate(zip(smooths, currents, frees, strict=True)):
        # Coefficients in units of their own sd, in place: this matrix is the largest of all.
        slope, sd = moment_slope(smooth, problem, point, free, field=i), np.sqrt(smooth.variance[free])
        slope *= sd
        left = left + slope @ ((smooth.coefficients - current.coefficients)[free] / sd)
        spread = spread + slope @ slope.T
        slopes.append((slope, sd))
    spread[np.diag_indices_from(spread)] *= 1 + ROUNDING
    gain = cho_solve(cho_factor(spread, lower=True), left)
    return tuple(_moved(s, f, sd * (slope.T @ gain)) for s, f, (slope, sd) in zip(smooths, frees, slopes, strict=True))


def _moved(smooth: S, free: np.ndarray, by: np.ndarray) -> S:
    """The field with its free coefficients reduced."""
    coefficients = smooth.coefficients.copy()
    coefficients[free] -= by
    return smooth.with_coefficients(coefficients)


def moment_slope(
    smooth: GaussianSmoother, problem: WeakProblem, point: np.ndarray, free: np.ndarray, *, field: int = 0
) -> np.ndarray:
    """Derivative of the moments in the free coefficients of a field of the problem, `[m, free]`."""
    order, (time, *space) = problem.target_order, problem.test_functions
    used = [np.flatnonzero(free.any(axis=tuple(i for i in range(free.ndim) if i != a))) for a in range(free.ndim)]
    grids = [grid[:, k] for grid, k in zip(smooth.grids, used, strict=True)]
    free = free[np.ix_(*used)].reshape(len(used[0]), -1)
    target = np.ones(()) if field == 0 else np.zeros(())
    for functions, grid in zip(space, grids[1:], strict=True):
        target = np.multiply.outer(target, functions.matrix(0) @ grid)
    kernels = problem.kernels(point, field)
    right = sum(_over_space(h, space, q[1:], grids[1:]) for q, h in kernels.items())
    rows = _over_time(_centres_first(target[None])[0], right, time, order, grids[0], free)
    return rows if problem.kept.all() else rows[problem.kept]


def _over_space(
    values: np.ndarray, test_functions: list[TestFunctions], orders: Orders, grids: list[np.ndarray]
) -> np.ndarray:
    """Integrate frames against every test function times every basis function: `[time, centre, basis]`."""
    for axis in reversed(range(len(test_functions))):
        values = _contract(values, axis + 1, test_functions[axis], orders[axis], grids[axis])
    return _centres_first(values)


def _over_time(
    target: np.ndarray, right: np.ndarray | int, time: TestFunctions, order: int, grid: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Join the time axis: slope of target minus right-hand side, `[m_all, free]`.

    Few fast modes in time are free together with fast ones in space: modes in time are taken in groups, so that hardly
    any of the others is computed.
    """
    index, weight = time.local(0)
    left = (-1) ** order * time.matrix(order) @ grid
    column = np.cumsum(free.ravel()).reshape(free.shape) - 1
    slope = np.empty((len(index), len(target), int(free.sum())))
    for modes in np.array_split(np.arange(len(free)), min(GROUPS, len(free))):
        used = np.flatnonzero(free[modes].any(axis=0))
        here, columns = free[np.ix_(modes, used)], column[np.ix_(modes, used)]
        part = target[:, used]
        inner = right if isinstance(right, int) else np.ascontiguousarray(right[:, :, used])
        for c, frames in enumerate(index):
            block = np.multiply.outer(left[c, modes], part)
            if isinstance(inner, np.ndarray):
                bumps = weight[c][:, None] * grid[np.ix_(frames, modes)]
                block -= np.tensordot(bumps, inner[frames[0] : frames[-1] + 1], axes=(0, 0))
            slope[c][:, columns[here]] = block.transpose(1, 0, 2)[:, here]
    return slope.reshape(-1, slope.shape[-1])


def _centres_first(values: np.ndarray) -> np.ndarray:
    """Axes [time, centre, basis, centre, basis, ...] to `[time, centres, bases]`."""
    ordered = values.transpose(0, *range(1, values.ndim, 2), *range(2, values.ndim, 2))
    return ordered.reshape(len(values), int(np.prod(values.shape[1::2])), -1)


def _contract(values: np.ndarray, axis: int, test_functions: TestFunctions, order: int, grid: np.ndarray) -> np.ndarray:
    """Integrate one axis against every bump times every basis function: the axis becomes two, `[centre, basis]`."""
    parts = []
    for index, weight in zip(*test_functions.local(order), strict=True):
        inside = np.moveaxis(values, axis, 0)[index[0] : index[-1] + 1]
        part = np.tensordot(weight[:, None] * grid[index], inside, axes=(0, 0))
        parts.append(np.moveaxis(part, 0, axis))
    return np.stack(parts, axis=axis)
