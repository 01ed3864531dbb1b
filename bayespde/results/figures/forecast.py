"""Forecasts -> figures and animations."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayespde.core.annotations import Count, Positive, Share
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError, FileError
from bayespde.core.files import new_file
from bayespde.results.figures import style
from bayespde.results.figures.panels import Panel, around_zero, at_time, draw_map, rows_of_frames
from bayespde.results.forecast_verification import Forecast, band, observed_at
from bayespde.results.typeset import axis_title, math_text, unit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


@validated
def plot_forecast(
    forecast: Forecast,
    observed: xr.DataArray | None = None,
    *,
    frames: Count = 4,
    level: Share = 0.9,
    width: Positive = style.PAGE,
) -> Figure:
    """Draw a forecast at some times, and the observed frames.

    Args:
        forecast: What `bayespde.forecast` returned, of one or two space dimensions.
        observed: Observed frames at the same times, if there are any.
        frames: Number of times, evenly spaced.
        level: Probability of the bands.
        width: Of the figure, inches.

    Returns:
        One space dimension: a panel per time with the mean and the band of the field, without and with the noise of
        pixels. Two: rows for the mean, the observed frames, the difference of the two, and the standard deviation.

    Raises:
        ConfigError: If there are three space dimensions, a setting is out of range, or `observed` has other times or
            places.
    """
    drawn, noise = _reached(forecast), float(forecast.attrs["noise_scale"])
    drawn = drawn.isel(time=np.unique(np.linspace(0, drawn.sizes["time"] - 1, frames).round().astype(int)))
    times = drawn["time"].values
    observed = None if observed is None else observed_at(observed, drawn)
    if drawn.ndim == 3:
        columns = style.columns_within(width, 2)
        figure = style.new_figure(width, 2.3 * -(-len(times) // columns))
        panels = style.new_panels(figure, len(times), columns, shared=True)
        for axes, time in zip(panels, times, strict=True):
            _line(axes, drawn.sel(time=time), _at(observed, time), noise, level)
            axes.label_outer()
        style.legend_above(figure)
        return figure
    _check_flat(drawn)
    return rows_of_frames(_rows(drawn, observed), drawn.isel(draw=0, drop=True), width=width)


def _rows(drawn: xr.DataArray, observed: xr.DataArray | None) -> list[Panel]:
    """Mean over draws, observed frames, their difference, and the standard deviation between draws."""
    mean, sd, limits = drawn.mean("draw"), drawn.std("draw"), _limits(drawn)
    spread = Panel(sd, "sd", limits=(0.0, float(sd.max()) or 1.0), colours="magma")
    expected = Panel(mean, "forecast", limits=limits)
    if observed is None:
        return [expected, spread]
    apart = observed.copy(data=observed.values - mean.values)
    difference = Panel(apart, "difference", signed=True, limits=around_zero(apart))
    return [expected, Panel(observed, "observed", limits=limits), difference, spread]


@validated
def animate_forecast(
    forecast: Forecast, path: str | PathLike[str], observed: xr.DataArray | None = None, *, rate: Count = 12
) -> Path:
    """Write a forecast as an animation.

    Args:
        forecast: What `bayespde.forecast` returned, of one or two space dimensions.
        path: Ending in `.gif`, or in `.mp4` where ffmpeg is installed.
        observed: Observed frames at the same times, if there are any.
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
            fix="forecast.gif",
        )
    drawn, noise = _reached(forecast), float(forecast.attrs["noise_scale"])
    observed = None if observed is None else observed_at(observed, drawn)
    figure = style.new_figure(style.PAGE, 3.2)
    draw = _moving_line(figure, drawn, observed, noise) if drawn.ndim == 3 else _moving_maps(figure, drawn, observed)
    with new_file(file) as stream:
        film = FuncAnimation(figure, draw, frames=drawn.sizes["time"], blit=False)
        stream.attempt(lambda: _save(film, stream.path, writer=writer, fps=rate, dpi=110))
    return file


def _save(film: Any, path: Path, **settings: Any) -> None:
    try:
        film.save(path, **settings)
    except CalledProcessError as error:
        raise OSError(f"{error.cmd[0]} could not write it") from error


def _moving_line(figure: Figure, drawn: xr.DataArray, observed: xr.DataArray | None, noise: float) -> Any:
    axes, limits = figure.subplots(), _limits(drawn)

    def draw(k: int) -> list[Any]:
        axes.clear()
        time = float(drawn["time"][k])
        _line(axes, drawn.isel(time=k), _at(observed, time), noise, 0.9)
        axes.set_ylim(limits)
        axes.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
        return []

    return draw


def _moving_maps(figure: Figure, drawn: xr.DataArray, observed: xr.DataArray | None) -> Any:
    _check_flat(drawn)
    parts = {"forecast": drawn.mean("draw", keep_attrs=True), "observed": observed}
    shown = {name: values for name, values in parts.items() if values is not None}
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    limits = _limits(drawn)

    def draw(k: int) -> list[Any]:
        time = float(drawn["time"][k])
        for axes, (name, values) in zip(panels, shown.items(), strict=True):
            axes.clear()
            frame = values.sel(time=time, method="nearest")
            draw_map(axes, Panel(frame, name, limits=limits), drawn.isel(draw=0))
            axes.set_aspect("equal")
            axes.set_title(f"{name}, {at_time(drawn.isel(time=k))}", fontsize=style.SMALL)
            axes.set_xlabel(axis_title(drawn, "x"), fontsize=style.SMALL)
            axes.set_ylabel(axis_title(drawn, "y"), fontsize=style.SMALL)
        return []

    return draw


def _line(axes: Axes, draws: xr.DataArray, observed: xr.DataArray | None, noise: float, level: float) -> None:
    """Mean and bands over the last dimension, without and with the noise of a pixel, and the observed frame."""
    place, draws = draws.dims[-1], draws.dropna("draw")
    x, unit = draws[place].values, unit_text(str(draws.attrs.get("units", "1")))
    if noise:
        blurred = draws + noise * np.random.default_rng(0).standard_normal(draws.shape)
        low, high = band(blurred, level)
        axes.fill_between(x, low, high, color=style.BLUE, alpha=0.12, lw=0, label="with the noise of a pixel")
    low, high = band(draws, level)
    axes.fill_between(x, low, high, color=style.BLUE, alpha=0.4, lw=0, label=f"{level:.0%} of the draws")
    axes.plot(x, draws.mean("draw").values, color=style.BLUE, lw=1.0, label="mean")
    if observed is not None:
        axes.plot(x, observed.values, ".", ms=2.5, color=style.ORANGE, label="observed")
    axes.set_title(at_time(draws), fontsize=style.SMALL)
    style.label_axes(axes, x=axis_title(draws, place), y=f"{math_text(str(draws.name))}{unit}")


def _at(observed: xr.DataArray | None, time: float) -> xr.DataArray | None:
    return None if observed is None else observed.sel(time=time, method="nearest")


def _reached(forecast: xr.Dataset) -> xr.DataArray:
    """The frames that at least one draw reached."""
    drawn = forecast[forecast.attrs["field"]]
    reached = np.isfinite(drawn.values).reshape(*drawn.shape[:2], -1).all(axis=2).any(axis=0)
    if not reached.any():
        raise ConfigError(
            "There is no frame to draw.",
            got="draws that all diverged before the first time",
            wanted="a frame of one draw",
            fix="forecast earlier times, or look at bayespde.diagnose(posterior)",
        )
    return drawn.isel(time=np.flatnonzero(reached))


def _limits(drawn: xr.DataArray) -> tuple[float, float]:
    """Limits of colours and axes: the range of the mean, and 5 % on either side."""
    middle = drawn.mean("draw")
    low, high = float(middle.min()), float(middle.max())
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _check_flat(drawn: xr.DataArray) -> None:
    if drawn.ndim > 4:
        raise ConfigError(
            "Forecasts in three space dimensions cannot be drawn.",
            got=f"dims {drawn.dims}",
            wanted="one or two space dimensions",
            fix="forecast.isel(z=0)",
        )
