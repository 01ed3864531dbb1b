"""Posterior -> how the particles came there: temperatures, moves and ancestors, stage by stage and run by run."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior


def tempering_history(posterior: Posterior) -> xr.Dataset:
    """History of every run.

    Args:
        posterior: From `method="smc"`.

    Returns:
        Over `run, stage`, NaN after a run's last stage: `temperature`, `ess` (of the weights that the step used),
        `flip_rate`, `distinct_particles`, `distinct_ancestors`, `log_evidence_increment` and what else was recorded;
        over `run`: `stages` and `log_evidence`.

    Raises:
        StatisticsError: If the posterior has no history.
    """
    if "temperature" not in posterior.stages:
        raise StatisticsError(
            "The posterior has no history.",
            got=f"method {posterior.provenance.get('method', 'unknown')!r}",
            wanted="a posterior of sequential Monte Carlo",
            fix="sample(model, method='smc')",
        )
    history = {n: (("run", "stage"), np.asarray(v, dtype=np.float64)) for n, v in posterior.stages.items()}
    stages = np.isfinite(posterior.stages["temperature"]).sum(axis=1)
    runs, longest = posterior.stages["temperature"].shape
    return xr.Dataset(
        history | {"stages": (("run",), stages), "log_evidence": (("run",), posterior.log_evidence)},
        coords={"run": np.arange(runs), "stage": np.arange(1, longest + 1)},
        attrs={"particles": posterior.spins.shape[1]},
    )


def genealogy(posterior: Posterior) -> xr.Dataset:
    """How many of a run's last particles descend from each of its first.

    Particles that were moved well have forgotten their ancestor, and few ancestors are then no fault: they bound from
    below how many independent draws a run is worth, for particles that never move.

    Args:
        posterior: What sampling returned.

    Returns:
        Over `run, ancestor`: `share` of the particles that descend from the run's ancestors, largest first, 0 after
        the last; over `run`: `distinct_ancestors`, and `least_draws`, one over the sum of the squared shares.
    """
    shares = [np.sort(np.unique(a, return_counts=True)[1])[::-1] / a.size for a in posterior.eve_index]
    longest = max(map(len, shares))
    return xr.Dataset(
        {
            "share": (("run", "eve_index"), np.stack([np.pad(s, (0, longest - len(s))) for s in shares])),
            "distinct_ancestors": (("run",), [len(s) for s in shares]),
            "least_draws": (("run",), [1 / np.sum(s**2) for s in shares]),
        },
        coords={"run": np.arange(len(shares)), "eve_index": np.arange(longest)},
    )
