"""Posterior -> its most probable models, by run, and the joint inclusion probabilities of pairs of terms."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.annotations import Count
from bayespde.core.checked import validated
from bayespde.core.monte_carlo import error_between_runs
from bayespde.core.posterior import Posterior

# Standard deviation of a spin below which it is a rounding error.
CERTAIN = 1e-6


@validated
def top_models(posterior: Posterior, *, top: Count = 10) -> xr.Dataset:
    """List the most probable configurations, with their shares in every run.

    Args:
        posterior: What sampling or enumeration returned.
        top: Largest number of configurations.

    Returns:
        Over `configuration`, most probable first: `names`, `size`, `probability` (exact where enumeration ran, else
        the share of the particles), `cumulated`, `standard_error` (of that share, between runs; NaN for one run) and
        `distinct_ancestors` (particles of the first stage, over all runs, from which those that hold it descend: few
        ancestors mean few independent draws); over `configuration, term`: `spin`; over `run, configuration`: `share` of
        the particles. The attribute `captured` is the mass of all that are listed.

    Raises:
        ConfigError: If `top` is below 1.
    """
    spins, probability = posterior.configurations()
    order = np.argsort(-probability, kind="stable")[:top]
    spins, probability = spins[order], probability[order]
    # [N, R, P]: which particles hold which configuration.
    held = np.stack([(posterior.spins == s).all(axis=-1) for s in spins])
    shares = held.mean(axis=2).T
    ancestors = [sum(len(np.unique(a[h])) for a, h in zip(posterior.eve_index, runs, strict=True)) for runs in held]
    names = np.array(posterior.library.names)
    return xr.Dataset(
        {
            "names": (("configuration",), [", ".join(names[s]) for s in spins]),
            "size": (("configuration",), spins.sum(axis=1)),
            "probability": (("configuration",), probability),
            "cumulated": (("configuration",), np.cumsum(probability)),
            "standard_error": (("configuration",), error_between_runs(shares, posterior.run_weights)),
            "distinct_ancestors": (("configuration",), ancestors),
            "spin": (("configuration", "term"), spins.astype(np.int8)),
            "share": (("run", "configuration"), shares),
        },
        coords={"term": list(names), "configuration": np.arange(len(spins)), "run": np.arange(len(shares))},
        attrs={"captured": float(probability.sum())},
    )


@validated
def joint_inclusion(posterior: Posterior) -> xr.Dataset:
    """Joint inclusion probabilities of pairs of terms, and the correlations of their spins.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        Over `term, other`: `probability` that both are in, on the diagonal that of the term alone; `correlation` of
        the two spins: -1 where one replaces the other, +1 where they are included together, NaN where one is certain.
        Both among the configurations that the posterior holds.
    """
    spins, probability = posterior.configurations()
    weights = probability / probability.sum()
    both = np.einsum("n,ni,nj->ij", weights, spins, spins)
    mean = np.diagonal(both)
    deviation = np.sqrt(np.maximum(mean * (1 - mean), 0.0))
    scale, varies = np.outer(deviation, deviation), deviation > CERTAIN
    is_open = np.outer(varies, varies)
    correlation = np.full_like(both, np.nan)
    np.divide(both - np.outer(mean, mean), scale, out=correlation, where=is_open)
    return xr.Dataset(
        {"probability": (("term", "other"), both), "correlation": (("term", "other"), np.clip(correlation, -1, 1))},
        coords={"term": list(posterior.library.names), "other": list(posterior.library.names)},
    )
