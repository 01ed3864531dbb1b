"""Posterior -> expected log predictive density of left-out blocks of rows, without fitting it again."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior
from bayespde.results.arviz_bridge import psis_loo
from bayespde.results.draws import block_log_likelihood

# Pareto k of the importance weights beyond which their mean is unreliable [vehtari2024].
HIGHEST_K = 0.7


@validated
def leave_block_out_elpd(posterior: Posterior) -> xr.Dataset:
    """Expected log predictive density of blocks, each left out by importance sampling [vehtari2017].

    A block consists of consecutive whitened rows: predicting one is extrapolation to a part of the video. Single rows
    or pixels are correlated with their neighbours, so leaving them out would test nothing. Particles of all runs have
    equal weights.

    Args:
        posterior: Of sampling or `fit_trajectories`, rows of power 1, two blocks or more.

    Returns:
        Over `block`: `elpd`, `pareto_k`; scalars `total`, its standard error `total_se` between blocks and
        `monte_carlo_se` between runs (NaN for one run), `effective_parameters`, and `unreliable`, the number of blocks
        whose k is above 0.7. Nats; comparable between posteriors of the same rows.

    Raises:
        StatisticsError: If the rows were tempered, or there is one block only.
    """
    statistics = posterior.statistics
    if statistics.power < 1 or statistics.blocks < 2:
        raise StatisticsError(
            "These rows have no predictive density of blocks.",
            got=f"power {statistics.power:g}, {statistics.blocks} block(s)",
            wanted="power 1, whose likelihood is that of the rows, and two blocks or more",
            fix="assemble(..., form=WeakForm()); forms and powers are compared by held-out frames",
        )
    density = block_log_likelihood(posterior)
    elpd, k = psis_loo(density)
    by_run = np.array([psis_loo(run[None])[0].sum() for run in density]) if len(density) > 1 else np.array([np.nan])
    inside = np.logaddexp.reduce(density.reshape(-1, statistics.blocks), axis=0) - np.log(density[..., 0].size)
    return xr.Dataset(
        {
            "elpd": (("block",), elpd),
            "pareto_k": (("block",), k),
            "total": ((), float(elpd.sum())),
            "total_se": ((), float(elpd.std(ddof=1) * np.sqrt(len(elpd)))),
            "monte_carlo_se": ((), float(by_run.std(ddof=1) / np.sqrt(len(by_run))) if len(by_run) > 1 else np.nan),
            "effective_parameters": ((), float((inside - elpd).sum())),
            "unreliable": ((), int((k > HIGHEST_K).sum())),
        },
        coords={"block": np.arange(statistics.blocks)},
        attrs={"target_hash": statistics.target_hash, "units": "nat"},
    )
