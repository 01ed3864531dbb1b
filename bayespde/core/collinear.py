"""Sufficient statistics -> groups of terms that the data cannot distinguish."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bayespde.core.statistics import SufficientStatistics

# Largest cost of a replacement, in squared residuals over the noise variance: 3 nats.
INDISTINGUISHABLE = 6.0
# Range of the squared distance from a replacement, relative to the column.
MINIMUM_TOLERANCE = 1e-10
MAXIMUM_TOLERANCE = 0.2


@dataclass(frozen=True)
class Group:
    """Descriptions of one contribution that the data cannot distinguish, such as `u_x` and `u with u**2`.

    Attributes:
        single: The term that can be replaced.
        replacements: Tuples of one or two terms that replace it, closest first.
        distances: Share of the single term's squared column outside the span of each replacement.
        ratios: Coefficients with which each replacement approximates one unit of the single term, physical units.
    """

    single: str
    replacements: tuple[tuple[str, ...], ...]
    distances: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]

    @property
    def members(self) -> tuple[str, ...]:
        """Every term that occurs in a description, in order of appearance."""
        return tuple(dict.fromkeys([self.single, *(n for r in self.replacements for n in r)]))

    def describe(self) -> str:
        """`u_x | u with u**2`."""
        return " | ".join([self.single, *(" with ".join(r) for r in self.replacements)])

    def covers(self, spins: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """Whether configurations (`[N, K]`) contain any of the descriptions: `[N]`, bool."""
        covered = np.array(spins[:, names.index(self.single)], dtype=bool)
        for replacement in self.replacements:
            covered |= np.all(spins[:, [names.index(n) for n in replacement]], axis=1)
        return covered


def collinear_groups(statistics: SufficientStatistics, *, tolerance: float | None = None) -> tuple[Group, ...]:
    """Find, for every term, the one or two others that can replace it at no significant loss of likelihood.

    Replacing a term whose contribution has the energy E by terms that reproduce its column up to a share d of its
    squared length costs at most d E in squared residuals. With `tolerance=None` a replacement counts where that cost
    is below 6 (3 nats) for E the energy that all terms together explain, in units of the prior variance.

    Args:
        statistics: The compressed rows.
        tolerance: Largest squared distance, relative to the column.

    Returns:
        One group per term that has a replacement, closest first; a pair is not repeated inside a triple.
    """
    limit = _tolerance(statistics) if tolerance is None else tolerance
    unit = statistics.factor[:, :-1] / statistics.column_scale
    gram, names = unit.T @ unit, statistics.names
    pairs = np.array(list(combinations(range(len(names)), 2)), dtype=int).reshape(-1, 2)
    by_pair = _distances_to_pairs(gram, pairs)
    groups = []
    for i in range(len(names)):
        by_one = 1 - gram[i] ** 2
        found: list[tuple[float, tuple[int, ...]]] = [
            (float(by_one[j]), (j,)) for j in np.flatnonzero(by_one <= limit).tolist() if j != i
        ]
        near = {i, *(j for _, (j, *_) in found)}
        for p in np.flatnonzero(by_pair[:, i] <= limit):
            if not near & set(pairs[p].tolist()):
                found.append((float(by_pair[p, i]), tuple(pairs[p].tolist())))
        if found:
            groups.append(_group(statistics, i, sorted(found)))
    return tuple(sorted(groups, key=lambda g: (g.distances[0], g.single)))


def _tolerance(statistics: SufficientStatistics) -> float:
    left = float(statistics.block_residuals(statistics.least_squares(np.ones(len(statistics.names), bool))).sum())
    explained = max(statistics.energy - left, 0.0) / statistics.prior_variance
    return min(max(MINIMUM_TOLERANCE, INDISTINGUISHABLE / max(explained, 1e-300)), MAXIMUM_TOLERANCE)


def _distances_to_pairs(gram: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Squared distance of every unit column from the span of every pair of others: `[pairs, K]`."""
    j, k = pairs.T
    sum_, difference = gram[j] + gram[k], gram[j] - gram[k]
    cosine = gram[j, k][:, None]
    # The sum and the difference of two unit columns are orthogonal, with squared lengths 2 (1 +- cosine).
    shares = [
        np.divide(p**2, 2 * q, out=np.zeros_like(p), where=q > MINIMUM_TOLERANCE)
        for p, q in ((sum_, 1 + cosine), (difference, 1 - cosine))
    ]
    return np.maximum(np.diagonal(gram) - shares[0] - shares[1], 0.0)


def _group(statistics: SufficientStatistics, single: int, found: list[tuple[float, tuple[int, ...]]]) -> Group:
    scaled = statistics.factor[:, :-1] / statistics.column_scale
    ratios = []
    for _, others in found:
        fit = np.linalg.lstsq(scaled[:, list(others)], scaled[:, single], rcond=1e-12)[0]
        physical = fit * statistics.column_scale[single] / statistics.column_scale[list(others)]
        ratios.append(tuple(map(float, physical)))
    names = statistics.names
    return Group(
        single=names[single],
        replacements=tuple(tuple(names[o] for o in others) for _, others in found),
        distances=tuple(float(max(d, 0.0)) for d, _ in found),
        ratios=tuple(ratios),
    )
