"""A discovery -> what people look at: equations, inclusion probabilities, Pareto front, derivatives, three figures."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.files import atomic_path
from bayespde.discovery.coupled import CoupledDiscovery
from bayespde.discovery.discovery import Discovery
from bayespde.forecasting.coupled import select_field
from bayespde.results.diagnose import diagnose
from bayespde.results.errors_in_variables import format_estimates
from bayespde.results.forecast_verification import format_scores
from bayespde.smooth.differentiate import differentiate
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.run_folder import OBSERVED, PREDICTION


def write_results(found: Discovery, folder: str | PathLike[str]) -> dict[str, Path]:
    """Write what people look at: equations, inclusion probabilities, the Pareto front, derivatives, and three figures.

    Args:
        found: A discovery.
        folder: Where to; made if absent.

    Returns:
        Path by content.

    Raises:
        FileError: If the folder cannot be written.
    """
    from bayespde.results.figures import middle_slice, plot_field, plot_inclusion, plot_pareto, save_figure

    folder = Path(folder)
    front = found.pareto_front()
    derivatives = differentiate(found.smooth)
    ranked = found.equations()
    texts = {
        "equations.txt": "\n\n".join(
            [
                format_estimates(found.posterior, ranked),
                str(diagnose(found.posterior)),
                found.smooth.summary() + "\n",
            ]
        ),
        "inclusion.csv": found.posterior.inclusion_probability.to_series().rename("probability").to_csv(),
        "pareto.csv": front.to_dataframe().to_csv(),
    }
    paths = {}
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths[name] = folder / name
    with atomic_path(folder / "derivatives.nc") as temporary:
        derivatives.to_netcdf(temporary, engine="h5netcdf")
    paths["derivatives.nc"] = folder / "derivatives.nc"
    figures = {
        "inclusion.png": plot_inclusion(found.posterior),
        "pareto.png": plot_pareto(front),
        "field.png": plot_field(middle_slice(found.smooth.field), middle_slice(derivatives)),
    }
    for name, figure in figures.items():
        save_figure(figure, folder / name)
        paths[name] = folder / name
    return paths


def forecast_times(until: float, frames: int, smooth: SmoothField, came: xr.DataArray | None) -> np.ndarray:
    """Times to predict: those of the frames that came after the smooth field, or evenly spaced ones.

    Raises:
        ConfigError: If there are none.
    """
    last = float(smooth.field["time"][-1])
    times = np.linspace(last, until, max(frames, 0) + 1)[1:]
    if came is not None:
        clock = came["time"].values
        times = clock[(clock > last) & (clock <= until)]
    if not (until > last and len(times)):
        raise ConfigError(
            "There is nothing to predict.",
            got=f"{len(times)} frames until {until:g}",
            wanted=f"1 or more, until a time after {last:g}",
            fix=f"a time such as {last + float(np.ptp(smooth.field['time'].values)) / 2:g}",
        )
    return times


def write_forecast(
    prediction: xr.Dataset,
    folder: str | PathLike[str],
    came: xr.DataArray | None = None,
    scores: xr.Dataset | None = None,
    *,
    animation: str = "gif",
) -> tuple[list[Path], str]:
    """Write a prediction, an animation of it and, if there are any, scores and a figure of them.

    Args:
        prediction: What `forecast` returned.
        folder: Where to; made if absent.
        came: Frames at the predicted times.
        scores: What `verify_forecast` says of both.
        animation: `gif`, `mp4` or `none`.

    Returns:
        The files, and what there is to say in a line or two.

    Raises:
        FileError: If a file cannot be written.
    """
    from bayespde.results.figures import animate_forecast, plot_forecast, plot_scores, save_figure

    folder, shown = Path(folder), "z" not in prediction.dims
    paths = [folder / PREDICTION]
    with atomic_path(paths[0]) as temporary:
        prediction.to_netcdf(temporary, engine="h5netcdf")
    shown = shown and bool((prediction["ended"] > prediction["time"][0]).any())
    if shown:
        paths += save_figure(plot_forecast(prediction, came), folder / "forecast.png")
    if shown and animation != "none":
        paths.append(animate_forecast(prediction, folder / f"forecast.{animation}", came))
    ended = float(prediction.attrs["fraction_diverged"])
    text = f"{prediction.sizes['draw']} draws, {prediction.attrs['boundary']} in space; {ended:.0%} of them ended early"
    if scores is not None:
        with atomic_path(folder / "scores.csv") as temporary:
            temporary.write_text(scores.to_dataframe().to_csv(), encoding="utf-8")
        paths += [folder / "scores.csv", *save_figure(plot_scores(scores), folder / "scores.png")]
        text += "\n" + format_scores(scores)
    if came is not None and scores is not None:
        paths.append(_write_observed(prediction, came, scores, folder / OBSERVED))
    return paths, text


def _write_observed(prediction: xr.Dataset, came: xr.DataArray, scores: xr.Dataset, path: Path) -> Path:
    """The frames that came at the predicted times, with the scores, for whoever draws them later."""
    at_times = came.reindex(time=prediction["time"], method="nearest").assign_coords(time=scores["time"])
    with atomic_path(path) as temporary:
        scores.assign(observed=at_times).to_netcdf(temporary, engine="h5netcdf")
    return path


def write_coupled_forecast(found: CoupledDiscovery, folder: Path, *, seed: int) -> str:
    """Foretell the frames of a system that were held out, and write what there is of each field into its folder.

    Returns:
        What there is to say of each.

    Raises:
        FileError: If a file cannot be written.
    """
    prediction, scores = found.forecast_holdout(seed=seed)
    said = []
    for name, part in found.parts.items():
        _, text = write_forecast(select_field(prediction, name), folder / name, part.holdout, scores[name])
        said.append(f"\nof the frames of {name} that were held out: {text}\n  {folder / name}")
    return "\n".join(said)
