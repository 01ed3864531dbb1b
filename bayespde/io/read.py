"""A file -> a checked field, or an error that says what to write into the file."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from bayespde.core.errors import FieldError, FileError
from bayespde.core.field import make_field, may_stand, renaming, validate_field, validate_fields
from bayespde.core.files import existing_file

AXES = ("t", "z", "y", "x")
WRITE_NPZ = "numpy.savez(path, t=t, x=x, u=u), u as [time, x]; with y=y for u as [time, y, x]"


def read_field(path: str | PathLike[str], variable: str | None = None) -> xr.DataArray:
    """Read a field from netCDF, or from an .npz file with arrays `t`, `x` (`y`, `z`) and `u`.

    Args:
        path: A `.nc` file, or a `.npz` file; object arrays are refused, so no code is ever run.
        variable: Name of the variable; by default the only one that has a time dimension, or `u`.

    Returns:
        A checked field, called `u` if its name cannot stand in a term. `t` is taken for `time`. Dates are the numbers
        in the file and their unit, without the day from which they count. In an .npz file `u` may be stored as
        `[time, x]` or `[x, time]`, if the lengths tell which.

    Raises:
        FileError: If the file is not readable, or has no such variable.
        FieldError: If the field is not usable.
    """
    found = _contents(path)
    name = variable or _only_variable(found)
    return validate_field(_of(found, name, path, called=name if may_stand(name) else "u"))


def read_fields(path: str | PathLike[str], variables: Sequence[str]) -> xr.Dataset:
    """Read the fields of a system from netCDF, or from an .npz file with arrays `t`, `x` (`y`, `z`) and the fields.

    Args:
        path: As for `read_field`.
        variables: Names of the fields.

    Returns:
        The checked fields.

    Raises:
        FileError: If the file is not readable, or has no such variable.
        FieldError: If a field is not usable, or they do not share their grid.
    """
    found = _contents(path)
    fields = [_of(found, name, path, called=name) for name in variables]
    return xr.Dataset({str(f.name): f for f in validate_fields(xr.Dataset({str(f.name): f for f in fields}))})


def describe_field(field: xr.DataArray) -> str:
    """One line that shows how a field was read: name, units, ranges and lengths of its axes."""
    units = {str(name): str(array.attrs["units"]) for name, array in ((field.name, field), *field.coords.items())}
    shown = {name: "" if unit == "1" else f" {unit}" for name, unit in units.items()}
    axes = [
        f"{d} {field[d].values[0]:g} to {field[d].values[-1]:g}{shown[str(d)]} ({field.sizes[d]})" for d in field.dims
    ]
    unit = f" in{shown[str(field.name)]}" if shown[str(field.name)] else ""
    return f"{field.name}{unit} over {', '.join(axes)}{'' if any(shown.values()) else '; no units'}"


def _contents(path: str | PathLike[str]) -> xr.Dataset | dict[str, np.ndarray]:
    """What a file holds: a Dataset whose times are called `time`, or the arrays of an .npz file, where they are `t`."""
    file = existing_file(path)
    if file.suffix.lower() == ".npy":
        raise FileError(
            "An array alone does not say where and when its pixels are.",
            got=str(file),
            wanted="netCDF, or .npz with t, x (y, z) and u",
            fix=f"u = numpy.load({file.name!r}), then {WRITE_NPZ}",
        )
    try:
        if file.suffix.lower() == ".npz":
            with file.open("rb") as stream:
                arrays = dict(np.load(stream, allow_pickle=False))
            return arrays if "t" in arrays else {"t" if k == "time" else k: a for k, a in arrays.items()}
        with file.open("rb") as stream:
            classic = stream.read(3) == b"CDF"
        # Times stay the numbers that the file holds, in the unit it names.
        with xr.open_dataset(file, engine="scipy" if classic else "h5netcdf", decode_times=False) as dataset:
            return _with_times(dataset.load())
    except Exception as error:  # a damaged file makes the libraries that read it raise almost anything
        raise FileError(
            "The file could not be read as a field.",
            got=f"{file}: {error}",
            wanted="netCDF, or .npz with t, x (y, z) and u",
            fix=f"write it with field.to_netcdf(path) or {WRITE_NPZ}",
        ) from error


def _with_times(dataset: xr.Dataset) -> xr.Dataset:
    if "t" in dataset.dims and "time" not in {*dataset.dims, *dataset.variables}:
        dataset = dataset.rename(t="time")
    if "time" in dataset.coords:
        # The day from which dates count is no part of the unit of a rate.
        unit, since, _ = str(dataset["time"].attrs.get("units", "1")).partition(" since ")
        if since:
            dataset["time"].attrs["units"] = unit
    return dataset


def _only_variable(found: xr.Dataset | dict[str, np.ndarray]) -> str:
    """The name of the only array that may be a video, or `u`."""
    if isinstance(found, xr.Dataset):
        arrays = [n for n in found.data_vars if found[n].ndim > 1 and not str(n).endswith("_sd")]
        timed = [n for n in arrays if "time" in found[n].dims]
        names = timed or arrays
    else:
        names = [n for n in found if n not in AXES and found[n].ndim > 1]
    return str(names[0]) if len(names) == 1 else "u"


def _of(
    found: xr.Dataset | dict[str, np.ndarray], name: str, path: str | PathLike[str], *, called: str
) -> xr.DataArray:
    """The variable of this name, as a field whose dimensions are understood."""
    if not isinstance(found, xr.Dataset):
        return _from_npz(found, name, called)
    if name not in found.data_vars:
        raise FileError(
            "The file has no such variable.",
            got=", ".join(f"{n} over {found[n].dims}" for n in found.data_vars) or "no variable",
            wanted=name,
            fix="name one with --variable, or read_field(path, variable)",
        )
    new = renaming(found[name].dims)
    if new:
        raise FieldError(
            "The dimensions of the field are not understood.",
            got=found[name].dims,
            wanted="time, x; time, y, x; or time, z, y, x, in any order",
            fix=f"xarray.open_dataset({Path(path).name!r}).rename({new}).to_netcdf('renamed.nc'), if these are they",
        )
    return found[name].rename(called)


def _from_npz(arrays: dict[str, np.ndarray], name: str, called: str) -> xr.DataArray:
    absent = [key for key in ("t", "x", name) if key not in arrays]
    if absent:
        raise FileError(
            f"The .npz file lacks {', '.join(absent)}.",
            got=", ".join(f"{key} {list(array.shape)}" for key, array in sorted(arrays.items())) or "no arrays",
            wanted=f"t, x (y, z) and {name}",
            fix=WRITE_NPZ if name == "u" else f"numpy.savez(path, t=t, x=x, {name}={name}), or name another array",
        )
    axes = {k: arrays[k].ravel() for k in AXES if k in arrays}
    shape, values = tuple(a.size for a in axes.values()), arrays[name]
    if values.shape != shape and values.T.shape == shape:
        values = values.T
    return make_field(values, name=called, t=axes["t"], x=axes["x"], y=axes.get("y"), z=axes.get("z"))
