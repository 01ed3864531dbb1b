"""A field and its derivatives -> maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import xarray as xr

from bayespde.core.annotations import MANY, MadeBy, Positive, Range
from bayespde.core.checked import validated
from bayespde.core.errors import FieldError
from bayespde.core.field import validate_field
from bayespde.results.figures.panels import Panel, around_zero, at_time, grid_of_maps, rows_of_frames
from bayespde.results.figures.style import PAGE, columns_within
from bayespde.results.typeset import math_text, unit_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Slice = TypeVar("Slice", xr.DataArray, xr.Dataset)
Video = Annotated[xr.DataArray, MadeBy("bayespde.make_field(values, t=t, x=x)", ("time", "x"))]
Derivatives = Annotated[xr.Dataset, MadeBy("bayespde.differentiate(smooth)", ("time", "x"))]


@validated
def plot_field(
    field: Video,
    derivatives: Derivatives,
    *,
    frames: Sequence[Annotated[int, Range(-MANY, MANY)]] | None = None,
    width: Positive = PAGE,
) -> Figure:
    """Draw the field and its derivatives as maps, each with its unit.

    Args:
        field: A checked field, dims `time, x` or `time, y, x`.
        derivatives: On a grid: `u`, `u_t`, `u_x`, ...; variables ending in `_sd` are not drawn.
        frames: For a field with two space dimensions: indices of the frames to draw, by default four evenly
            spaced; derivatives are drawn at the second of two or more, at the only one otherwise.
        width: Of the figure, inches.

    Returns:
        For one space dimension: maps over x and time. For two: a row of frames, then the derivatives at one
        time.

    Raises:
        FieldError: If the field has three space dimensions, a frame does not exist, or the derivatives are
            scattered.
    """
    field = validate_field(field)
    names = _drawn(derivatives, field)
    if field.ndim > 3 or any(set(derivatives[n].dims) != set(field.dims) for n in names):
        raise FieldError(
            "Maps need one or two space dimensions and derivatives on a grid.",
            got=f"field {field.dims}, derivatives {tuple(derivatives.dims)}",
            wanted="(time, x) or (time, y, x), the same for both",
            fix="take a slice, for example field.isel(z=0)",
        )
    time, unit = field["time"].values, unit_text(field["time"].attrs["units"])
    if field.ndim == 2:
        panels = [Panel(field, math_text(str(field.name)))]
        panels += [Panel(derivatives[n], math_text(n), signed=True) for n in names]
        return grid_of_maps(panels, field, width=width, columns=columns_within(width, min(3, len(panels))))
    shown = _frames(field, frames)
    limits = (float(field.min()), float(field.max()))
    panels = [
        Panel(field.isel(time=i), f"{math_text(str(field.name))}, $t$ = {time[i]:.3g}{unit}", limits=limits)
        for i in shown
    ]
    middle = derivatives.sel(time=time[shown[min(1, len(shown) - 1)]], method="nearest")
    at = f", $t$ = {float(middle['time']):.3g}{unit}"
    panels += [Panel(middle[n], math_text(n) + at, signed=True) for n in names]
    return grid_of_maps(panels, field, width=width, columns=columns_within(width, max(2, len(shown))))


@validated
def plot_smoothing(observed: Video, smooth: Video, *, width: Positive = PAGE) -> Figure:
    """Draw the observed field, the smoothed field, and the residual.

    Args:
        observed: Dims `time, x`, or `time, y, x` with a few frames; with units.
        smooth: The same, smoothed.
        width: Of the figure, inches.

    Returns:
        Maps of both and of their difference: side by side for one space dimension, else a row each, a column per frame.
    """
    name = observed.name
    residual = (observed - smooth).rename(name).assign_attrs(observed.attrs)
    limits = (float(np.nanmin(observed)), float(np.nanmax(observed)))
    parts = [
        Panel(observed, "observed", limits=limits),
        Panel(smooth.rename(name).assign_attrs(observed.attrs), "smoothed", limits=limits),
        Panel(residual, "residual", signed=True, limits=around_zero(residual)),
    ]
    if observed.ndim == 2:
        return grid_of_maps(parts, observed, width=width, columns=columns_within(width, 3))
    return rows_of_frames(parts, observed, width=width)


@validated
def plot_derivatives(derivatives: Derivatives, field: Video, *, width: Positive = PAGE) -> Figure:
    """Draw derivatives alone.

    Args:
        derivatives: On a grid; `u` itself and variables ending in `_sd` are not drawn.
        field: Their field: name and units.
        width: Of the figure, inches.

    Returns:
        Maps over x and time, or over x and y at the middle one of the frames.
    """
    names = _drawn(derivatives, field)
    if field.ndim == 2:
        panels = [Panel(derivatives[n], math_text(n), signed=True) for n in names]
    else:
        middle = derivatives.isel(time=derivatives.sizes["time"] // 2)
        panels = [Panel(middle[n], f"{math_text(n)}, {at_time(middle)}", signed=True) for n in names]
    return grid_of_maps(panels, field, width=width, columns=columns_within(width, min(3, len(panels))))


@validated
def middle_slice(values: Slice) -> Slice:
    """The middle slice along z, as maps have two dimensions; values without z are returned as they are."""
    return values.isel(z=values.sizes["z"] // 2, drop=True) if "z" in values.dims else values


def _drawn(derivatives: xr.Dataset, field: xr.DataArray) -> list[str]:
    """Names of the derivatives, without the field and standard deviations."""
    return [str(n) for n in derivatives.data_vars if not str(n).endswith("_sd") and str(n) != field.name]


def _frames(field: xr.DataArray, frames: Sequence[int] | None) -> list[int]:
    count = field.sizes["time"]
    if frames is None:
        return [int(i) for i in np.linspace(0, count - 1, 4).round()]
    if not len(frames) or not all(-count <= f < count for f in frames):
        raise FieldError(
            "There is no such frame.", got=list(frames), wanted=f"indices below {count}", fix="frames=[0, 10]"
        )
    return [int(f) % count for f in frames]
