"""SMOOTH FIELD -> DATASET OF DERIVATIVES, with names, units and standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import xarray as xr

from bayespde.core.annotations import Order, Orders
from bayespde.core.checked import validated
from bayespde.core.one_order import in_one_order
from bayespde.core.scales import derivative_unit
from bayespde.core.terms import derivative_name
from bayespde.smooth.smooth_field import SmoothField


@validated
@in_one_order
def differentiate(
    smooth: SmoothField, *, space: Order = 2, time: Order = 1, deviations: bool | None = None
) -> xr.Dataset:
    """Evaluate the field and its derivatives on the grid of the data.

    Args:
        smooth: The smooth field.
        space: Highest total order of space derivatives, mixed ones included.
        time: Highest order of time derivatives.
        deviations: Whether standard deviations are computed; by default for the spline only. Those of neural fields
            take some milliseconds per pixel: `smooth.at_points` gives them at a few.

    Returns:
        Variables `u`, `u_t`, `u_x`, `u_xx`, `u_xy`, ... and `<name>_sd` (NaN where the pixel is missing); field dims,
        float64, physical units in attrs.

    Raises:
        ConfigError: If an order is negative or above 6, or standard deviations are asked for of networks that were
            fitted without their uncertainty.
    """
    wanted = _wanted(space, time, len(smooth.dims) - 1)
    has_deviations = smooth.chosen == "spline" if deviations is None else deviations
    spreads = smooth.standard_deviation(wanted) if has_deviations else None
    return _dataset(smooth, smooth.field, wanted, smooth.evaluate_all(wanted), spreads)


def derivative_frames(smooth: SmoothField, frames: Sequence[int], *, space: int = 2, time: int = 1) -> xr.Dataset:
    """Evaluate the field and its derivatives at some frames only, for figures of long videos.

    Args:
        smooth: The smooth field.
        frames: Indices of the frames.
        space: Highest total order of space derivatives, mixed ones included.
        time: Highest order of time derivatives.

    Returns:
        As `differentiate`, without standard deviations.
    """
    wanted = _wanted(space, time, len(smooth.dims) - 1)
    return _dataset(smooth, smooth.field.isel(time=list(frames)), wanted, smooth.evaluate_frames(wanted, frames))


def _dataset(
    smooth: SmoothField, field: xr.DataArray, wanted: list[Orders], means: np.ndarray, spreads: np.ndarray | None = None
) -> xr.Dataset:
    """Derivatives on the grid of a field, with names and units; standard deviations are NaN at missing pixels."""
    dims = smooth.dims
    dataset = xr.Dataset(coords={d: field[d] for d in dims}, attrs={"smoother": smooth.chosen})
    for k, orders in enumerate(wanted):
        name = derivative_name(str(field.name), orders, dims)
        unit = {"units": derivative_unit(name, field)}
        dataset[name] = (dims, means[k], unit)
        if spreads is not None:
            dataset[f"{name}_sd"] = (dims, np.where(np.isnan(field.values), np.nan, spreads[k]), unit)
    return dataset


def _wanted(space: int, time: int, axes: int) -> list[Orders]:
    """The value, derivatives in time, and those in space, the lowest orders first."""
    none = (0,) * axes
    spatial = (o for o in product(range(space + 1), repeat=axes) if 0 < sum(o) <= space)
    ordered = sorted(spatial, key=lambda o: (sum(o), o))
    return [(0, *none), *((t, *none) for t in range(1, time + 1)), *((0, *o) for o in ordered)]
