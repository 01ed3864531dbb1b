"""Maps -> panels of a figure, each with its axes, its unit, and a colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayespde.results.figures.style import SMALL, new_figure, new_panels
from bayespde.results.typeset import axis_title, map_unit, math_text, unit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Inches next to a map: tick labels on both sides and the colour bar.
TICKS_AND_BAR = 0.8
# Inches of the side of a frame, however few there are.
LARGEST_MAP = 2.0


@dataclass(frozen=True, eq=False)
class Panel:
    """One map, or a row of maps: values, title, limits of the colours, and colours; a signed map has diverging ones."""

    values: xr.DataArray
    title: str
    signed: bool = False
    limits: tuple[float, float] | None = None
    colours: str = "viridis"


def grid_of_maps(panels: Sequence[Panel], field: xr.DataArray, *, width: float, columns: int) -> Figure:
    """Maps in rows of `columns`, with a colour bar each; only the outer axes are labelled."""
    rows = -(-len(panels) // columns)
    vertical, horizontal = field.dims[-2:]
    extent = edges(field, horizontal) + edges(field, vertical)
    shape = 0.85 if field.ndim == 2 else (extent[3] - extent[2]) / (extent[1] - extent[0])
    figure = new_figure(width, rows * (max(0.6, width / columns - TICKS_AND_BAR) * min(1.6, max(0.4, shape)) + 0.6))
    for i, (axes, panel) in enumerate(zip(new_panels(figure, len(panels), columns), panels, strict=True)):
        drawn = draw_map(axes, panel, field)
        axes.set(xlim=extent[:2], ylim=extent[2:], aspect="auto" if field.ndim == 2 else "equal")
        bar = figure.colorbar(
            drawn, cax=axes.inset_axes((1.04, 0, 0.06, 1)), extend="both" if panel.signed else "neither"
        )
        bar.ax.set_title(map_unit(panel.values, field), fontsize=SMALL - 1, loc="left", pad=9 if panel.signed else 5)
        bar.ax.tick_params(labelsize=SMALL - 1)
        bar.ax.locator_params(nbins=5)
        axes.set_title(panel.title, fontsize=SMALL, loc="left")
        if i + columns >= len(panels):
            axes.set_xlabel(axis_title(field, horizontal), fontsize=SMALL)
        if i % columns == 0:
            axes.set_ylabel(axis_title(field, vertical), fontsize=SMALL)
    return figure


def rows_of_frames(parts: Sequence[Panel], field: xr.DataArray, *, width: float) -> Figure:
    """A row per part, a column per frame, one colour bar per row; `field` gives name, units and times."""
    frames = list(field["time"].values)
    extent = edges(field, "x") + edges(field, "y")
    height = min(1.6, max(0.4, (extent[3] - extent[2]) / (extent[1] - extent[0])))
    side = min(0.75 * width / len(frames), LARGEST_MAP)
    figure = new_figure(width, len(parts) * (side * height + 0.12) + 0.5)
    grid = figure.subplots(len(parts), len(frames), squeeze=False, sharex=True, sharey=True)
    for line, panel in zip(grid, parts, strict=True):
        for axes, time in zip(line, frames, strict=True):
            frame = panel.values.sel(time=time, method="nearest")
            drawn = draw_map(axes, replace(panel, values=frame), field)
            axes.set_aspect("equal")
        line[0].set_ylabel(panel.title, fontsize=SMALL)
        bar = figure.colorbar(drawn, ax=list(line), shrink=0.9, aspect=14, extend="both" if panel.signed else "neither")
        bar.ax.tick_params(labelsize=SMALL - 1)
        bar.set_label(f"{math_text(str(field.name))}{unit_text(str(field.attrs.get('units', '1')))}", fontsize=SMALL)
    for axes, frame in zip(grid[0], field, strict=True):
        axes.set_title(at_time(frame), fontsize=SMALL)
    figure.supxlabel(axis_title(field, "x"), fontsize=SMALL)
    figure.supylabel(axis_title(field, "y"), fontsize=SMALL)
    return figure


def draw_map(axes: Axes, panel: Panel, field: xr.DataArray) -> Any:
    """Draw one map; missing pixels are grey."""
    vertical, horizontal = field.dims[-2:]
    image = panel.values.transpose(vertical, horizontal)
    low, high = panel.limits or (around_zero(image) if panel.signed else (None, None))
    axes.set_facecolor("0.8")
    axes.tick_params(labelsize=SMALL - 1)
    axes.locator_params(nbins=4)
    return axes.imshow(
        image.values,
        origin="lower",
        extent=edges(image, horizontal) + edges(image, vertical),
        aspect="auto",
        cmap="RdBu_r" if panel.signed else panel.colours,
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )


def around_zero(values: xr.DataArray) -> tuple[float, float]:
    """Symmetric limits of colours at the 99.5th percentile, so that a few outliers do not pale all others."""
    finite = np.abs(values.values[np.isfinite(values.values)])
    end = (float(np.quantile(finite, 0.995)) if finite.size else 1.0) or 1.0
    return -end, end


def edges(image: xr.DataArray, dim: Any) -> tuple[float, float]:
    """Outer edges of the first and last pixel along `dim`."""
    positions = image[dim].values
    half = abs(positions[1] - positions[0]) / 2
    return float(positions[0] - half), float(positions[-1] + half)


def at_time(frame: xr.DataArray | xr.Dataset) -> str:
    """The time of a frame, with its unit."""
    return f"$t$ = {float(frame['time']):.3g}{unit_text(str(frame['time'].attrs.get('units', '1')))}"
