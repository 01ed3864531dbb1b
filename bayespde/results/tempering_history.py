"""Posterior -> tempering history of every run: inverse temperatures, moves and ancestors, stage by stage."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior


@validated
def tempering_history(posterior: Posterior) -> xr.Dataset:
    """Inverse temperatures, effective sample sizes and moves of every run.

    Args:
        posterior: From `method="smc"`.

    Returns:
        Over `run, stage`, NaN after a run's last stage: `inverse_temperature`, `ess` (of the weights that the step
        used), `flip_rate`, `distinct_particles`, `distinct_ancestors`, `log_marginal_likelihood_increment` and all else
        that was recorded; over `run`: `stages` and `log_evidence`.

    Raises:
        StatisticsError: If the posterior has no history.
    """
    if "inverse_temperature" not in posterior.stages:
        raise StatisticsError(
            "The posterior has no history.",
            got=f"method {posterior.sampling.method!r}",
            wanted="a posterior of sequential Monte Carlo",
            fix="sample(model, method='smc')",
        )
    history = {n: (("run", "stage"), np.asarray(v, dtype=np.float64)) for n, v in posterior.stages.items()}
    stages = np.isfinite(posterior.stages["inverse_temperature"]).sum(axis=1)
    runs, longest = posterior.stages["inverse_temperature"].shape
    return xr.Dataset(
        history | {"stages": (("run",), stages), "log_evidence": (("run",), posterior.log_evidence)},
        coords={"run": np.arange(runs), "stage": np.arange(1, longest + 1)},
        attrs={"particles": posterior.spins.shape[1]},
    )


@validated
def genealogy(posterior: Posterior) -> xr.Dataset:
    """Number of a run's final particles that descend from each of its initial ones.

    Few ancestors bound from below the number of independent draws that a run is worth, as if particles never moved.
    Where the moves decorrelate particles from their ancestors, few ancestors are harmless.

    Args:
        posterior: What sampling returned.

    Returns:
        Over `run, family`: `share` of the particles that descend from the same ancestor, largest first, 0 after the
        last; over `run`: `distinct_ancestors`, and `least_draws`, one over the sum of the squared shares.
    """
    shares = [np.sort(np.unique(a, return_counts=True)[1])[::-1] / a.size for a in posterior.eve_index]
    longest = max(map(len, shares))
    return xr.Dataset(
        {
            "share": (("run", "family"), np.stack([np.pad(s, (0, longest - len(s))) for s in shares])),
            "distinct_ancestors": (("run",), [len(s) for s in shares]),
            "least_draws": (("run",), [1 / np.sum(s**2) for s in shares]),
        },
        coords={"run": np.arange(len(shares)), "family": np.arange(longest)},
    )
