"""Answers -> figures: one function draws one result as a Matplotlib `Figure`, without global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayespde.core.errors import FieldError, FileError
from bayespde.core.field import check_field
from bayespde.core.files import atomic_path
from bayespde.core.posterior import Posterior
from bayespde.results.typeset import axis_title, map_unit, math_text, unit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
SMALL, NORMAL = 8, 9
WIDTH = 7.0
LARGEST = 40
FORMATS = {".png", ".pdf", ".svg", ".eps"}


@dataclass(frozen=True, eq=False)
class _Panel:
    """One map: values, title, whether they are signed, and limits of the colours."""

    values: xr.DataArray
    title: str
    signed: bool = False
    limits: tuple[float, float] | None = None


def plot_inclusion(posterior: Posterior) -> Figure:
    """Draw the inclusion probability of each term, the sampler's beside the exact one where both exist.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        Horizontal bars, most probable term first, forty at most; whiskers are one Monte Carlo
        standard error to either side.
    """
    probability = posterior.inclusion_probability
    order = np.argsort(-probability.values, kind="stable")[:LARGEST]
    figure = _figure(0.7 * WIDTH, 1.0 + 0.24 * len(order))
    axes, rows = figure.add_subplot(), np.arange(len(order))
    sampled = posterior.inclusion_estimate("rao_blackwell")[order]
    error = posterior.inclusion_error.values[order]
    whisker = error if np.isfinite(error).all() else None
    exact = posterior.exact is not None
    label = "exact (enumeration)" if exact else "sequential Monte Carlo"
    axes.barh(rows, probability.values[order], height=0.66, color=BLUE, label=label)
    style: dict[str, Any] = {"fmt": "none", "color": "black", "label": "standard error"}
    if exact:
        style = {"fmt": "o", "ms": 4.5, "mfc": "white", "color": ORANGE, "label": "sequential Monte Carlo"}
    if exact or whisker is not None:
        axes.errorbar(sampled, rows, xerr=whisker, capsize=2.5, **style)
    axes.axvline(0.5, color=GREY, lw=0.8, ls="--", zorder=0)
    axes.set_yticks(rows, [math_text(str(probability["term"].values[i])) for i in order])
    axes.set(xlim=(0, 1.03), ylim=(len(order) - 0.4, -0.6))
    _label(
        axes,
        x="inclusion probability (dimensionless)",
        y="term" if len(order) == probability.size else f"term ({LARGEST} of {probability.size})",
    )
    axes.legend(fontsize=SMALL, frameon=False, loc="lower right")
    return figure


def plot_pareto(front: xr.Dataset) -> Figure:
    """Draw complexity against cross-validated error, with the front connected and its equations listed below.

    Args:
        front: What `pareto_front` returned.

    Returns:
        A figure of two panels: the plot (log error; whiskers are plus and minus one standard error between
        blocks), and the equations of the front by number, the selected one in colour.
    """
    best = front.isel(equation=np.flatnonzero(front["on_front"].values))
    chosen = front.isel(equation=np.flatnonzero(front["selected"].values))
    figure = _figure(WIDTH, 3.4 + 0.21 * best.sizes["equation"])
    axes, key = figure.subplots(2, 1, height_ratios=[3.2, 0.05 + 0.21 * best.sizes["equation"]])
    axes.plot(
        front["complexity"],
        front["cross_validated_error"],
        "o",
        ms=3.5,
        color=GREY,
        alpha=0.5,
        label="candidate",
    )
    line = {"fmt": "o-", "ms": 5, "lw": 1.4, "capsize": 2.5, "color": BLUE, "label": "front"}
    axes.errorbar(best["complexity"], best["cross_validated_error"], yerr=_log_whiskers(best), **line)
    ring = {"ms": 12, "mfc": "none", "mec": ORANGE, "mew": 1.8, "ls": "none"}
    axes.plot(chosen["complexity"], chosen["cross_validated_error"], marker="o", label="most probable", **ring)
    axes.set_yscale("log")
    axes.margins(x=0.06, y=0.14)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _label(axes, x="complexity (dimensionless)", y="cross-validated error\n(rms relative to the target)")
    axes.legend(fontsize=SMALL, frameon=False, loc="upper right")
    _list_equations(axes, key, best)
    _shrink_to_fit(figure, key)
    return figure


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


def save_figure(figure: Figure, path: str | PathLike[str]) -> tuple[Path, ...]:
    """Write a figure whole or not at all, without a date, so that the same figure gives the same file.

    Args:
        figure: Any Matplotlib figure.
        path: Ending in `.png`, `.pdf`, `.svg` or `.eps`; without an ending both `.png` and `.pdf` are
            written.

    Returns:
        The files written.

    Raises:
        FileError: If the ending is unknown or the path cannot be written.
    """
    import matplotlib

    base = Path(path)
    files = (base,) if base.suffix else (base.with_suffix(".png"), base.with_suffix(".pdf"))
    if not {f.suffix.lower() for f in files} <= FORMATS:
        raise FileError(
            "The figure format is unknown.",
            got=base.suffix,
            wanted=", ".join(sorted(FORMATS)),
            fix="figure.png",
        )
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    for file in files:
        with (
            atomic_path(file) as temporary,
            matplotlib.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "bayespde"}),
        ):
            figure.savefig(temporary, dpi=300, metadata=undated.get(file.suffix.lower()))
    return files


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _label(axes: Axes, *, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _log_whiskers(front: xr.Dataset) -> np.ndarray:
    """Lower and upper error, `[2, N]`; the lower end stays positive for the logarithmic axis."""
    error, sd = front["cross_validated_error"].values, front["cross_validated_error_sd"].values
    return np.stack([np.minimum(sd, 0.9 * error), sd])


def _list_equations(axes: Axes, key: Axes, best: xr.Dataset) -> None:
    """Number the points of the front and write their equations below."""
    key.set_axis_off()
    count = best.sizes["equation"]
    for i in range(count):
        point = best.isel(equation=i)
        colour = ORANGE if bool(point["selected"]) else "black"
        where = (float(point["complexity"]), float(point["cross_validated_error"]))
        axes.annotate(str(i + 1), where, xytext=(7, 6), textcoords="offset points", fontsize=SMALL, color=colour)
        text = f"{i + 1}:  {math_text(str(point['text'].values))}"
        line = key.text(
            0, 1 - (i + 0.5) / count, text, transform=key.transAxes, fontsize=SMALL, va="center", color=colour
        )
        line.set_in_layout(False)


def _shrink_to_fit(figure: Figure, axes: Axes) -> None:
    """Make the letters of texts that would leave the figure smaller: long equations neither squeeze plots nor end."""
    figure.draw_without_rendering()
    for text in axes.texts:
        extent = text.get_window_extent()
        text.set_fontsize(text.get_fontsize() * min(1.0, (figure.bbox.x1 - extent.x0) / (1.03 * extent.width)))


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
    figure = _figure(WIDTH, rows * (0.68 * WIDTH / columns * min(1.6, max(0.4, shape)) + 0.6))
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
    if panel.signed:
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
