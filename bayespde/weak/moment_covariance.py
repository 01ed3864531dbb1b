"""Test functions + how pixels enter the moments + noise -> covariance of all moments.

A test function is a product of bumps, one per axis, and so is the product of two: a sum over pixels of
phi_a phi_b h_f h_g sd^2 is taken axis by axis over the pairs of bumps that overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d

from bayespde.weak.integration_by_parts import Orders
from bayespde.weak.observed_field import NoiseTransfer
from bayespde.weak.test_functions import TestFunctions

# Reach of the filter that makes white noise correlated, in lags.
TAIL = 3


@dataclass(frozen=True, eq=False)
class Factor:
    """A part of how pixels enter a moment: the derivative of a test function times a weight.

    Attributes:
        orders: Of the derivative, by dimension, time first.
        weight: Field shape.
    """

    orders: Orders
    weight: np.ndarray


def moment_covariance(
    test_functions: Sequence[TestFunctions],
    transfer: NoiseTransfer,
    left: Sequence[Factor],
    right: Sequence[Factor] | None = None,
) -> np.ndarray:
    """Covariance of the moments that two sums of factors make of the same noise.

    Args:
        test_functions: One per dimension, time first.
        transfer: The noise of the field.
        left: Factors of the one; the first is that of the target.
        right: Factors of the other; the same if absent.

    Returns:
        `[m, m]`, time slowest, over all test functions.
    """
    noise, sd = transfer.noise, transfer.effective_sd
    bumps = _BumpPairs(test_functions, noise.correlation)
    lefts = [(f.orders, f.weight * sd) for f in left]
    if right is None:
        total = _sum(bumps, [(f, f) for f in lefts])
        mixed = _sum(bumps, list(combinations(lefts, 2)))
        total += mixed + mixed.T
    else:
        total = _sum(bumps, list(product(lefts, [(f.orders, f.weight * sd) for f in right])))
    motions = [(scale, _jitter, slope) for scale, slope in zip(noise.jitter, transfer.slopes, strict=True)]
    if noise.walk:
        motions.append((noise.walk, _walk, transfer.slopes[0]))
    for scale, motion, slope in motions:
        first = motion(test_functions, left, slope)
        total += scale**2 * first @ (first if right is None else motion(test_functions, right, slope)).T
    return total


def correlated_bumps(bumps: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Bumps `[c, samples]` that make of white noise what the given ones make of correlated noise.

    Correlated noise is white noise passed through a filter. The filter is short compared with the scales of the
    smoothed field, so that it may as well be passed over the test functions.

    Args:
        bumps: Of one axis.
        lags: Correlation of the noise along it, from lag 0.
    """
    if len(lags) == 1:
        return bumps
    size = next_fast_len(bumps.shape[1] + 8 * len(lags), real=True)
    spectrum = 2 * rfft(lags, size).real - lags[0]
    filtered = irfft(rfft(bumps, size) * np.sqrt(np.maximum(spectrum, 0.0)), size)[:, : bumps.shape[1]]
    # Tails are cut at one place for all derivatives of a bump: sums of them must remain covariances.
    near = maximum_filter1d((bumps != 0).astype(np.uint8), 1 + 2 * TAIL * (len(lags) - 1), axis=1, mode="constant")
    return filtered * near


Weighted = tuple[Orders, np.ndarray]


def _sum(bumps: _BumpPairs, pairs: Iterable[tuple[Weighted, Weighted]]) -> np.ndarray:
    """Sum of the covariances of pairs of factors, `[m, m]`; space first, so that time is summed once per order."""
    of_time: dict[tuple[int, int], np.ndarray] = {}
    for (p, h), (q, g) in pairs:
        values = h * g
        for axis in reversed(range(1, len(p))):
            values = bumps.contract(np.moveaxis(values, axis, 0), axis, p[axis], q[axis])
            values = np.moveaxis(values, 0, axis)
        order = p[0], q[0]
        of_time[order] = of_time[order] + values if order in of_time else values
    return bumps.spread(sum(bumps.contract(values, 0, *order) for order, values in of_time.items()))


class _BumpPairs:
    """Pairs of overlapping bumps of every axis, filtered by the correlation of the noise."""

    def __init__(self, test_functions: Sequence[TestFunctions], correlation: tuple[np.ndarray, ...]) -> None:
        self.test_functions, self.correlation = test_functions, correlation
        self.matrices: dict[tuple[int, int], np.ndarray] = {}
        supports = [np.abs(self.matrix(a, 0)) > 0 for a in range(len(test_functions))]
        self.first = [s.argmax(axis=1) for s in supports]
        self.stop = [s.shape[1] - s[:, ::-1].argmax(axis=1) for s in supports]
        self.pairs = [
            np.nonzero((a[:, None] < b[None, :]) & (a[None, :] < b[:, None]))
            for a, b in zip(self.first, self.stop, strict=True)
        ]

    def matrix(self, axis: int, order: int) -> np.ndarray:
        """Derivative of the bumps of an axis, `[c, samples]`."""
        if (axis, order) not in self.matrices:
            bumps = self.test_functions[axis].matrix(order)
            is_white = axis == 0 or not self.correlation
            self.matrices[axis, order] = bumps if is_white else correlated_bumps(bumps, self.correlation[axis - 1])
        return self.matrices[axis, order]

    def contract(self, values: np.ndarray, axis: int, p: int, q: int) -> np.ndarray:
        """Sum the first axis, which is `axis` of the field, against all pairs: `[pairs, ...]`."""
        one, two = self.matrix(axis, p), self.matrix(axis, q)
        ones, twos = self.pairs[axis]
        flat, parts = values.reshape(len(values), -1), []
        for k in range(len(one)):
            inside = slice(self.first[axis][k], self.stop[axis][k])
            parts.append((one[k, inside] * two[twos[ones == k], inside]) @ flat[inside])
        return np.concatenate(parts).reshape(-1, *values.shape[1:])

    def spread(self, values: np.ndarray | int) -> np.ndarray:
        """Put values of pairs, `[pairs, ...]` by axis, where they belong: `[m, m]`."""
        counts = [len(f.centres) for f in self.test_functions]
        total = np.zeros(counts + counts)
        total[(*np.ix_(*(p[0] for p in self.pairs)), *np.ix_(*(p[1] for p in self.pairs)))] = values
        return total.reshape(2 * [int(np.prod(counts))])


def _jitter(test_functions: Sequence[TestFunctions], factors: Sequence[Factor], slope: np.ndarray) -> np.ndarray:
    """How a displacement of each frame enters the moments, `[m, frames]`."""
    time = test_functions[0]
    return np.asarray(sum(_per_frame(test_functions, f, slope, time.matrix(f.orders[0])) for f in factors))


def _walk(test_functions: Sequence[TestFunctions], factors: Sequence[Factor], slope: np.ndarray) -> np.ndarray:
    """The same for the steps of the front's walk: a noise of the motion, not of the pixels, so they are not derived."""
    time = test_functions[0].matrix(0) / test_functions[0].spacing
    return _per_frame(test_functions, Factor(factors[0].orders, np.ones(())), slope, time)


def _per_frame(
    test_functions: Sequence[TestFunctions], factor: Factor, slope: np.ndarray, time: np.ndarray
) -> np.ndarray:
    values = factor.weight * slope
    for axis in range(1, len(test_functions)):
        moments = np.tensordot(test_functions[axis].matrix(factor.orders[axis]), values, axes=(1, axis))
        values = np.moveaxis(moments, 0, axis)
    return np.asarray(np.einsum("ct,tk->ckt", time, values.reshape(len(values), -1)).reshape(-1, len(values)))
