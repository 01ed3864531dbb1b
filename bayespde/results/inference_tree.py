"""Posterior -> an `xarray.DataTree` in the ArviZ InferenceData schema.

A run is a chain and a particle is a draw. Groups hold arrays; what is not an array (library, prior, slab, likelihood,
sampling, units, provenance) is JSON in the attributes of the root and of `constant_data`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr

from bayespde import __version__
from bayespde.core.library_record import library_record
from bayespde.core.netcdf import SCHEMAS
from bayespde.core.posterior import ExactTable, Posterior
from bayespde.core.slabs import slab_record
from bayespde.results.draws import block_log_likelihood, prior_spins, replicated_energy
from bayespde.results.equations import unit_of

SAMPLE = ("chain", "draw")
ESTIMATOR = "inclusion_"


def to_tree(posterior: Posterior, forecast: xr.Dataset | None = None) -> xr.DataTree:
    """Lay a posterior out in the InferenceData schema [kumar2019arviz].

    Draws of a run have equal weights and keep the order of their ancestors. Likelihoods are per block: leaving out a
    block is meaningful, leaving out a pixel is not.

    Args:
        posterior: What sampling or enumeration returned.
        forecast: What `bayespde.forecast` returned.

    Returns:
        Groups `posterior`, `sample_stats`, `smc_stats`, `log_prior`, `observed_data`, `constant_data`; `prior`, draws
        of the spins, where the prior is known; `log_likelihood` and `posterior_predictive` where the likelihood was not
        tempered; `exact` where enumeration ran; `predictions` and `predictions_constant_data` of a forecast.
        Every attribute is text or a number, so that netCDF holds it.
    """
    energy = np.sum(posterior.statistics.factors[:, :, -1] ** 2, axis=1)
    groups = {
        "posterior": _posterior_group(posterior),
        "sample_stats": _sample_stats(posterior),
        "smc_stats": _smc_stats(posterior),
        "log_prior": xr.Dataset({"spin": (SAMPLE, posterior.log_prior)}),
        "observed_data": xr.Dataset({"block_energy": (("block",), energy)}),
        "constant_data": _constant_data(posterior),
    }
    # A tempered likelihood is none of its own: leave-one-block-out scores of it would mean nothing.
    if posterior.statistics.power == 1:
        dims = (*SAMPLE, "block")
        groups["log_likelihood"] = xr.Dataset({"block_energy": (dims, block_log_likelihood(posterior))})
        groups["posterior_predictive"] = xr.Dataset({"block_energy": (dims, replicated_energy(posterior))})
    if posterior.prior is not None:
        spins = prior_spins(posterior)
        drawn = {"spin": ((*SAMPLE, "term"), spins.astype(np.int8)), "model_size": (SAMPLE, spins.sum(axis=-1))}
        groups["prior"] = xr.Dataset(drawn)
    if posterior.exact is not None:
        groups["exact"] = _exact_group(posterior.exact)
    if forecast is not None:
        groups |= _predictions(forecast)
    created, described = _creation(posterior), _description(posterior)
    groups["constant_data"].attrs.update(described)
    terms = list(posterior.library.names)
    whole = {name: labelled(group, terms).assign_attrs(created) for name, group in groups.items()}
    whole["/"] = xr.Dataset(attrs=created | described)
    return xr.DataTree.from_dict(whole)


def _posterior_group(posterior: Posterior) -> xr.Dataset:
    group = xr.Dataset(
        {
            "spin": ((*SAMPLE, "term"), posterior.spins.astype(np.int8)),
            "coefficient": ((*SAMPLE, "term"), posterior.coefficients),
            "noise_scale": (SAMPLE, posterior.noise_scale),
            "model_size": (SAMPLE, posterior.spins.sum(axis=-1)),
        }
    )
    group["coefficient"].attrs["units"] = json.dumps(_units(posterior))
    group["noise_scale"].attrs["long_name"] = "residual standard deviation of the whitened rows"
    return group


def _sample_stats(posterior: Posterior) -> xr.Dataset:
    return xr.Dataset(
        {
            "lp": (SAMPLE, posterior.log_prior + posterior.log_likelihood),
            "log_likelihood_total": (SAMPLE, posterior.log_likelihood),
            "eve_index": (SAMPLE, posterior.eve_index),
        }
    )


def _smc_stats(posterior: Posterior) -> xr.Dataset:
    history = {n: (("chain", "stage"), np.asarray(v, dtype=np.float64)) for n, v in posterior.stages.items()}
    estimates = {ESTIMATOR + n: (("chain", "term"), v) for n, v in posterior.estimates.items()}
    counts = [np.isfinite(v).sum(axis=1) for _, v in history.values()]
    finished = np.max(counts, axis=0) if counts else np.zeros(len(posterior.log_evidence), dtype=int)
    return xr.Dataset(
        {
            **history,
            **estimates,
            "log_marginal_likelihood": (("chain",), posterior.log_evidence),
            "stages": (("chain",), finished),
            **({} if posterior.field_draw is None else {"field_draw": (("chain",), posterior.field_draw)}),
        }
    )


def _constant_data(posterior: Posterior) -> xr.Dataset:
    statistics = posterior.statistics
    group = statistics.to_dataset()
    group["column_scale"] = (("term",), statistics.column_scale)
    group["complexity"] = (("term",), posterior.library.complexities)
    if posterior.prior is not None:
        group["prior_inclusion"] = (("term",), posterior.prior.inclusion)
    group["coefficient_unit"] = (("term",), list(_units(posterior).values()))
    return group


def _predictions(forecast: xr.Dataset) -> dict[str, xr.Dataset]:
    """Forecast frames as one chain, and their constant data: the coefficients of each draw, and its start."""
    name = forecast.attrs["field"]
    drawn = forecast[["coefficient"]].rename(term="forecast_term", draw="forecast_draw")
    numbers = {k: xr.DataArray(forecast.attrs[k]) for k in ("noise_scale", "initial_time")}
    return {
        "predictions": forecast[[name, "blow_up_time"]].expand_dims(chain=[0]).drop_attrs(deep=False),
        "predictions_constant_data": drawn.assign(numbers).drop_attrs(deep=False),
    }


def _exact_group(exact: ExactTable) -> xr.Dataset:
    return xr.Dataset(
        {
            "spin": (("configuration", "term"), exact.spins.astype(np.int8)),
            "probability": (("configuration",), exact.probability),
            "inclusion_probability": (("term",), exact.inclusion_probability),
            "log_marginal_likelihood": ((), float(exact.log_evidence)),
            "models_enumerated": ((), np.int64(exact.models_enumerated)),
        }
    )


def labelled(group: xr.Dataset, terms: Sequence[str] = ()) -> xr.Dataset:
    """Give every dimension a coordinate, as the schema asks."""
    new = {d: np.arange(n) for d, n in group.sizes.items() if d not in group.coords}
    return group.assign_coords({d: list(terms) if d == "term" else c for d, c in new.items()})


def _units(posterior: Posterior) -> dict[str, str]:
    return {t.name: unit_of(posterior, t) for t in posterior.library}


def _creation(posterior: Posterior) -> dict[str, str | float]:
    """Attributes of every group."""
    attributes: dict[str, str | float] = {
        "created_at": str(posterior.provenance.get("created_at", datetime.now(UTC).isoformat(timespec="seconds"))),
        "inference_library": "bayespde",
        "inference_library_version": __version__,
        "creation_library": "bayespde",
        "creation_library_version": __version__,
    }
    if posterior.sampling.seconds is not None:
        attributes["sampling_time"] = float(posterior.sampling.seconds)
    return attributes


def _description(posterior: Posterior) -> dict[str, str | int]:
    """Attributes of the root and of `constant_data`: ArviZ 0.x does not hand the attributes of the root on."""
    described = {
        "library": library_record(posterior.library),
        "prior": None if posterior.prior is None else posterior.prior.record(),
        "slab": None if posterior.slab is None else slab_record(posterior.slab),
        "likelihood": posterior.likelihood.record(),
        "sampling": posterior.sampling.record(),
        "units": dict(posterior.units),
        "settings": dict(posterior.provenance),
    }
    seed = posterior.provenance.get("seed", posterior.sampling.seed)
    return {
        "schema_version": SCHEMAS["posterior"],
        "data_hash": posterior.statistics.target_hash,
        "seed": "unknown" if seed is None else str(seed),
        **{name: json.dumps(value, default=_plain) for name, value in described.items()},
    }


def _plain(value: Any) -> Any:
    """JSON for NumPy values and read-only mappings; text for anything else."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)
