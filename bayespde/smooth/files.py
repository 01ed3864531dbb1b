"""SMOOTH FIELD <-> DATASET that netCDF can hold: all that cannot be recomputed in a second."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import torch
import xarray as xr

from bayespde.core.field import validate_field
from bayespde.core.scattered import validate_scattered
from bayespde.core.settings import build
from bayespde.noise.pixel_noise import PixelNoise
from bayespde.smooth.choice import SmoothingChoice
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.ensemble import NetworkEnsemble
from bayespde.smooth.network.fitted import NetworkFit, TrainingHistory
from bayespde.smooth.network.smoother import NetworkSmoother
from bayespde.smooth.observations import GridObservations, Observations
from bayespde.smooth.scattered_observations import ScatteredObservations
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline.basis import SplineConfig


def to_dataset(smooth: SmoothField) -> xr.Dataset:
    """Write a smooth field into a dataset; its spline by its settings only."""
    dataset = xr.Dataset({"u": smooth.field})
    if isinstance(smooth.data, ScatteredObservations):
        dataset = _with_samples(dataset, smooth.data)
    dataset.attrs["variable"] = str(smooth.field.name)
    dataset.attrs["spline_config"] = json.dumps(asdict(smooth.spline_config))
    dataset.attrs["held_out_by"] = json.dumps([smooth.spline.hold_out, list(smooth.spline.block)])
    dataset.attrs["choice"] = smooth.choice.to_json()
    return dataset if smooth.network is None else _with_networks(dataset, smooth.network)


def from_dataset(dataset: xr.Dataset) -> SmoothField:
    """Read back what `to_dataset` wrote; the spline is fitted again, which gives the same numbers."""
    data = _read_observations(dataset)
    config = build(SplineConfig, json.loads(dataset.attrs["spline_config"]), "spline_config")
    spline = data.fit(_as_found(dataset, config))
    network = None
    if "networks" in dataset.attrs:
        shrinkage = dataset.attrs.get("shrinkage")
        ensemble = _read_networks(dataset, data.field.ndim)
        network = NetworkSmoother(data, spline.scales, ensemble, None if shrinkage is None else float(shrinkage))
    return SmoothField(data, spline, config, network, SmoothingChoice.from_json(dataset.attrs["choice"]))


def _with_samples(dataset: xr.Dataset, data: ScatteredObservations) -> xr.Dataset:
    columns = {f"sample_{d}": data.samples[d] for d in map(str, data.field.dims)} | {"sample_values": data.samples}
    dataset = dataset.assign({name: ("sample", c.values, c.attrs) for name, c in columns.items()})
    dataset = dataset.assign(sample_node=("sample", data.nodes), sample_moved=("sample", data.moved))
    return dataset.assign_attrs(left_out=data.left_out)


def _with_networks(dataset: xr.Dataset, network: NetworkSmoother) -> xr.Dataset:
    ensemble = network.ensemble
    dataset.attrs["networks"] = json.dumps([asdict(fit.config) for fit in ensemble.fits])
    dataset.attrs["network_noise"] = json.dumps([ensemble.noise.scale, ensemble.noise.freedom])
    if network.shrinkage is not None:
        dataset.attrs["shrinkage"] = network.shrinkage
    if ensemble.noise.deviation is not None:
        dataset["deviation"] = (("pixel",), ensemble.noise.deviation)
    dataset["held_out"] = (("pixel",), ensemble.held_out.astype(np.int8))
    for position, fit in enumerate(ensemble.fits):
        for name, array in _arrays(fit).items():
            key = f"network{position}_{name}"
            dataset[key] = (tuple(f"{key}_{i}" for i in range(array.ndim)), array)
    return dataset


def _arrays(fit: NetworkFit) -> dict[str, np.ndarray]:
    """The results of training, by name."""
    learnt = {f"parameter_{name}": value.numpy() for name, value in fit.parameters.items()}
    history = {f"history_{name}": series for name, series in fit.history._asdict().items()}
    return {**learnt, **history, "residuals": fit.residuals, "training_rmse": fit.training_rmse}


def _as_found(dataset: xr.Dataset, config: SplineConfig) -> SplineConfig:
    """With the unit that was held out, so that it is not searched for again; robust fits find it on the way."""
    if config.noise == "student_t":
        return config
    hold_out, block = json.loads(dataset.attrs["held_out_by"])
    return replace(config, hold_out=hold_out, block=tuple(block) or None)


def _read_observations(dataset: xr.Dataset) -> Observations:
    field = validate_field(dataset["u"].rename(dataset.attrs["variable"]))
    if "sample_values" not in dataset:
        return GridObservations(field)
    positions = {str(d): dataset[f"sample_{d}"].variable for d in field.dims}
    samples = validate_scattered(dataset["sample_values"].rename(field.name).assign_coords(positions))
    nodes, moved = (dataset[f"sample_{name}"].values for name in ("node", "moved"))
    return ScatteredObservations(field, samples, nodes, moved, float(dataset.attrs["left_out"]))


def _read_networks(dataset: xr.Dataset, dimensions: int) -> NetworkEnsemble:
    scale, freedom = json.loads(dataset.attrs["network_noise"])
    noise = PixelNoise(scale, freedom, dataset["deviation"].values if "deviation" in dataset else None)
    fits = []
    for position, settings in enumerate(json.loads(dataset.attrs["networks"])):
        prefix, learnt = f"network{position}_", "parameter_"
        arrays = {str(k)[len(prefix) :]: v.values for k, v in dataset.data_vars.items() if str(k).startswith(prefix)}
        fits.append(
            NetworkFit(
                parameters={k[len(learnt) :]: torch.as_tensor(v) for k, v in arrays.items() if k.startswith(learnt)},
                config=build(NetworkConfig, settings, "networks"),
                dimensions=dimensions,
                noise=noise,
                history=TrainingHistory(*(arrays[f"history_{name}"] for name in TrainingHistory._fields)),
                held_out=dataset["held_out"].values.astype(bool),
                residuals=arrays["residuals"],
                training_rmse=arrays["training_rmse"],
            )
        )
    return NetworkEnsemble(tuple(fits))
