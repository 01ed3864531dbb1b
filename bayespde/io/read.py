"""A file -> a checked field, or an error that says what to write into the file; a field -> how it was read."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import overload

import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.errors import BayespdeError, ConfigError, FileError
from bayespde.core.field import is_variable_name, validate_field, validate_fields
from bayespde.core.files import existing_file
from bayespde.io.formats import Contents, by_magic, by_suffix, readable
from bayespde.io.npz import WRITE_NPZ


@overload
def read_field(path: str | PathLike[str], variable: str | None = None) -> xr.DataArray: ...
@overload
def read_field(path: str | PathLike[str], *, variables: Sequence[str]) -> xr.Dataset: ...
@validated
def read_field(
    path: str | PathLike[str], variable: str | None = None, *, variables: Sequence[str] | None = None
) -> xr.DataArray | xr.Dataset:
    """Read a field, or coupled fields, from netCDF or from an .npz file with arrays `t`, `x` (`y`, `z`) and `u`.

    Args:
        path: A `.nc` file, or a `.npz` file; object arrays are refused, so no code is ever run.
        variable: Name of the variable; by default the only one that has a time dimension, or `u`.
        variables: Names of coupled fields, two or more, in place of `variable`.

    Returns:
        A checked field, called `u` if its name cannot be used in a term; with `variables` a Dataset of checked fields.
        `t` is taken for `time`. Dates are the numbers in the file and their unit, without the day from which they
        count. In an .npz file `u` may be stored as `[time, x]` or `[x, time]`, if the lengths tell which.

    Raises:
        ConfigError: If `variable` and `variables` are both given, or `variables` is a text.
        FileError: If the file is not readable, or has no such variable.
        FieldError: If a field is not usable, or coupled fields do not share their grid.
    """
    if variables is None:
        found = _open(path)
        name = variable or (found.candidates[0] if len(found.candidates) == 1 else "u")
        return validate_field(found.field(name, called=name if is_variable_name(name) else "u"))
    if variable is not None:
        raise ConfigError(
            "The variables to read are not clear.",
            got=f"variable={variable!r}, variables={variables!r}",
            wanted="the name of one field, or a list of the names of coupled fields",
            fix="read_field(path, 'u'), or read_field(path, variables=['u', 'v'])",
        )
    found = _open(path)
    fields = xr.Dataset({name: found.field(name, called=name) for name in variables})
    return xr.Dataset({str(field.name): field for field in validate_fields(fields)})


def describe_field(field: xr.DataArray) -> str:
    """Name, units, ranges and lengths of the axes of a checked field."""
    units = {str(name): str(array.attrs["units"]) for name, array in ((field.name, field), *field.coords.items())}
    shown = {name: "" if unit == "1" else f" {unit}" for name, unit in units.items()}
    axes = [
        f"{d} {field[d].values[0]:g} to {field[d].values[-1]:g}{shown[str(d)]} ({field.sizes[d]})" for d in field.dims
    ]
    unit = f" in{shown[str(field.name)]}" if shown[str(field.name)] else ""
    return f"{field.name}{unit} over {', '.join(axes)}{'' if any(shown.values()) else '; no units'}"


def _open(path: str | PathLike[str]) -> Contents:
    """What the file holds, read by the module of its format."""
    file = existing_file(path)
    try:
        found = by_suffix(file) or by_magic(file)
        if found is None:
            raise ValueError("neither its suffix nor its first bytes are those of a known format")
        return found.load().read(file)
    except BayespdeError:
        raise
    except Exception as error:  # a damaged file makes the libraries that read it raise almost anything
        raise FileError(
            "The file could not be read as a field.",
            got=f"{file}: {error}",
            wanted=readable(),
            fix=f"write it with field.to_netcdf(path) or {WRITE_NPZ}",
        ) from error
