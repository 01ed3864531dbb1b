"""Arrays -> a checked field: an `xarray.DataArray` with valid dims, coordinates, units and gaps."""

from __future__ import annotations

import hashlib
import keyword
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.annotations import NonNegative
from bayespde.core.arrays import as_array, check_real
from bayespde.core.checked import validated
from bayespde.core.errors import FieldError
from bayespde.core.field_values import check_decoded, check_values, checked_coordinate
from bayespde.core.random import checked_seed

AXIS_LETTER = {"time": "t", "z": "z", "y": "y", "x": "x"}
ALLOWED_DIMS = (("time", "x"), ("time", "y", "x"), ("time", "z", "y", "x"))


@validated
def make_field(
    values: Any,
    *,
    t: Any,
    x: Any,
    y: Any = None,
    z: Any = None,
    name: str = "u",
    units: Mapping[str, str] | None = None,
) -> xr.DataArray:
    """Build a checked field from plain arrays.

    Args:
        values: Real array, `[time, x]`, `[time, y, x]` or `[time, z, y, x]`; NaN marks missing pixels.
        t: Times, `[time]`, strictly increasing and evenly spaced, as every coordinate.
        x: Positions, `[x]`.
        y: Positions, `[y]`, for a field with two or three space dimensions.
        z: Positions, `[z]`, for a field with three space dimensions.
        name: Name of the variable, as in terms.
        units: Units by name, for example `{"u": "1", "time": "s", "x": "nm"}`; dimensionless if absent.

    Returns:
        A field that passed `validate_field`: float64, dims `(time, [z, [y,]] x)`.

    Raises:
        FieldError: If the shape does not match the coordinates, or the schema is violated.
    """
    coords = {d: _one_axis(c, d) for d, c in (("time", t), ("z", z), ("y", y), ("x", x)) if c is not None}
    array = as_array(values, name)
    shape = tuple(c.size for c in coords.values())
    if array.shape != shape:
        raise FieldError(
            "The values do not match the coordinates.",
            got=f"values {array.shape}, coordinates {dict(zip(coords, shape, strict=True))}",
            wanted="one axis per coordinate, in the order time, z, y, x",
            fix="transpose the values: u.T for an array stored as [x, time], numpy.moveaxis(u, -1, 0) for [y, x, time]",
        )
    field = xr.DataArray(array, dims=tuple(coords), coords=coords, name=name)
    set_units(field, units or {})
    return validate_field(field)


def _one_axis(values: Any, dim: str) -> np.ndarray:
    """A coordinate as `[n]`; it may be stored as a row or a column."""
    array = as_array(values, dim)
    if array.size != max(array.shape, default=1):
        raise FieldError(
            f"The coordinate {dim!r} is not one axis.",
            got=f"shape {array.shape}",
            wanted="[n]",
            fix=f"{dim}[0] of a grid of positions, or make_scattered for positions of single pixels",
        )
    return array.ravel()


def set_units(array: xr.DataArray, units: Mapping[str, str]) -> None:
    """Write units by name into an array and its coordinates; other names are a `FieldError`."""
    names = [str(array.name), *map(str, array.coords)]
    unknown = set(units) - set(names)
    if unknown:
        raise FieldError(
            "Units are given for unknown names.",
            got=sorted(unknown),
            wanted=", ".join(names),
            fix="remove them or check the spelling",
        )
    for key, unit in units.items():
        (array if key == array.name else array.coords[key]).attrs["units"] = unit


@validated
def validate_field(field: Any) -> xr.DataArray:
    """Return `field` as float64 in canonical dimension order, or raise an error that names the fault.

    Isolated NaN are missing pixels, at most 30 % of them; a frame without any value is an error.

    Args:
        field: A DataArray with dims `time, x`, `time, y, x` or `time, z, y, x`, in any order.

    Returns:
        The same data, float64, dims in that order, `units` on the values and on every coordinate ("1" if unknown).

    Raises:
        FieldError: If type, dims, coordinates, length, values or gaps are not usable.
    """
    if not isinstance(field, xr.DataArray):
        raise FieldError(
            "A field must be an xarray.DataArray.",
            got=type(field).__name__,
            wanted="a DataArray with dims such as ('time', 'y', 'x')",
            fix="bayespde.make_field(values, t=t, x=x)",
        )
    dims = next((d for d in ALLOWED_DIMS if sorted(d) == sorted(map(str, field.dims))), None)
    if dims is None:
        raise FieldError(
            "The dimensions of the field are not understood.",
            got=field.dims,
            wanted="one of " + ", ".join(map(str, ALLOWED_DIMS)),
            fix=f"field.rename({renaming(field.dims) or {'old': 'time'}}), if these are the dimensions",
        )
    check_real(field, "field")
    check_decoded(field)
    check_name(str(field.name or "u"))
    checked = field.transpose(*dims).astype(np.float64).drop_vars([c for c in field.coords if c not in dims])
    checked = checked.copy(deep=True).rename(field.name or "u")
    for dim in dims:
        checked = checked.assign_coords({dim: checked_coordinate(checked, dim)})
        checked[dim].attrs = {"units": str(field[dim].attrs.get("units", "1"))}
    checked.attrs = {"units": str(field.attrs.get("units", "1"))}
    check_values(checked)
    return checked


def validate_fields(fields: Any) -> list[xr.DataArray]:
    """Return the fields of a system as `validate_field` does, in the order given, or raise an error.

    Args:
        fields: A Dataset with one field for each variable, all on one grid.

    Returns:
        One checked field for each.

    Raises:
        FieldError: If it is no Dataset of two or more fields, a field is not usable, or their grids differ.
    """
    if not isinstance(fields, xr.Dataset) or len(fields.data_vars) < 2:
        raise FieldError(
            "A system must be a Dataset of its fields.",
            got=type(fields).__name__ if not isinstance(fields, xr.Dataset) else f"{len(fields.data_vars)} variables",
            wanted="an xarray.Dataset with two or more fields",
            fix="xarray.Dataset({'u': u, 'v': v})",
        )
    checked = [validate_field(fields[name]) for name in fields.data_vars]
    check_one_grid(checked)
    return checked


def check_one_grid(fields: Sequence[xr.DataArray]) -> None:
    """Raise a `FieldError` unless the fields, or frames, of a Dataset have the same dimensions in the same order."""
    for one in fields[1:]:
        if one.dims != fields[0].dims:
            raise FieldError(
                "The fields of a system do not share their grid.",
                got=f"{one.name} over {one.dims}, {fields[0].name} over {fields[0].dims}",
                wanted="one grid for all",
                fix="transpose them, or interpolate them onto one grid",
            )


def renaming(dims: Sequence[Hashable]) -> dict[str, str]:
    """New names for dimensions that are not understood, assumed to be in the order of the missing ones."""
    wanted = next((known for known in ALLOWED_DIMS if len(known) == len(dims)), ())
    unknown = [str(d) for d in dims if d not in wanted]
    return dict(zip(unknown, (d for d in wanted if d not in dims), strict=False))


def is_variable_name(name: str) -> bool:
    """Whether a variable of this name can be used in a term."""
    from bayespde.core.functions import FUNCTIONS

    is_word = isinstance(name, str) and re.fullmatch("[A-Za-z][A-Za-z0-9]*", name)
    return bool(is_word) and not (name in AXIS_LETTER or name == "t" or name in FUNCTIONS or keyword.iskeyword(name))


def check_name(name: str) -> None:
    """Raise a `FieldError` unless a variable of this name can be used in a term."""
    if not is_variable_name(name):
        raise FieldError(
            "The name of the field cannot be used in a term.",
            got=repr(name),
            wanted="letters and digits, the first a letter, not the name of an axis or a function",
            fix="field.rename('u')",
        )


def spacings(field: xr.DataArray) -> tuple[float, ...]:
    """Grid steps of a checked field, one per dimension, in the units of its coordinates."""
    return tuple(float((field[d].values[-1] - field[d].values[0]) / (field.sizes[d] - 1)) for d in field.dims)


def field_hash(field: xr.DataArray) -> str:
    """Sixteen hexadecimal digits that identify values, coordinates and dimension order."""
    digest = hashlib.sha256(repr(field.dims).encode())
    for array in (field.values, *(field[d].values for d in field.dims)):
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


@validated
def add_noise(field: xr.DataArray, level: NonNegative, *, seed: int) -> xr.DataArray:
    """Add independent Gaussian noise of standard deviation `level * std(u)`.

    Args:
        field: A checked field.
        level: Relative noise level, 0.1 for 10 %.
        seed: Non-negative integer.

    Returns:
        A new field of the same shape.

    Raises:
        ConfigError: If the seed is not a non-negative integer.
    """
    noise = np.random.default_rng(checked_seed(seed)).standard_normal(field.shape)
    return field.copy(data=field.values + level * float(field.std()) * noise)
