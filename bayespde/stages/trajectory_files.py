"""A `TrajectoryPosterior` <-> netCDF: a group for each trajectory and for the noise; its posterior has its own file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr

from bayespde.core.checksum import unreadable
from bayespde.core.netcdf import read_netcdf_tree, write_netcdf
from bayespde.core.noise import NoiseModel
from bayespde.core.posterior import Posterior
from bayespde.stages.fit_trajectories import TrajectoryPosterior
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.trajectory import Trajectory

NOISE, TRAJECTORY = "noise", "trajectory_"


def write_trajectories(found: TrajectoryPosterior, path: Path) -> None:
    """Write everything but the posterior.

    Raises:
        FileError: If it cannot be written.
    """
    groups = {f"{TRAJECTORY}{k}": one.to_dataset() for k, one in enumerate(found.trajectories)}
    attrs = {
        "config": json.dumps(asdict(found.config)),
        "failed": json.dumps(found.failed),
        "posterior": found.posterior.identity,
    }
    root = xr.Dataset({"probability": ("equation", found.probability)}, attrs=attrs)
    tree = xr.DataTree.from_dict({"/": root, NOISE: noise_dataset(found.noise), **groups})
    write_netcdf(tree, path, "trajectories")


def read_trajectories(path: Path, posterior: Posterior) -> TrajectoryPosterior:
    """Read back what `write_trajectories` wrote, with the posterior from its own file.

    Raises:
        FileError: If they are damaged, those of another posterior, or were written by a later version.
    """
    return read_netcdf_tree(path, "trajectories", lambda tree: _read(tree, path, posterior))


def _read(tree: xr.DataTree, path: Path, posterior: Posterior) -> TrajectoryPosterior:
    root = tree.to_dataset()
    if root.attrs["posterior"] != posterior.identity:
        raise unreadable(path, "written with another", what="The trajectories do not belong to the posterior.")
    return TrajectoryPosterior(
        posterior=posterior,
        trajectories=tuple(
            Trajectory.from_dataset(tree.children[f"{TRAJECTORY}{k}"].to_dataset(inherit=False))
            for k in range(root.sizes["equation"])
        ),
        probability=root["probability"].values,
        failed=tuple((tuple(names), reason) for names, reason in json.loads(root.attrs["failed"])),
        noise=read_noise(tree.children[NOISE].to_dataset(inherit=False)),
        config=TrajectoryConfig.from_record(json.loads(root.attrs["config"])),
    )


def noise_dataset(noise: NoiseModel) -> xr.Dataset:
    """All parts of a noise model, with numbers and names as attributes."""
    arrays = {"sd": np.asarray(noise.sd, dtype=np.float64)}
    arrays |= {f"correlation_{axis}": lags for axis, lags in enumerate(noise.correlation)}
    if noise.seen_share is not None:
        arrays["seen_share"] = noise.seen_share
    variables = {name: (tuple(f"{name}_{i}" for i in range(a.ndim)), a) for name, a in arrays.items()}
    numbers = {"jitter": json.dumps(noise.jitter), "walk": noise.walk}
    numbers |= {"variance_function": noise.variance_function, "parameters": json.dumps(dict(noise.parameters))}
    return xr.Dataset(variables, attrs=numbers | {"axes": len(noise.correlation)})


def read_noise(dataset: xr.Dataset) -> NoiseModel:
    """Read back what `noise_dataset` made."""
    sd = dataset["sd"].values
    return NoiseModel(
        sd=sd if sd.ndim else float(sd),
        correlation=tuple(dataset[f"correlation_{axis}"].values for axis in range(int(dataset.attrs["axes"]))),
        jitter=tuple(json.loads(dataset.attrs["jitter"])),
        walk=float(dataset.attrs["walk"]),
        variance_function=str(dataset.attrs["variance_function"]),
        parameters=json.loads(dataset.attrs["parameters"]),
        seen_share=dataset["seen_share"].values if "seen_share" in dataset else None,
    )
