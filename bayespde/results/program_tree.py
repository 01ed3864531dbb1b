"""Draws of the sites of a Pyro program -> an `xarray.DataTree` in the ArviZ InferenceData schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import xarray as xr

from bayespde import __version__
from bayespde.core.sampled_spins import SampledSpins
from bayespde.results.inference_tree import ESTIMATOR, SAMPLE, labelled


@dataclass(frozen=True, eq=False)
class ProgramDraws:
    """Draws of the sites of a program, and what sampling says of its spins.

    Attributes:
        sites: Values by site, each `[R, P, *shape]`.
        labels: Of the elements of some sites that are vectors, by site.
        sampled: What sampling says of the spins.
    """

    sites: Mapping[str, np.ndarray]
    labels: Mapping[str, Sequence[str]]
    sampled: SampledSpins


def program_tree(draws: ProgramDraws) -> xr.DataTree:
    """Lay draws out in the InferenceData schema [kumar2019arviz]; a run is a chain, a particle a draw.

    Returns:
        Groups `posterior` (every latent site, its dimensions `<site>_dim_<i>`), `sample_stats` and `smc_stats`.
    """
    groups = {"posterior": _posterior(draws), "sample_stats": _sample_stats(draws), "smc_stats": _smc_stats(draws)}
    record = draws.sampled.sampling.record()
    about = {
        "created_at": datetime.now(UTC).isoformat(),
        "creation_library": "bayespde",
        "creation_library_version": __version__,
        "inference_library": "bayespde",
        "inference_library_version": __version__,
        "sampling": json.dumps(record),
    }
    whole = {name: labelled(group).assign_attrs(about) for name, group in groups.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=about), **whole})


def _posterior(draws: ProgramDraws) -> xr.Dataset:
    group = xr.Dataset()
    for site, values in draws.sites.items():
        # A name with a slash, as Pyro's scopes make it, would be a path in the tree.
        name = site.replace("/", ".")
        dims = [f"{name}_dim_{i}" for i in range(values.ndim - 2)]
        group[name] = ((*SAMPLE, *dims), values)
        if site in draws.labels and len(dims) == 1:
            group = group.assign_coords({dims[0]: list(draws.labels[site])})
    return group


def _sample_stats(draws: ProgramDraws) -> xr.Dataset:
    lp = draws.sampled.scalars["lp"]
    return xr.Dataset({"lp": (SAMPLE, lp), "eve_index": (SAMPLE, draws.sampled.eve_index)})


def _smc_stats(draws: ProgramDraws) -> xr.Dataset:
    found = draws.sampled
    history = {n: (("chain", "stage"), np.asarray(v, dtype=np.float64)) for n, v in found.stages.items()}
    estimates = {ESTIMATOR + n: (("chain", found.dim), v) for n, v in found.estimates.items()}
    group = xr.Dataset({**history, **estimates, "log_marginal_likelihood": (("chain",), found.log_evidence)})
    return group.assign_coords({found.dim: list(found.names)})
