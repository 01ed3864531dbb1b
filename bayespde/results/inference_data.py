"""Inference data in memory or in netCDF -> the `Posterior` that they describe, without any loss; and back to a file."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.checksum import unreadable
from bayespde.core.equation import Library
from bayespde.core.errors import FileError
from bayespde.core.files import check_schema
from bayespde.core.library_record import library_from_record
from bayespde.core.likelihood import Likelihood
from bayespde.core.netcdf import SCHEMAS, put_netcdf, read_netcdf_tree, write_netcdf
from bayespde.core.output_stream import OutputStream
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.posterior import ExactTable, Posterior
from bayespde.core.sampling_record import SamplingRecord
from bayespde.core.slabs import slab_from_record
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.inference_tree import ESTIMATOR, SAMPLE, to_tree


@validated
def from_inference_data(source: Any) -> Posterior:
    """Read a posterior back from a tree, an ArviZ InferenceData, or a file; every answer is identical.

    Args:
        source: What `to_inference_data` returned, or the path of a file that `save` wrote.

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
    """Write a posterior to a netCDF file that xarray and both lines of ArviZ can open.

    Args:
        posterior: What sampling or enumeration returned.
        path: A file name, usually ending in `.nc`; it appears only when whole.

    Raises:
        FileError: If the path cannot be written.
    """
    write_netcdf(to_tree(posterior), path, "posterior")


def put_posterior(posterior: Posterior, stream: OutputStream) -> None:
    """Write a posterior into a new file, as `save` does."""
    put_netcdf(to_tree(posterior), stream, "posterior")


def load(path: str | PathLike[str]) -> Posterior:
    """Read a posterior from a netCDF file written by `save`, or by ArviZ from `to_inference_data`.

    One that ArviZ or xarray has written is read with a `FileWarning`: see "Read a run folder" in the documentation.

    Raises:
        FileError: If the file cannot be read, is damaged, or holds something else.
    """
    return read_netcdf_tree(path, "posterior", lambda tree: _of_file(tree, path))


def _of_file(tree: xr.DataTree, path: str | PathLike[str]) -> Posterior:
    try:
        return from_inference_data(tree)
    except FileError as error:
        raise unreadable(path, str(error.got), what=error.what) from error


def _read(tree: xr.DataTree) -> Posterior:
    groups = {str(name): node.to_dataset() for name, node in tree.children.items()}
    constant, smc = groups["constant_data"], groups["smc_stats"]
    draws = groups["posterior"].transpose(*SAMPLE, ...)
    stats = groups["sample_stats"].transpose(*SAMPLE, ...)
    about = _described(constant.attrs)
    history = [str(n) for n, v in smc.data_vars.items() if "stage" in v.dims]
    estimates = [str(n) for n in smc.data_vars if str(n).startswith(ESTIMATOR)]
    return Posterior(
        library=_library(about["library"], [str(t) for t in draws["term"].values]),
        statistics=SufficientStatistics.from_dataset(constant),
        spins=draws["spin"].values.astype(bool),
        coefficients=draws["coefficient"].values,
        noise_scale=draws["noise_scale"].values,
        log_prior=groups["log_prior"]["spin"].transpose(*SAMPLE).values,
        log_likelihood=stats["log_likelihood_total"].values,
        log_evidence=smc["log_marginal_likelihood"].values,
        estimates={n.removeprefix(ESTIMATOR): smc[n].values for n in estimates},
        eve_index=stats["eve_index"].values,
        stages={n: smc[n].values for n in history},
        exact=_exact(groups["exact"]) if "exact" in groups else None,
        prior=None if about["prior"] is None else PairwiseSpins.from_record(about["prior"]),
        slab=None if about["slab"] is None else slab_from_record(about["slab"]),
        likelihood=Likelihood.from_record(about["likelihood"]),
        sampling=SamplingRecord.from_record(about["sampling"]),
        units=about["units"],
        field_draw=smc["field_draw"].values if "field_draw" in smc else None,
        provenance=about["settings"],
    )


def _described(attributes: dict[str, Any]) -> dict[str, Any]:
    """What is not an array, from the attributes of `constant_data`."""
    check_schema(attributes.get("schema_version", 1), SCHEMAS["posterior"], "inference data")
    names = ("library", "prior", "slab", "likelihood", "sampling", "units", "settings")
    return {name: json.loads(attributes[name]) for name in names}


def _exact(group: xr.Dataset) -> ExactTable:
    return ExactTable(
        log_evidence=float(group["log_marginal_likelihood"]),
        inclusion_probability=group["inclusion_probability"].values,
        spins=group["spin"].values.astype(bool),
        probability=group["probability"].values,
        models_enumerated=int(group["models_enumerated"]),
    )


def _library(described: dict[str, Any], names: list[str]) -> Library:
    library = library_from_record(described)
    if list(library.names) != names:
        raise FileError(
            "The library does not match the terms of the posterior.",
            got=f"library {list(library.names)}, terms {names}",
            wanted="the same names in the same order",
            fix="save the posterior again with bayespde",
        )
    return library
