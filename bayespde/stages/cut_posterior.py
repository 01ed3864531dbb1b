"""Draws of a smoothed field -> one posterior over equations, with the draws as a dimension of it.

The strong form takes derivatives as data. Their uncertainty enters as draws of the smoothed field, each with its own
posterior over equations: a cut posterior [plummer2015], in which the equations do not change the field. The scatter
within a draw is that of the sampler and of the noise of the rows, the scatter between draws is that of smoothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayespde.core.distinct import distinct
from bayespde.core.posterior import BY_RUN, ExactTable, Posterior
from bayespde.core.sampling_record import OF_EACH_RUN, SamplingRecord
from bayespde.core.statistics import SufficientStatistics


def cut_posterior(
    statistics: SufficientStatistics,
    draws: Sequence[SufficientStatistics],
    sample: Callable[[SufficientStatistics, int], Posterior],
    seeds: Sequence[int],
) -> Posterior:
    """Sample each draw of the field by itself, and join the posteriors with equal weights.

    Args:
        statistics: Of the mean of the smoothed field, to which the joined posterior refers.
        draws: Of each draw of the field.
        sample: Gives the posterior of statistics with a seed.
        seeds: One for each draw.

    Returns:
        Runs of all draws, with `field_draw`. Evidence is not defined for it: that of the exact table is NaN.
    """
    parts = [sample(one, seed) for one, seed in zip(draws, seeds, strict=True)]
    runs, first = [len(part.spins) for part in parts], parts[0]
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in BY_RUN}
    return replace(
        first,
        **joined,
        statistics=statistics,
        estimates={name: np.concatenate([p.estimates[name] for p in parts]) for name in first.estimates},
        stages=_stages(parts),
        exact=_mixture([part.exact for part in parts if part.exact is not None]),
        sampling=_record([part.sampling for part in parts]),
        field_draw=np.repeat(np.arange(len(parts)), runs),
    )


def _stages(parts: Sequence[Posterior]) -> dict[str, np.ndarray]:
    """Histories of all runs, `[R, S]` each, padded with NaN to the longest."""
    longest = max((v.shape[1] for part in parts for v in part.stages.values()), default=0)

    def padded(values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, dtype=np.float64)
        return np.pad(values, ((0, 0), (0, longest - values.shape[1])), constant_values=np.nan)

    return {name: np.concatenate([padded(part.stages[name]) for part in parts]) for name in parts[0].stages}


def _mixture(tables: Sequence[ExactTable]) -> ExactTable | None:
    """The equally weighted mixture of exact posteriors."""
    if not tables:
        return None
    spins = np.concatenate([table.spins for table in tables])
    same = distinct(spins)
    mass = np.concatenate([table.probability for table in tables]) / len(tables)
    probability = np.bincount(same.group, mass, minlength=len(same.first))
    order = np.argsort(-probability, kind="stable")
    return ExactTable(
        log_evidence=float("nan"),
        inclusion_probability=np.mean([table.inclusion_probability for table in tables], axis=0),
        spins=spins[same.first[order]],
        probability=probability[order],
        models_enumerated=sum(table.models_enumerated for table in tables),
    )


def _record(parts: Sequence[SamplingRecord]) -> SamplingRecord:
    seconds = [part.seconds for part in parts if part.seconds is not None]
    joined: dict[str, Any] = {name: tuple(v for part in parts for v in getattr(part, name)) for name in OF_EACH_RUN}
    return replace(
        parts[0],
        **joined,
        seconds=sum(seconds) if seconds else None,
        complete=all(part.complete for part in parts),
    )
