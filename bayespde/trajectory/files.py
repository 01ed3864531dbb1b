"""A trajectory <-> a dataset that netCDF can hold: arrays as they are, terms as text for the whitelisting parser."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayespde.core.equation import Equation, Library
from bayespde.core.errors import FileError
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.state_posterior import StatePosterior

if TYPE_CHECKING:
    from bayespde.trajectory.trajectory import Trajectory

SCALARS = ("noise_scale", "variance", "freedom", "log_likelihood", "log_evidence", "cycle_skipping")
STATE = "state_"


def write_parts(trajectory: Trajectory) -> xr.Dataset:
    """The dataset of a trajectory; its mode is left out."""
    equation, state = trajectory.equation, trajectory.state.to_dataset()
    state = state.rename({name: STATE + str(name) for name in (*state.data_vars, *state.dims)})
    dataset = xr.Dataset(
        {
            "fitted": trajectory.fitted,
            "start": trajectory.start,
            "displacements": (("time", "axis"), trajectory.displacements),
            "coefficients": ("term", np.array(equation.coefficients)),
            "complexity": ("term", np.array([t.complexity for t in equation.terms])),
            **{name: float(getattr(trajectory, name)) for name in SCALARS},
            "converged": np.int8(trajectory.converged),
            "steps": np.int64(trajectory.steps),
        }
    ).merge(state)
    config = asdict(trajectory.config)
    dataset.attrs = state.attrs | {
        "terms": json.dumps(equation.names),
        "target": equation.target,
        "variable": equation.variable,
        "field": str(trajectory.fitted.name),
        "config": json.dumps(config),
    }
    return dataset


def read_parts(dataset: xr.Dataset) -> dict[str, Any]:
    """The parts of a trajectory by name, without its mode.

    Raises:
        FileError: If one of them is missing.
    """
    try:
        return _read_parts(dataset)
    except KeyError as error:
        raise FileError(
            "The dataset is no trajectory.",
            got=f"no {error.args[0]!r}",
            wanted="what Trajectory.to_dataset returns",
            fix="fit_trajectories(posterior, smooth)",
        ) from error


def _read_parts(dataset: xr.Dataset) -> dict[str, Any]:
    names = [name for name in (*dataset.data_vars, *dataset.dims) if str(name).startswith(STATE)]
    state = dataset[[n for n in names if n in dataset.data_vars]].rename({n: str(n)[len(STATE) :] for n in names})
    return {
        "equation": _equation(dataset),
        "state": StatePosterior.from_dataset(state),
        "start": dataset["start"].rename(dataset.attrs["field"]),
        "fitted": dataset["fitted"].rename(dataset.attrs["field"]),
        "displacements": dataset["displacements"].values,
        **{name: float(dataset[name]) for name in SCALARS},
        "converged": bool(dataset["converged"]),
        "steps": int(dataset["steps"]),
        "config": TrajectoryConfig.from_record(json.loads(dataset.attrs["config"])),
    }


def _equation(dataset: xr.Dataset) -> Equation:
    names, variable = json.loads(dataset.attrs["terms"]), dataset.attrs["variable"]
    complexity = dict(zip(names, dataset["complexity"].values.tolist(), strict=True))
    library = Library.from_strings(complexity, target=dataset.attrs["target"], variable=variable)
    return Equation(library.terms, tuple(dataset["coefficients"].values.tolist()), library.target, variable)
