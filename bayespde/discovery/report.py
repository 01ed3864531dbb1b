"""A run folder, or a discovery -> one HTML page about it."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.files import new_file
from bayespde.core.posterior import Posterior
from bayespde.discovery.finished import posterior_file
from bayespde.forecasting.skill import pareto_front_with_forecast_error
from bayespde.results.figures import middle_slice
from bayespde.results.inference_data import load
from bayespde.results.report.data import DataSummary, ForecastSummary, ReportData
from bayespde.smooth.differentiate import derivative_frames
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.run_folder import (
    FORECAST,
    OBSERVED,
    check_belong,
    read_forecast,
    read_observed,
    read_record,
    read_smooth,
)

if TYPE_CHECKING:
    from bayespde.discovery.discovery import Discovery

PAGE = "report.html"
# Where `bayespde forecast` writes by default, in the folder of a run.
FORECASTS = "forecast"
# Frames of a video that are shown.
FRAMES = 4
SAME_TIME = 1e-6
NO_FORECAST = "No frames were held out or forecast: discover(..., holdout_frames=20), or bayespde forecast."
COUPLED = "Coupled equations are forecast together: CoupledDiscovery.forecast_holdout()."


@validated
def report(
    found: Discovery | str | PathLike[str], path: str | PathLike[str] | None = None, *, title: str | None = None
) -> Path:
    """Write one HTML page about a discovery, with every picture inside: it can be sent around as it is.

    It holds the equation with its probability, diagnostics, inclusion probabilities, coefficients, Pareto front,
    tempering schedule, checks, maps of the field and its derivatives, forecasts where there are any, and provenance.
    What a folder does not hold is left out, and the page says why.

    Args:
        found: What `discover` returned, or the folder of a run.
        path: Where to; `report.html` in the folder of the run by default.
        title: Heading of the page.

    Returns:
        The file.

    Raises:
        FileError: If the folder has no posterior, a file cannot be read back, or the page cannot be written.
        ConfigError: If there is neither a folder nor a path.
    """
    from bayespde.results.report.page import render

    folder = Path(found) if isinstance(found, str | PathLike) else found.folder
    if path is None and folder is None:
        raise ConfigError(
            "There is no path to write the report to.",
            got="a discovery without a folder",
            wanted="a path",
            fix="report(found, 'report.html')",
        )
    file = Path(path) if path is not None else Path(folder or "") / PAGE
    with new_file(file) as stream:
        data = _of_folder(Path(found), title) if isinstance(found, str | PathLike) else _of_discovery(found, title)
        stream.write(render(data).encode())
    return file


def _of_folder(folder: Path, title: str | None) -> ReportData:
    posterior = load(posterior_file(folder))
    smooth = read_smooth(folder / "smooth.nc") if (folder / "smooth.nc").is_file() else None
    if smooth is not None:
        check_belong(posterior, smooth)
    forecasts, reason = _forecasts(folder, posterior, smooth)
    own = forecasts.get(folder)
    front = _front(posterior, smooth, None if own is None or posterior.library.coupled_variables else own.observed)
    absent = {"data": "The folder has no smooth.nc: maps need the smoothed field.", "forecasts": reason}
    data = None if smooth is None else _summary(smooth)
    return ReportData(posterior, data, _flattened(forecasts.values()), read_record(folder), front, absent, title)


def _of_discovery(found: Discovery, title: str | None) -> ReportData:
    forecasts: tuple[ForecastSummary, ...] = ()
    if found.folder is not None:
        forecasts = tuple(_forecasts(found.folder, found.posterior, found.smooth)[0].values())
    is_coupled = bool(found.posterior.library.coupled_variables)
    if not is_coupled and found.holdout is not None and not any(f.scores is not None for f in forecasts):
        ahead, scores = found.forecast_holdout()
        forecasts = (ForecastSummary(ahead, found.holdout, scores), *forecasts)
    record = {} if found.folder is None else read_record(found.folder)
    front = _front(found.posterior, found.smooth, None if is_coupled else found.holdout)
    absent = {"forecasts": COUPLED if is_coupled else NO_FORECAST}
    data = _summary(found.smooth)
    return ReportData(found.posterior, data, _flattened(forecasts), record, front, absent, title)


def _front(posterior: Posterior, smooth: SmoothField | None, holdout: xr.DataArray | None) -> xr.Dataset | None:
    """Complexity against error, and the error of each equation on held-out frames; None if there are none."""
    if smooth is None or holdout is None:
        return None
    try:
        return pareto_front_with_forecast_error(posterior, smooth, holdout)
    except StatisticsError:
        return None


def _summary(smooth: SmoothField) -> DataSummary:
    field = smooth.field
    count = field.sizes["time"]
    frames = range(count) if field.ndim == 2 else np.unique(np.linspace(0, count - 1, FRAMES).round().astype(int))
    chosen = [int(f) for f in frames]
    return DataSummary(
        observed=middle_slice(field.isel(time=chosen)),
        derivatives=middle_slice(derivative_frames(smooth, chosen)),
        sizes={str(d): int(n) for d, n in field.sizes.items()},
        missing=float(np.isnan(field.values).mean()),
        noise_scale=smooth.noise_scale,
        about=smooth.summary(),
    )


def _forecasts(
    folder: Path, posterior: Posterior, smooth: SmoothField | None
) -> tuple[dict[Path, ForecastSummary], str]:
    """Forecasts of a run folder that belong to its posterior, by place; if there are none, why."""
    reason, found = NO_FORECAST, {}
    for place in (folder, folder / FORECASTS):
        if not (place / FORECAST).is_file():
            continue
        ahead = read_forecast(place / FORECAST)
        if _belongs(ahead, posterior, smooth):
            found[place] = _with_observed(ahead, place / OBSERVED)
        else:
            reason = "The forecast in the folder is that of an earlier discovery."
    return found, reason


def _belongs(ahead: xr.Dataset, posterior: Posterior, smooth: SmoothField | None) -> bool:
    """Whether a forecast was made from this posterior, and is of later times."""
    made_by = (ahead.attrs.get("field"), ahead.attrs.get("posterior"))
    if made_by != (posterior.library.variable, posterior.identity):
        return False
    return smooth is None or float(ahead["time"][0]) > float(smooth.field["time"][-1])


def _with_observed(ahead: xr.Dataset, file: Path) -> ForecastSummary:
    """With the observations at its times, and scores, if the file has them."""
    if not file.is_file():
        return ForecastSummary(ahead)
    observed = read_observed(file)
    clock, times = observed["time"].values, ahead["time"].values
    if clock.shape != times.shape or np.abs(clock - times).max() > SAME_TIME * np.abs(times).max():
        return ForecastSummary(ahead)
    return ForecastSummary(ahead, observed["observed"].rename(ahead.attrs["field"]), observed.drop_vars("observed"))


def _flattened(forecasts: Iterable[ForecastSummary]) -> tuple[ForecastSummary, ...]:
    return tuple(
        ForecastSummary(middle_slice(f.forecast), None if f.observed is None else middle_slice(f.observed), f.scores)
        for f in forecasts
    )
