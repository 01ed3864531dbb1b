"""Searches by several boundaries or paddings -> the one in which the leading equation explains the pixels best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bayespde.core.errors import ConfigError
from bayespde.core.statistics import SufficientStatistics
from bayespde.stages.trajectory_search import Search


def select_domain(searches: Sequence[Search], spins: np.ndarray, statistics: SufficientStatistics) -> Search:
    """Of searches over one field, the one in which configurations `[n, K]` have the largest evidence.

    Boundaries are tried until one leaves nothing but noise; paddings of a window, small ones first, until a larger one
    has no larger evidence, and in the plane, where fits take longer, until one leaves nothing but noise.

    Raises:
        ConfigError: If there is no search.
    """
    if not searches:
        raise ConfigError(
            "There is no way to integrate.", got="config=()", wanted="one or more", fix="config=TrajectoryConfig()"
        )
    if len(searches) == 1:
        return searches[0]
    best, *others = sorted(searches, key=lambda s: s.config.padding)
    best.fit_until_adequate(spins, statistics)
    is_line = best.data.field.ndim == 2
    for search in others:
        if best.is_out_of_reach or (best.is_adequate and not (search.config.padding and is_line)):
            break
        search.leading, search.futile = best.best, best.futile
        search.fit_until_adequate(spins, statistics)
        best.futile = search.futile
        if search.found and search.log_evidence >= best.log_evidence:
            best = search
        elif search.budget_exhausted:
            break
        elif best.config.padding and np.isfinite(search.log_evidence):
            # State further away has not been observed; larger paddings cost more.
            break
    return best
