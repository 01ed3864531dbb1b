"""Posterior <-> an `xarray.DataTree` in the ArviZ schema, in memory and in netCDF, without any loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr

from bayespde import __version__
from bayespde.core.equation import Library
from bayespde.core.errors import BayespdeError, FileError
from bayespde.core.files import atomic_path, existing_file
from bayespde.core.posterior import ExactTable, Posterior
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.draws import block_log_likelihood, prior_spins, replicated_energy
from bayespde.results.equations import unit_of

SAMPLE = ("chain", "draw")
ESTIMATOR = "inclusion_"


def to_tree(posterior: Posterior, prediction: xr.Dataset | None = None) -> xr.DataTree:
    """Lay a posterior out in the InferenceData schema [kumar2019arviz].

    A run is a chain, a particle a draw; all weigh the same. Draws keep the order of their ancestors.
    Likelihoods are per block: leaving out a block is meaningful, leaving out a pixel is not.

    Args:
        posterior: What sampling or enumeration returned.
        prediction: What `forecast` returned.

    Returns:
        Groups `posterior`, `sample_stats`, `smc_stats`, `log_prior`, `observed_data`, `constant_data`; `prior`, draws
        of the spins, where the prior is known; `log_likelihood` and `posterior_predictive` where rows were not
        tempered; `exact` where enumeration ran; `predictions` and `predictions_constant_data` of a prediction.
        Every attribute is text or a number, so that netCDF holds it.
    """
    groups = {
        "posterior": _posterior_group(posterior),
        "sample_stats": _sample_stats(posterior),
        "smc_stats": _smc_stats(posterior),
        "log_prior": xr.Dataset({"spin": (SAMPLE, posterior.log_prior)}),
        "observed_data": xr.Dataset(
            {"rows": (("block",), np.sum(posterior.statistics.factors[:, :, -1] ** 2, axis=1))}
        ),
        "constant_data": _constant_data(posterior),
    }
    # Tempered rows have no likelihood of their own: leave-one-block-out scores of them would mean nothing.
    if posterior.statistics.power == 1:
        rows = block_log_likelihood(posterior)
        groups["log_likelihood"] = xr.Dataset({"rows": ((*SAMPLE, "block"), rows)})
        groups["posterior_predictive"] = xr.Dataset({"rows": ((*SAMPLE, "block"), replicated_energy(posterior))})
    if "prior" in posterior.provenance:
        spins = prior_spins(posterior)
        drawn = {"spin": ((*SAMPLE, "term"), spins.astype(np.int8)), "size": (SAMPLE, spins.sum(axis=-1))}
        groups["prior"] = xr.Dataset(drawn)
    if posterior.exact is not None:
        groups["exact"] = _exact_group(posterior.exact)
    if prediction is not None:
        groups |= _predictions(prediction)
    created, described = _creation(posterior), _description(posterior)
    groups["constant_data"].attrs.update(described)
    terms = list(posterior.library.names)
    whole = {name: _labelled(group, terms).assign_attrs(created) for name, group in groups.items()}
    whole["/"] = xr.Dataset(attrs=created | described)
    return xr.DataTree.from_dict(whole)


def from_inference_data(source: Any) -> Posterior:
    """Read a posterior back from a tree, an ArviZ InferenceData, or a file; every answer is identical.

    Args:
        source: What `to_tree` or `to_inference_data` returned, or the path of a file that `save` wrote.

    Returns:
        The posterior. The library is rebuilt by the whitelisting parser; nothing in a file is ever evaluated.

    Raises:
        FileError: If the file cannot be read, or groups or variables are missing or inconsistent.
    """
    if isinstance(source, str | PathLike):
        return load(source)
    try:
        return _read(source if isinstance(source, xr.DataTree) else source.to_datatree())
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            "The inference data do not hold a bayespde posterior.",
            got=f"{type(error).__name__}: {error}",
            wanted="the groups that bayespde.to_inference_data writes",
            fix="save it again with bayespde, keeping constant_data and smc_stats",
        ) from error


def save(posterior: Posterior, path: str | PathLike[str]) -> None:
    """Write a posterior to a netCDF file that xarray and either line of ArviZ can open.

    Args:
        posterior: What sampling or enumeration returned.
        path: A file name, usually ending in `.nc`; it appears only when whole.

    Raises:
        FileError: If the path cannot be written.
    """
    with atomic_path(path) as temporary:
        to_tree(posterior).to_netcdf(temporary, engine="h5netcdf")


def load(path: str | PathLike[str]) -> Posterior:
    """Read a posterior from a netCDF file written by `save`, or by ArviZ from `to_inference_data`.

    Raises:
        FileError: If the file cannot be read or holds something else.
    """
    file = existing_file(path)
    try:
        with xr.open_datatree(file, engine="h5netcdf") as tree:
            tree.load()
            return from_inference_data(tree)
    except (OSError, ValueError) as error:
        if isinstance(error, BayespdeError):
            raise
        raise FileError(
            "The file cannot be read as inference data.",
            got=f"{file}: {error}",
            wanted="a netCDF-4 file",
            fix="write it with bayespde.results.inference_data.save",
        ) from error


def _posterior_group(posterior: Posterior) -> xr.Dataset:
    group = xr.Dataset(
        {
            "spin": ((*SAMPLE, "term"), posterior.spins.astype(np.int8)),
            "coefficient": ((*SAMPLE, "term"), posterior.coefficients),
            "noise_scale": (SAMPLE, posterior.noise_scale),
            "size": (SAMPLE, posterior.spins.sum(axis=-1)),
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
            "log_evidence": (("chain",), posterior.log_evidence),
            "stages": (("chain",), finished),
        }
    )


def _constant_data(posterior: Posterior) -> xr.Dataset:
    statistics = posterior.statistics
    group = statistics.to_dataset()
    group["column_scale"] = (("term",), statistics.column_scale)
    group["complexity"] = (("term",), posterior.library.complexities)
    if "prior_inclusion" in posterior.provenance:
        group["prior_inclusion"] = (("term",), np.asarray(posterior.provenance["prior_inclusion"]))
    group["coefficient_unit"] = (("term",), list(_units(posterior).values()))
    return group


def _predictions(prediction: xr.Dataset) -> dict[str, xr.Dataset]:
    """Predicted frames as one chain, and what was given: the law of each draw and how it was integrated."""
    name = prediction.attrs["field"]
    law = prediction[["coefficient"]].rename(term="predicted_term", draw="predicted_draw")
    numbers = {k: xr.DataArray(prediction.attrs[k]) for k in ("noise_scale", "start")}
    return {
        "predictions": prediction[[name, "ended"]].expand_dims(chain=[0]).drop_attrs(deep=False),
        "predictions_constant_data": law.assign(numbers).drop_attrs(deep=False),
    }


def _exact_group(exact: ExactTable) -> xr.Dataset:
    return xr.Dataset(
        {
            "spin": (("configuration", "term"), exact.spins.astype(np.int8)),
            "probability": (("configuration",), exact.probability),
            "inclusion_probability": (("term",), exact.inclusion_probability),
            "log_evidence": ((), float(exact.log_evidence)),
            "models_enumerated": ((), np.int64(exact.models_enumerated)),
        }
    )


def _labelled(group: xr.Dataset, terms: list[str]) -> xr.Dataset:
    """Give every dimension a coordinate, as the schema asks."""
    new = {d: np.arange(n) for d, n in group.sizes.items() if d not in group.coords}
    return group.assign_coords({d: terms if d == "term" else c for d, c in new.items()})


def _units(posterior: Posterior) -> dict[str, str]:
    return {t.name: unit_of(posterior, t) for t in posterior.library}


def _creation(posterior: Posterior) -> dict[str, str | float]:
    """What every group carries."""
    provenance = posterior.provenance
    attributes: dict[str, str | float] = {
        "created_at": str(provenance.get("created_at", datetime.now(UTC).isoformat(timespec="seconds"))),
        "inference_library": "bayespde",
        "inference_library_version": __version__,
        "creation_library": "bayespde",
        "creation_library_version": __version__,
    }
    if provenance.get("sampling_time") is not None:
        attributes["sampling_time"] = float(provenance["sampling_time"])
    return attributes


def _description(posterior: Posterior) -> dict[str, str]:
    """What the root and `constant_data` carry: ArviZ 0.x does not hand the attributes of the root on."""
    provenance, library = posterior.provenance, posterior.library
    described = {
        "terms": {t.name: t.complexity for t in library},
        "target": library.target,
        "variable": library.variable,
        "others": library.coupled_variables,
    }
    return {
        "data_hash": posterior.statistics.target_hash,
        "library": json.dumps(described),
        "settings": json.dumps(dict(provenance), default=_plain),
        "seed": str(provenance.get("seed", "unknown")),
    }


def _plain(value: Any) -> Any:
    """JSON for NumPy values and read-only mappings; text for anything else."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _read(tree: xr.DataTree) -> Posterior:
    groups = {str(name): node.to_dataset() for name, node in tree.children.items()}
    constant, smc, draws = (
        groups["constant_data"],
        groups["smc_stats"],
        groups["posterior"].transpose(*SAMPLE, ...),
    )
    stats = groups["sample_stats"].transpose(*SAMPLE, ...)
    attributes = constant.attrs
    history = [str(n) for n, v in smc.data_vars.items() if "stage" in v.dims]
    estimates = [str(n) for n in smc.data_vars if str(n).startswith(ESTIMATOR)]
    return Posterior(
        library=_library(json.loads(attributes["library"]), [str(t) for t in draws["term"].values]),
        statistics=SufficientStatistics.from_dataset(constant),
        spins=draws["spin"].values.astype(bool),
        coefficients=draws["coefficient"].values,
        noise_scale=draws["noise_scale"].values,
        log_prior=groups["log_prior"]["spin"].transpose(*SAMPLE).values,
        log_likelihood=stats["log_likelihood_total"].values,
        log_evidence=smc["log_evidence"].values,
        estimates={n.removeprefix(ESTIMATOR): smc[n].values for n in estimates},
        eve_index=stats["eve_index"].values,
        stages={n: smc[n].values for n in history},
        exact=_exact(groups["exact"]) if "exact" in groups else None,
        provenance=json.loads(attributes["settings"]),
    )


def _exact(group: xr.Dataset) -> ExactTable:
    return ExactTable(
        log_evidence=float(group["log_evidence"]),
        inclusion_probability=group["inclusion_probability"].values,
        spins=group["spin"].values.astype(bool),
        probability=group["probability"].values,
        models_enumerated=int(group["models_enumerated"]),
    )


def _library(described: dict[str, Any], names: list[str]) -> Library:
    library = Library.from_strings(
        described["terms"],
        target=described["target"],
        variable=described["variable"],
        coupled_variables=described.get("others", ()),
    )
    if list(library.names) != names:
        raise FileError(
            "The library does not match the terms of the posterior.",
            got=f"library {list(library.names)}, terms {names}",
            wanted="the same names in the same order",
            fix="save the posterior again with bayespde",
        )
    return library
