"""A field and its derivatives -> maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr

from bayespde.core.errors import FieldError
from bayespde.core.field import check_field
from bayespde.results.figures.style import SMALL, WIDTH, new_figure
from bayespde.results.typeset import axis_title, map_unit, math_text, unit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Slice = TypeVar("Slice", xr.DataArray, xr.Dataset)


@dataclass(frozen=True, eq=False)
class _Panel:
    """One map: values, title, whether they are signed, and limits of the colours."""

    values: xr.DataArray
    title: str
    signed: bool = False
    limits: tuple[float, float] | None = None


def plot_field(field: xr.DataArray, derivatives: xr.Dataset, *, frames: Sequence[int] | None = None) -> Figure:
    """Draw the field and its derivatives as maps, each with its unit.

    Args:
        field: A checked field, dims `time, x` or `time, y, x`.
        derivatives: On a grid: `u`, `u_t`, `u_x`, ...; variables ending in `_sd` are not drawn.
        frames: For a field with two space dimensions: indices of the frames to draw, by default four evenly
            spaced; derivatives are drawn at the second of two or more, at the only one otherwise.

    Returns:
        For one space dimension: maps over x and time. For two: a row of frames, then the derivatives at one
        time.

    Raises:
        FieldError: If the field has three space dimensions, a frame does not exist, or the derivatives are
            scattered.
    """
    field = check_field(field)
    names = [str(n) for n in derivatives.data_vars if not str(n).endswith("_sd") and str(n) != field.name]
    if field.ndim > 3 or any(set(derivatives[n].dims) != set(field.dims) for n in names):
        raise FieldError(
            "Maps need one or two space dimensions and derivatives on a grid.",
            got=f"field {field.dims}, derivatives {tuple(derivatives.dims)}",
            wanted="(time, x) or (time, y, x), the same for both",
            fix="take a slice, for example field.isel(z=0)",
        )
    time, unit = field["time"].values, unit_text(field["time"].attrs["units"])
    if field.ndim == 2:
        panels = [_Panel(field, math_text(str(field.name)))]
        return _maps([*panels, *(_Panel(derivatives[n], math_text(n), signed=True) for n in names)], field, columns=3)
    shown = _frames(field, frames)
    limits = (float(field.min()), float(field.max()))
    panels = [
        _Panel(field.isel(time=i), f"{math_text(str(field.name))}, $t$ = {time[i]:.3g}{unit}", limits=limits)
        for i in shown
    ]
    middle = derivatives.sel(time=time[shown[min(1, len(shown) - 1)]], method="nearest")
    at = f", $t$ = {float(middle['time']):.3g}{unit}"
    panels += [_Panel(middle[n], math_text(n) + at, signed=True) for n in names]
    return _maps(panels, field, columns=min(4, max(2, len(shown))))


def plot_smoothing(observed: xr.DataArray, smooth: xr.DataArray) -> Figure:
    """Draw what was observed, what was made of it, and what was left out.

    Args:
        observed: Dims `time, x`, or `time, y, x` with a few frames; with units.
        smooth: The same, smooth.

    Returns:
        Maps of both and of their difference: side by side for one space dimension, else a row each, a column per frame.
    """
    left = observed - smooth
    low, high = float(np.nanmin(observed)), float(np.nanmax(observed))
    spread = float(np.nanquantile(np.abs(left), 0.995)) or 1.0
    parts = {
        "observed": (observed, (low, high)),
        "smooth": (smooth, (low, high)),
        "left out": (left, (-spread, spread)),
    }
    if observed.ndim == 2:
        named = [_Panel(v.assign_attrs(observed.attrs), n, n == "left out", at) for n, (v, at) in parts.items()]
        return _maps([replace(p, values=p.values.rename(observed.name)) for p in named], observed, columns=3)
    return _rows_of_frames(parts, observed)


def plot_derivatives(derivatives: xr.Dataset, field: xr.DataArray) -> Figure:
    """Draw derivatives alone.

    Args:
        derivatives: On a grid; `u` itself and variables ending in `_sd` are not drawn.
        field: Of which they are: name and units.

    Returns:
        Maps over x and time, or over x and y at the middle one of the frames.
    """
    names = [str(n) for n in derivatives.data_vars if not str(n).endswith("_sd") and str(n) != field.name]
    if field.ndim == 2:
        panels = [_Panel(derivatives[n], math_text(n), signed=True) for n in names]
    else:
        middle = derivatives.isel(time=derivatives.sizes["time"] // 2)
        panels = [_Panel(middle[n], f"{math_text(n)}, {_at(middle)}", signed=True) for n in names]
    return _maps(panels, field, columns=3)


def middle_slice(values: Slice) -> Slice:
    """The middle slice along z of what has three space dimensions, all else as it is; maps are flat."""
    return values.isel(z=values.sizes["z"] // 2, drop=True) if "z" in values.dims else values


def _at(frame: xr.DataArray | xr.Dataset) -> str:
    return f"$t$ = {float(frame['time']):.3g}{unit_text(str(frame['time'].attrs.get('units', '1')))}"


def _rows_of_frames(parts: dict[str, tuple[xr.DataArray, tuple[float, float]]], observed: xr.DataArray) -> Figure:
    """A row per part, a column per frame, one bar of colours per row."""
    extent = _extent(observed, "x") + _extent(observed, "y")
    height = min(1.6, max(0.4, (extent[3] - extent[2]) / (extent[1] - extent[0])))
    figure = new_figure(WIDTH, 3 * 0.75 * WIDTH / observed.sizes["time"] * height + 0.7)
    grid = figure.subplots(3, observed.sizes["time"], squeeze=False, sharex=True, sharey=True)
    for line, (name, (values, limits)) in zip(grid, parts.items(), strict=True):
        for axes, frame in zip(line, values, strict=True):
            drawn = _draw_map(axes, _Panel(frame, name, name == "left out", limits), observed)
            axes.set_aspect("equal")
            axes.tick_params(labelsize=SMALL - 1)
            axes.locator_params(nbins=4)
        line[0].set_ylabel(f"{name}\n{axis_title(observed, 'y')}", fontsize=SMALL)
        extend = "both" if name == "left out" else "neither"
        bar = figure.colorbar(drawn, ax=list(line), shrink=0.9, aspect=14, extend=extend)
        bar.ax.tick_params(labelsize=SMALL - 1)
        bar.set_label(f"{math_text(str(observed.name))}{unit_text(observed.attrs['units'])}", fontsize=SMALL)
    for axes, frame in zip(grid[0], observed, strict=True):
        axes.set_title(_at(frame), fontsize=SMALL)
    for axes in grid[-1]:
        axes.set_xlabel(axis_title(observed, "x"), fontsize=SMALL)
    return figure


def _frames(field: xr.DataArray, frames: Sequence[int] | None) -> list[int]:
    count = field.sizes["time"]
    if frames is None:
        return [int(i) for i in np.linspace(0, count - 1, 4).round()]
    if not len(frames) or not all(-count <= f < count for f in frames):
        raise FieldError(
            "There is no such frame.", got=list(frames), wanted=f"indices below {count}", fix="frames=[0, 10]"
        )
    return [int(f) % count for f in frames]


def _maps(panels: Sequence[_Panel], field: xr.DataArray, *, columns: int) -> Figure:
    """Maps in rows of `columns`, with a colour bar each; only the outer axes are labelled."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    vertical, horizontal = field.dims[-2:]
    extent = _extent(field, horizontal) + _extent(field, vertical)
    shape = 0.85 if field.ndim == 2 else (extent[3] - extent[2]) / (extent[1] - extent[0])
    figure = new_figure(WIDTH, rows * (0.68 * WIDTH / columns * min(1.6, max(0.4, shape)) + 0.6))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_axis_off()
    for i, panel in enumerate(panels):
        axes = grid.flat[i]
        drawn = _draw_map(axes, panel, field)
        axes.set(xlim=extent[:2], ylim=extent[2:], aspect="auto" if field.ndim == 2 else "equal")
        bar = figure.colorbar(
            drawn, cax=axes.inset_axes((1.04, 0, 0.06, 1)), extend="both" if panel.signed else "neither"
        )
        bar.ax.set_title(map_unit(panel.values, field), fontsize=SMALL - 1, loc="left", pad=9 if panel.signed else 5)
        bar.ax.tick_params(labelsize=SMALL - 1)
        bar.ax.locator_params(nbins=5)
        axes.set_title(panel.title, fontsize=SMALL, loc="left")
        axes.tick_params(labelsize=SMALL - 1)
        axes.locator_params(nbins=4)
        if i + columns >= len(panels):
            axes.set_xlabel(axis_title(field, horizontal), fontsize=SMALL)
        if i % columns == 0:
            axes.set_ylabel(axis_title(field, vertical), fontsize=SMALL)
    figure.draw_without_rendering()
    return figure


def _extent(image: xr.DataArray, dim: Any) -> tuple[float, float]:
    """Outer edges of the first and last pixel along `dim`."""
    positions = image[dim].values
    half = abs(positions[1] - positions[0]) / 2
    return float(positions[0] - half), float(positions[-1] + half)


def _draw_map(axes: Axes, panel: _Panel, field: xr.DataArray) -> Any:
    vertical, horizontal = field.dims[-2:]
    image = panel.values.transpose(vertical, horizontal)
    low, high = panel.limits or (None, None)
    if panel.signed and panel.limits is None:
        finite = np.abs(image.values[np.isfinite(image.values)])
        high = (float(np.quantile(finite, 0.995)) if finite.size else 1.0) or 1.0
        low = -high
    axes.set_facecolor("0.8")
    return axes.imshow(
        image.values,
        origin="lower",
        extent=_extent(image, horizontal) + _extent(image, vertical),
        aspect="auto",
        cmap="RdBu_r" if panel.signed else "viridis",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
