"""Values and coordinates of a field -> the same, or an error that names the fault and the line that mends it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.annotations import LARGEST, SMALLEST
from bayespde.core.errors import FieldError

MINIMUM_SAMPLES = 5
MAXIMUM_MISSING = 0.3


def checked_coordinate(field: xr.DataArray, dim: str) -> xr.DataArray:
    """Return a coordinate as float64.

    Raises:
        FieldError: If it is absent, not numbers, too short, or not evenly spaced.
    """
    if dim not in field.coords:
        raise FieldError(
            f"The dimension {dim!r} has no coordinate.",
            got="no coordinate",
            wanted="positions in physical units",
            fix=f"field.assign_coords({dim}=...)",
        )
    if field[dim].dtype.kind not in "iuf":
        raise FieldError(
            f"The coordinate {dim!r} does not hold real numbers.",
            got=field[dim].dtype,
            wanted="positions or times as numbers, their unit in attrs['units']",
            fix=f"field.assign_coords({dim}=...), for dates the seconds since the first frame",
        )
    coordinate = field[dim].astype(np.float64)
    steps = np.diff(coordinate.values)
    if coordinate.size < MINIMUM_SAMPLES:
        raise FieldError(
            f"The field is too short along {dim!r}.",
            got=f"{coordinate.size} samples",
            wanted=f"at least {MINIMUM_SAMPLES}; forty or more for a trustworthy answer",
            fix="record or keep more frames" if dim == "time" else "crop less",
        )
    if not np.all(np.isfinite(coordinate.values)) or not np.all(steps > 0):
        raise FieldError(
            f"The coordinate {dim!r} is not strictly increasing.",
            got=f"steps from {steps.min():g} to {steps.max():g}",
            wanted="finite, strictly increasing values",
            fix=f"field.sortby({dim!r}) and drop duplicates",
        )
    if np.ptp(steps) > 1e-3 * steps.mean():
        raise FieldError(
            f"The coordinate {dim!r} is not evenly spaced.",
            got=f"steps from {steps.min():g} to {steps.max():g}",
            wanted="even spacing to one part in a thousand",
            fix=f"field.interp({dim}=numpy.linspace(...)); interpolation correlates the noise",
        )
    return coordinate


def check_decoded(field: xr.DataArray) -> None:
    """Refuse values by which a file marks missing pixels, of a field that was read without decoding them."""
    marks = [np.asarray(field.attrs[key]) for key in ("_FillValue", "missing_value") if key in field.attrs]
    marks = [mark for mark in marks if mark.dtype.kind in "iuf"]
    if any(np.isin(field.values, mark).any() for mark in marks):
        raise FieldError(
            "Missing pixels of the field are marked by a number.",
            got=f"{marks[0]} at some pixels, as its attributes say",
            wanted="NaN",
            fix="xarray.decode_cf(field.to_dataset(name='u'))['u']",
        )


def check_values(field: xr.DataArray) -> None:
    """Check the values of a field whose coordinates are.

    Raises:
        FieldError: If they are infinite or too large, do not vary, or too many are missing.
    """
    values = field.values
    _check_sizes(field)
    missing = np.isnan(values)
    empty = np.flatnonzero(missing.reshape(len(values), -1).all(axis=1))
    if empty.size:
        raise FieldError(
            "Whole frames have no value.",
            got=f"frames {empty[:8].tolist()}{' ...' if empty.size > 8 else ''} are NaN",
            wanted="some pixels in every frame",
            fix="drop them at either end with field.isel(time=slice(...)); split the video at a gap",
        )
    if missing.mean() > MAXIMUM_MISSING:
        raise FieldError(
            "Too many pixels are missing.",
            got=f"{missing.mean():.0%} NaN",
            wanted=f"at most {MAXIMUM_MISSING:.0%}",
            fix="crop the field to where it was observed",
        )
    if np.nanstd(values) <= max(1e-12 * np.nanmax(np.abs(values)), SMALLEST):
        raise FieldError(
            "The field is constant.",
            got=f"u = {np.nanmean(values):g} everywhere",
            wanted="a field that changes",
            fix="check that the right channel was read",
        )


def _check_sizes(field: xr.DataArray) -> None:
    """Refuse infinite values, and numbers that are too large to be squared."""
    values = field.values
    if np.any(np.isinf(values)):
        raise FieldError(
            "The field has infinite values.",
            got=f"{np.isinf(values).sum()} of them",
            wanted="finite values or NaN",
            fix="mark bad pixels as NaN",
        )
    if (
        max(np.nanmax(np.abs(array), initial=0.0) for array in (values, *(field[d].values for d in field.dims)))
        > LARGEST
    ):
        raise FieldError(
            "The field has numbers that are too large to be squared.",
            got=f"|u| up to {np.nanmax(np.abs(values)):g}",
            wanted=f"values and coordinates up to {LARGEST:g}",
            fix="another unit: field / 1e150, or field.assign_coords(x=field.x / 1e150)",
        )
