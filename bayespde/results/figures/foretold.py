"""Predicted frames and their scores -> figures and animations."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError, FileError
from bayespde.core.files import atomic_path
from bayespde.results.figures.style import BLUE, GREEN, GREY, ORANGE, SMALL, WIDTH, label_axes, new_figure
from bayespde.results.foretold import band
from bayespde.results.typeset import axis_title, math_text, unit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


def plot_prediction(
    prediction: xr.Dataset, observed: xr.DataArray | None = None, *, frames: int = 4, level: float = 0.9
) -> Figure:
    """Draw what was predicted at some times, and what came.

    Args:
        prediction: What `predict` returned, of one or two space dimensions.
        observed: Frames at the same times, if they have come.
        frames: How many times, evenly spaced.
        level: Probability of the bands.

    Returns:
        One space dimension: a panel per time with the mean and the band of the field, without the noise of pixels. Two:
        rows for the mean, what came, and the standard deviation.

    Raises:
        ConfigError: If there are three space dimensions.
    """
    drawn, noise = _lasting(prediction), float(prediction.attrs["noise_scale"])
    times = drawn["time"].values[np.unique(np.linspace(0, drawn.sizes["time"] - 1, frames).round().astype(int))]
    if drawn.ndim == 3:
        figure = new_figure(WIDTH, 2.3 * -(-len(times) // 2))
        panels = figure.subplots(-(-len(times) // 2), 2, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, time in zip(panels, times, strict=False):
            _line(axes, drawn.sel(time=time), _came(observed, time), noise, level)
        for axes in panels[len(times) :]:
            axes.set_axis_off()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=SMALL)
        return figure
    _check_flat(drawn)
    parts = {"mean": drawn.mean("draw"), "came": observed, "sd": drawn.std("draw")}
    rows = {name: values for name, values in parts.items() if values is not None}
    figure = new_figure(WIDTH, 1.9 * len(rows))
    grid = figure.subplots(len(rows), len(times), squeeze=False, sharex=True, sharey=True)
    limits = _limits(drawn)
    for line, (name, values) in zip(grid, rows.items(), strict=True):
        own = name == "sd"
        shown = {"cmap": "magma", "vmin": 0.0, "vmax": float(values.max())} if own else {"cmap": "viridis", **limits}
        for axes, time in zip(line, times, strict=True):
            image = _map(axes, values.sel(time=time, method="nearest"), shown)
            axes.set_title(f"{name}, {_at(drawn, time)}", fontsize=SMALL)
        figure.colorbar(image, ax=list(line), shrink=0.8).ax.tick_params(labelsize=SMALL)
    return figure


def plot_scores(scores: xr.Dataset) -> Figure:
    """Draw errors and coverage by horizon.

    Args:
        scores: What `score_prediction` returned.

    Returns:
        Two panels: root mean square errors of the law and of what needs none; coverage of pixels, and what it is to be.
    """
    figure = new_figure(WIDTH, 2.9)
    errors, cover = figure.subplots(1, 2)
    horizon = scores["horizon"].values
    lines = {
        "rmse": ("the law", BLUE),
        "persistence": ("the last frame stays", GREY),
        "constant_velocity": ("it moves on", GREEN),
    }
    for name, (label, colour) in lines.items():
        if name in scores:
            errors.plot(horizon, scores[name], color=colour, label=label, lw=1.4)
    errors.set_yscale("log")
    figure.legend(fontsize=SMALL, frameon=False, loc="outside upper center", ncols=3)
    units = (unit_text(str(a.get("units", "1"))).strip() for a in (scores["time"].attrs, scores.attrs))
    clock, unit = (text or "dimensionless" for text in units)
    label_axes(errors, x=f"horizon ({clock})", y=f"root mean square error ({unit})")
    cover.plot(horizon, scores["coverage"], color=BLUE, lw=1.4)
    cover.axhline(scores.attrs["level"], color=ORANGE, lw=1.0, ls="--")
    cover.set_ylim(0, 1.02)
    label_axes(cover, x=f"horizon ({clock})", y=f"pixels inside their {scores.attrs['level']:.0%} bands")
    return figure


def animate_prediction(
    prediction: xr.Dataset, path: str | PathLike[str], observed: xr.DataArray | None = None, *, rate: int = 12
) -> Path:
    """Write a prediction as an animation.

    Args:
        prediction: What `predict` returned, of one or two space dimensions.
        path: Ending in `.gif`, or in `.mp4` where ffmpeg is.
        observed: Frames at the same times, if they have come.
        rate: Frames per second.

    Returns:
        The file.

    Raises:
        FileError: If the ending is unknown, ffmpeg is missing, or the path cannot be written.
        ConfigError: If there are three space dimensions.
    """
    from matplotlib.animation import FuncAnimation, writers

    file = Path(path)
    writer = WRITERS.get(file.suffix.lower())
    if writer is None or not writers.is_available(writer):
        raise FileError(
            "The animation cannot be written in this format.",
            got=file.suffix or "no ending",
            wanted=".gif, or .mp4 with ffmpeg installed",
            fix="prediction.gif",
        )
    drawn, noise = _lasting(prediction), float(prediction.attrs["noise_scale"])
    figure = new_figure(WIDTH, 3.2)
    draw = _moving_line(figure, drawn, observed, noise) if drawn.ndim == 3 else _moving_maps(figure, drawn, observed)
    film = FuncAnimation(figure, draw, frames=drawn.sizes["time"], blit=False)
    with atomic_path(file) as temporary:
        film.save(temporary, writer=writer, fps=rate, dpi=110)
    return file


def _moving_line(figure: Figure, drawn: xr.DataArray, observed: xr.DataArray | None, noise: float) -> Any:
    axes, limits = figure.subplots(), _limits(drawn)

    def draw(k: int) -> list[Any]:
        axes.clear()
        time = float(drawn["time"][k])
        _line(axes, drawn.isel(time=k), _came(observed, time), noise, 0.9)
        axes.set_ylim(limits["vmin"], limits["vmax"])
        axes.legend(fontsize=SMALL, frameon=False, loc="upper right")
        return []

    return draw


def _moving_maps(figure: Figure, drawn: xr.DataArray, observed: xr.DataArray | None) -> Any:
    _check_flat(drawn)
    parts = {"predicted": drawn.mean("draw"), "came": observed}
    shown = {name: values for name, values in parts.items() if values is not None}
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    look = {"cmap": "viridis", **_limits(drawn)}

    def draw(k: int) -> list[Any]:
        time = float(drawn["time"][k])
        for axes, (name, values) in zip(panels, shown.items(), strict=True):
            axes.clear()
            _map(axes, values.sel(time=time, method="nearest"), look)
            axes.set_title(f"{name}, {_at(drawn, time)}", fontsize=SMALL)
        return []

    return draw


def _line(axes: Axes, draws: xr.DataArray, came: xr.DataArray | None, noise: float, level: float) -> None:
    """Mean and bands over the last dimension, without and with the noise of a pixel, and what came."""
    place, draws = draws.dims[-1], draws.dropna("draw")
    x, unit = draws[place].values, unit_text(str(draws.attrs.get("units", "1")))
    if noise:
        blurred = draws + noise * np.random.default_rng(0).standard_normal(draws.shape)
        low, high = band(blurred, level)
        axes.fill_between(x, low, high, color=BLUE, alpha=0.12, lw=0, label="with the noise of a pixel")
    low, high = band(draws, level)
    axes.fill_between(x, low, high, color=BLUE, alpha=0.4, lw=0, label=f"{level:.0%} of the draws")
    axes.plot(x, draws.mean("draw").values, color=BLUE, lw=1.0, label="mean")
    if came is not None:
        axes.plot(x, came.values, ".", ms=2.5, color=ORANGE, label="came")
    axes.set_title(_at(draws, float(draws["time"])), fontsize=SMALL)
    label_axes(axes, x=axis_title(draws, place), y=f"{math_text(str(draws.name))}{unit}")


def _map(axes: Axes, values: xr.DataArray, look: dict[str, Any]) -> Any:
    y, x = values.dims[-2:]
    extent = (float(values[x][0]), float(values[x][-1]), float(values[y][0]), float(values[y][-1]))
    axes.tick_params(labelsize=SMALL)
    return axes.imshow(values.values, origin="lower", extent=extent, interpolation="nearest", **look)


def _at(drawn: xr.DataArray, time: float) -> str:
    return f"$t$ = {time:.3g}{unit_text(str(drawn['time'].attrs.get('units', '1')))}"


def _came(observed: xr.DataArray | None, time: float) -> xr.DataArray | None:
    return None if observed is None else observed.sel(time=time, method="nearest")


def _lasting(prediction: xr.Dataset) -> xr.DataArray:
    """The frames to which any draw came."""
    drawn = prediction[prediction.attrs["field"]]
    came = np.isfinite(drawn.values).reshape(*drawn.shape[:2], -1).all(axis=2).any(axis=0)
    if not came.any():
        raise ConfigError(
            "There is nothing to draw.",
            got="draws that have all ended before the first time",
            wanted="a frame of one draw",
            fix="predict earlier times, or ask bayespde.diagnose about the posterior",
        )
    return drawn.isel(time=np.flatnonzero(came))


def _limits(drawn: xr.DataArray) -> dict[str, float]:
    """Of colours and axes: what the mean takes, and a little more."""
    middle = drawn.mean("draw")
    low, high = float(middle.min()), float(middle.max())
    return {"vmin": low - 0.05 * (high - low), "vmax": high + 0.05 * (high - low)}


def _check_flat(drawn: xr.DataArray) -> None:
    if drawn.ndim > 4:
        raise ConfigError(
            "Figures of predictions are flat.",
            got=f"dims {drawn.dims}",
            wanted="one or two space dimensions",
            fix="prediction.isel(z=0)",
        )
