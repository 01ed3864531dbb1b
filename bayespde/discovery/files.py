"""A discovery -> files: equations, inclusion probabilities, Pareto front, derivatives, figures, forecasts."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.files import write_text
from bayespde.core.netcdf import write_netcdf
from bayespde.discovery.coupled import CoupledDiscovery
from bayespde.discovery.discovery import Discovery
from bayespde.forecasting.coupled import select_field
from bayespde.results import figures
from bayespde.results.diagnose import diagnose
from bayespde.results.errors_in_variables import format_estimates
from bayespde.results.forecast_verification import format_scores
from bayespde.smooth.differentiate import differentiate
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.run_folder import FORECAST, OBSERVED


def write_results(found: Discovery, folder: str | PathLike[str]) -> dict[str, Path]:
    """Write equations, inclusion probabilities, the Pareto front, derivatives and three figures: path by content.

    Raises:
        FileError: If the folder cannot be written.
    """
    folder, posterior = Path(folder), found.posterior
    front, derivatives = found.pareto_front(), differentiate(found.smooth)
    texts = [format_estimates(posterior, found.equations()), str(diagnose(posterior)), found.smooth.summary() + "\n"]
    contents = {
        "equations.txt": "\n\n".join(texts),
        "inclusion.csv": posterior.inclusion_probability.to_series().rename("probability").to_csv(),
        "pareto.csv": front.to_dataframe().to_csv(),
        "derivatives.nc": derivatives,
    }
    drawn = {
        "inclusion.png": figures.plot_inclusion(posterior),
        "pareto.png": figures.plot_pareto(front),
        "field.png": figures.plot_field(figures.middle_slice(found.smooth.field), figures.middle_slice(derivatives)),
    }
    paths = {name: _write(content, folder / name) for name, content in contents.items()}
    return paths | {name: figures.save_figure(figure, folder / name)[0] for name, figure in drawn.items()}


def write_derivatives(smooth: SmoothField, file: Path, *, space: int = 2, time: int = 1) -> list[Path]:
    """Write derivatives of a smoothed field as netCDF, and a figure of them next to it.

    Raises:
        FileError: If a file cannot be written.
    """
    found = differentiate(smooth, space=space, time=time)
    _write(found, file)
    shown = figures.middle_slice(found[[str(n) for n in found.data_vars if not str(n).endswith("_sd")]])
    figure = figures.plot_derivatives(shown, figures.middle_slice(smooth.field))
    return [file, *figures.save_figure(figure, file.with_suffix(".png"))]


def forecast_times(until: float, frames: int, smooth: SmoothField, observed: xr.DataArray | None) -> np.ndarray:
    """Times of a forecast: those of the observed frames after the smoothed field, or evenly spaced ones.

    Raises:
        ConfigError: If there are none.
    """
    last = float(smooth.field["time"][-1])
    is_later = last < until < np.inf
    times = np.linspace(last, until if is_later else last, max(frames, 0) + 1)[1:]
    if observed is not None:
        clock = observed["time"].values
        times = clock[(clock > last) & (clock <= until)]
    if not (is_later and len(times)):
        raise ConfigError(
            "There is no time to forecast.",
            got=f"{len(times)} frames until {until:g}",
            wanted=f"1 or more, until a time after {last:g}",
            fix=f"a time such as {last + float(np.ptp(smooth.field['time'].values)) / 2:g}",
        )
    return times


def write_forecast(
    ahead: xr.Dataset,
    folder: str | PathLike[str],
    observed: xr.DataArray | None = None,
    scores: xr.Dataset | None = None,
    *,
    animation: str = "gif",
) -> tuple[list[Path], str]:
    """Write a forecast, an animation of it and, if there are any, its scores and a figure of them.

    Args:
        ahead: What `forecast` returned.
        folder: Output folder; made if absent.
        observed: Frames at the forecast times.
        scores: What `verify_forecast` returned for both.
        animation: `gif`, `mp4` or `none`.

    Returns:
        The files, and a summary of a line or two.

    Raises:
        FileError: If a file cannot be written.
    """
    folder, shown = Path(folder), "z" not in ahead.dims
    for name in (OBSERVED, "scores.csv", "scores.png"):
        # Those of an earlier forecast would be taken for scores of this one.
        (folder / name).unlink(missing_ok=True)
    paths = [_write(ahead, folder / FORECAST, "forecast")]
    shown = shown and bool((ahead["blow_up_time"] > ahead["time"][0]).any())
    if shown:
        paths += figures.save_figure(figures.plot_forecast(ahead, observed), folder / "forecast.png")
    if shown and animation != "none":
        paths.append(figures.animate_forecast(ahead, folder / f"forecast.{animation}", observed))
    diverged = float(ahead.attrs["fraction_diverged"])
    text = f"{ahead.sizes['draw']} draws, boundary {ahead.attrs['boundary']}; {diverged:.0%} of them diverged"
    if stopped_by := ahead.attrs.get("stopped_by"):
        text += f"; from a posterior that was cut short ({stopped_by})"
    if scores is not None:
        paths.append(_write(scores.to_dataframe().to_csv(), folder / "scores.csv"))
        paths += figures.save_figure(figures.plot_scores(scores), folder / "scores.png")
        text += "\n" + format_scores(scores)
    if observed is not None and scores is not None:
        # With the scores, for later figures.
        at_times = observed.reindex(time=ahead["time"], method="nearest").assign_coords(time=scores["time"])
        paths.append(_write(scores.assign(observed=at_times), folder / OBSERVED, "observed"))
    return paths, text


def write_coupled_forecast(found: CoupledDiscovery, folder: Path, *, seed: int) -> str:
    """Forecast the held-out frames of coupled fields, and write each field into its folder.

    Returns:
        A summary for each.

    Raises:
        FileError: If a file cannot be written.
    """
    ahead, scores = found.forecast_holdout(seed=seed)
    lines = []
    for name, part in found.parts.items():
        _, text = write_forecast(select_field(ahead, name), folder / name, part.holdout, scores[name])
        lines.append(f"\nheld-out frames of {name}: {text}\n  {folder / name}")
    return "\n".join(lines)


def _write(content: str | xr.Dataset, path: Path, kind: str = "derivatives") -> Path:
    """Write a text, or a dataset as netCDF of a kind, whole or not at all."""
    if isinstance(content, str):
        write_text(path, content)
    else:
        write_netcdf(content, path, kind)
    return path
