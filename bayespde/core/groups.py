"""A triangular factor -> groups of terms that the data cannot tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bayespde.core.statistics import SufficientStatistics

INDISTINGUISHABLE = 6.0
MINIMUM_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Group:
    """Two descriptions of one contribution to the equation, such as `u_x` and `u with u**2`.

    Attributes:
        single: The term that can be replaced.
        replacement: One or two terms whose combination replaces it.
        distance: Share of the single term's column outside the span of the replacement (squared), dimensionless.
        ratio: Coefficients of the replacement that imitate one unit of the single term, physical units.
    """

    single: str
    replacement: tuple[str, ...]
    distance: float
    ratio: tuple[float, ...]

    def describe(self) -> str:
        """`u_x | u with u**2`."""
        return f"{self.single} | {' with '.join(self.replacement)}"

    def covers(self, spins: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """Whether configurations (`[N, K]`) hold either description: `[N]`, bool."""
        single = spins[:, names.index(self.single)]
        return single | np.all(spins[:, [names.index(n) for n in self.replacement]], axis=1)


def collinear_groups(
    statistics: SufficientStatistics, *, tolerance: float | None = None
) -> tuple[Group, ...]:
    """Find the terms that one or two others can replace without the data noticing.

    Replacing a term whose contribution has the energy E by terms that reproduce its column up to a share d of its
    squared length costs at most d E in squared residuals. With `tolerance=None` a replacement counts where that cost
    stays under 6 (3 nats) for E the energy of the target, in units of the pilot variance.

    Args:
        statistics: The compressed rows.
        tolerance: Largest squared distance, relative to the column.

    Returns:
        Groups, closest first; a pair is not repeated inside a triple.
    """
    energy = statistics.energy / statistics.pilot_variance
    limit = max(MINIMUM_TOLERANCE, INDISTINGUISHABLE / energy) if tolerance is None else tolerance
    limit = min(limit, 0.2)
    unit = statistics.factor[:, :-1] / statistics.column_scale
    gram = unit.T @ unit
    names, groups = statistics.names, []
    close = {frozenset(p) for p in combinations(range(len(names)), 2) if 1 - gram[p[0], p[1]] ** 2 <= limit}
    for i, j in sorted(map(sorted, close)):
        groups.append(_group(statistics, i, (j,), 1 - gram[i, j] ** 2))
    for i in range(len(names)):
        others = [j for j in range(len(names)) if j != i and frozenset((i, j)) not in close]
        for j, k in combinations(others, 2):
            if frozenset((j, k)) in close:
                continue
            solved = np.linalg.solve(gram[np.ix_([j, k], [j, k])], gram[[j, k], i])
            distance = float(gram[i, i] - gram[[j, k], i] @ solved)
            if distance <= limit:
                groups.append(_group(statistics, i, (j, k), distance))
    return tuple(sorted(groups, key=lambda g: (g.distance, g.single, g.replacement)))


def _group(statistics: SufficientStatistics, single: int, others: tuple[int, ...], distance: float) -> Group:
    columns = statistics.factor[:, list(others)]
    ratio = np.linalg.lstsq(columns, statistics.factor[:, single], rcond=None)[0]
    names = statistics.names
    return Group(
        names[single],
        tuple(names[o] for o in others),
        float(max(distance, 0.0)),
        tuple(float(r) for r in ratio),
    )
