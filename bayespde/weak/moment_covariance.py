"""Test functions + how pixels enter the moments + noise -> covariance of all moments.

A test function is a product of bumps, one per axis, and so is the product of two: a sum over pixels of
phi_a phi_b h_f h_g sd^2 is taken axis by axis over the pairs of bumps that overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from bayespde.noise.covariance import NoiseCovariance
from bayespde.weak.integration_by_parts import Orders
from bayespde.weak.test_functions import TestFunctions


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
    windows: Sequence[TestFunctions],
    noise: NoiseCovariance,
    left: Sequence[Factor],
    right: Sequence[Factor] | None = None,
) -> np.ndarray:
    """Covariance of the moments that two sums of factors make of the same noise.

    Args:
        windows: One per dimension, time first.
        noise: Of the field.
        left: Factors of the one; the first is that of the target.
        right: Factors of the other; the same if absent.

    Returns:
        `[m, m]`, time slowest, over all test functions.
    """
    bumps = _Bumps(windows, noise)
    counted = noise.counted
    lefts = [(f.orders, f.weight * counted) for f in left]
    if right is None:
        total = _sum(bumps, [(f, f) for f in lefts])
        mixed = _sum(bumps, list(combinations(lefts, 2)))
        total += mixed + mixed.T
    else:
        total = _sum(bumps, list(product(lefts, [(f.orders, f.weight * counted) for f in right])))
    motions = [(scale, _jitter, pattern) for scale, pattern in zip(noise.jitter, noise.patterns, strict=True)]
    if noise.walk:
        motions.append((noise.walk, _walk, noise.patterns[0]))
    for scale, motion, pattern in motions:
        first = motion(windows, left, pattern)
        total += scale**2 * first @ (first if right is None else motion(windows, right, pattern)).T
    return total


Weighted = tuple[Orders, np.ndarray]


def _sum(bumps: _Bumps, pairs: Iterable[tuple[Weighted, Weighted]]) -> np.ndarray:
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


class _Bumps:
    """Pairs of overlapping bumps of every axis, as noise of the given correlation sees them."""

    def __init__(self, windows: Sequence[TestFunctions], noise: NoiseCovariance) -> None:
        self.windows, self.noise = windows, noise
        self.kept: dict[tuple[int, int], np.ndarray] = {}
        supports = [np.abs(self.matrix(a, 0)) > 0 for a in range(len(windows))]
        self.first = [s.argmax(axis=1) for s in supports]
        self.stop = [s.shape[1] - s[:, ::-1].argmax(axis=1) for s in supports]
        self.pairs = [
            np.nonzero((a[:, None] < b[None, :]) & (a[None, :] < b[:, None]))
            for a, b in zip(self.first, self.stop, strict=True)
        ]

    def matrix(self, axis: int, order: int) -> np.ndarray:
        """Derivative of the bumps of an axis, `[c, samples]`."""
        if (axis, order) not in self.kept:
            self.kept[axis, order] = self.noise.seen_by(self.windows[axis].matrix(order), axis)
        return self.kept[axis, order]

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
        counts = [len(w.centres) for w in self.windows]
        total = np.zeros(counts + counts)
        total[(*np.ix_(*(p[0] for p in self.pairs)), *np.ix_(*(p[1] for p in self.pairs)))] = values
        return total.reshape(2 * [int(np.prod(counts))])


def _jitter(windows: Sequence[TestFunctions], factors: Sequence[Factor], pattern: np.ndarray) -> np.ndarray:
    """How a displacement of each frame enters the moments, `[m, frames]`."""
    return np.asarray(sum(_per_frame(windows, f, pattern, windows[0].matrix(f.orders[0])) for f in factors))


def _walk(windows: Sequence[TestFunctions], factors: Sequence[Factor], pattern: np.ndarray) -> np.ndarray:
    """The same for the steps of the front's walk: a noise of the motion, not of the pixels, so they are not derived."""
    time = windows[0].matrix(0) / windows[0].spacing
    return _per_frame(windows, Factor(factors[0].orders, np.ones(())), pattern, time)


def _per_frame(windows: Sequence[TestFunctions], factor: Factor, pattern: np.ndarray, time: np.ndarray) -> np.ndarray:
    values = factor.weight * pattern
    for axis in range(1, len(windows)):
        values = np.moveaxis(np.tensordot(windows[axis].matrix(factor.orders[axis]), values, axes=(1, axis)), 0, axis)
    return np.asarray(np.einsum("ct,tk->ckt", time, values.reshape(len(values), -1)).reshape(-1, len(values)))
