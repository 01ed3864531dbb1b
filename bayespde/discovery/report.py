"""A run folder, or a discovery -> one HTML page about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError, FileError, StatisticsError
from bayespde.core.files import atomic_path
from bayespde.core.posterior import Posterior
from bayespde.forecasting.forecast import pareto_front_with_forecast_error
from bayespde.results.inference_data import load
from bayespde.results.report.data import DataSummary, ForecastSummary, ReportData
from bayespde.smooth.differentiate import derivative_frames
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.run_folder import OBSERVED, PREDICTION, RECORD, check_belong, read_dataset, read_smooth

PAGE = "report.html"
# Frames of a video that are shown.
FRAMES = 4
SAME_PLACE = 1e-6
NO_FRAMES = "No frames were held out, and none were predicted: discover(..., holdout_frames=20), or bayespde forecast."

TOGETHER = "The equations of a system are foretold together: CoupledDiscovery.forecast_holdout()."


class Found(Protocol):
    """A discovery: what `discover` returns."""

    @property
    def smooth(self) -> SmoothField:
        """The smooth field."""

    @property
    def posterior(self) -> Posterior:
        """Over equations."""

    @property
    def folder(self) -> Path | None:
        """Where it is on disk, if anywhere."""

    @property
    def holdout(self) -> xr.DataArray | None:
        """Frames that it has not seen."""

    def forecast_holdout(self) -> tuple[xr.Dataset, xr.Dataset]:
        """The frames that were held out, predicted, and scores."""


def report(
    found: Found | str | PathLike[str], path: str | PathLike[str] | None = None, *, title: str | None = None
) -> Path:
    """Write one HTML page about a discovery, with every picture inside: it can be sent around as it is.

    It holds the equation with its probability, whether it is to be believed, inclusion probabilities, coefficients, the
    Pareto front, the sampler's way, checks, maps of the field and its derivatives, predicted frames where there are
    any, and where all of it comes from. What a folder does not hold is left out, and the page says why.

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
            "It is not known where to write the report.",
            got="a discovery without a folder",
            wanted="a path",
            fix="report(found, 'report.html')",
        )
    file = Path(path) if path is not None else Path(folder or "") / PAGE
    with atomic_path(file) as temporary:
        temporary.write_text(render(_material(found, title)), encoding="utf-8")
    return file


def _material(found: Found | str | PathLike[str], title: str | None) -> ReportData:
    if isinstance(found, str | PathLike):
        return _of_folder(Path(found), title)
    return _of_discovery(found, title)


def _of_folder(folder: Path, title: str | None) -> ReportData:
    posterior = load(_posterior_file(folder))
    smooth = read_smooth(folder / "smooth.nc") if (folder / "smooth.nc").is_file() else None
    if smooth is not None:
        check_belong(posterior, smooth)
    foretold, because = _predictions(folder, posterior, smooth)
    own = foretold.get(folder)
    front = _front(posterior, smooth, None if own is None or posterior.library.coupled_variables else own.observed)
    absent = {"seen": "The folder has no smooth.nc: maps need the smooth field.", "foretold": because}
    seen = None if smooth is None else _seen(smooth)
    return ReportData(posterior, seen, _flattened(foretold.values()), _record(folder), front, absent, title)


def _of_discovery(found: Found, title: str | None) -> ReportData:
    foretold: tuple[ForecastSummary, ...] = ()
    if found.folder is not None:
        foretold = tuple(_predictions(found.folder, found.posterior, found.smooth)[0].values())
    is_alone, because = not found.posterior.library.coupled_variables, NO_FRAMES
    if not is_alone:
        because = TOGETHER
    elif found.holdout is not None and not any(f.scores is not None for f in foretold):
        prediction, scores = found.forecast_holdout()
        foretold = (ForecastSummary(prediction, found.holdout, scores), *foretold)
    record = {} if found.folder is None else _record(found.folder)
    front = _front(found.posterior, found.smooth, found.holdout if is_alone else None)
    absent = {"foretold": because}
    return ReportData(found.posterior, _seen(found.smooth), _flattened(foretold), record, front, absent, title)


def _front(posterior: Posterior, smooth: SmoothField | None, holdout: xr.DataArray | None) -> xr.Dataset | None:
    """Complexity against error, and how far the equations of the front are off frames held out; None if none were."""
    if smooth is None or holdout is None:
        return None
    try:
        return pareto_front_with_forecast_error(posterior, smooth, holdout)
    except StatisticsError:
        return None


def _posterior_file(folder: Path) -> Path:
    file = folder / "posterior.nc"
    if not file.is_file():
        stages = ("smooth.nc", "statistics.nc", "weak_posterior.nc")
        there = [name for name in stages if (folder / name).is_file()]
        fields = sorted(str(inner.parent) for inner in folder.glob("*/posterior.nc"))
        resume = "run the discovery again with the same folder; it resumes after the stages that are finished"
        raise FileError(
            "There is no finished discovery in this folder.",
            got=f"{folder}, which has {', '.join(there) or 'none of the stages'}",
            wanted="a folder with posterior.nc",
            fix=f"one folder for each field of a system: {', '.join(fields)}" if fields else resume,
        )
    return file


def _record(folder: Path) -> Mapping[str, Any]:
    """When stages were finished; nothing where that cannot be read."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _seen(smooth: SmoothField) -> DataSummary:
    field = smooth.field
    count = field.sizes["time"]
    frames = range(count) if field.ndim == 2 else np.unique(np.linspace(0, count - 1, FRAMES).round().astype(int))
    chosen = [int(f) for f in frames]
    return DataSummary(
        observed=_flat(field.isel(time=chosen)),
        derivatives=_flat(derivative_frames(smooth, chosen)),
        sizes={str(d): int(n) for d, n in field.sizes.items()},
        missing=float(np.isnan(field.values).mean()),
        noise_scale=smooth.noise_scale,
        about=smooth.summary(),
    )


def _predictions(
    folder: Path, posterior: Posterior, smooth: SmoothField | None
) -> tuple[dict[Path, ForecastSummary], str]:
    """Predictions of a run folder that belong to its posterior, by place; if there are none, why."""
    because, found = NO_FRAMES, {}
    for place in (folder, folder / "predicted"):
        if not (place / PREDICTION).is_file():
            continue
        prediction = read_dataset(place / PREDICTION)
        if _belongs(prediction, posterior, smooth):
            found[place] = _with_observed(prediction, place / OBSERVED)
        else:
            because = "The prediction in the folder is that of another discovery, made there before."
    return found, because


def _belongs(prediction: xr.Dataset, posterior: Posterior, smooth: SmoothField | None) -> bool:
    """Whether a prediction was made from this video, and is of later times."""
    data = str(posterior.provenance.get("data", ""))
    if prediction.attrs.get("field") != posterior.library.variable or prediction.attrs.get("data", data) != data:
        return False
    return smooth is None or float(prediction["time"][0]) > float(smooth.field["time"][-1])


def _with_observed(prediction: xr.Dataset, file: Path) -> ForecastSummary:
    """With what was observed at its times, and scores, if the file has that."""
    if not file.is_file():
        return ForecastSummary(prediction)
    came = read_dataset(file)
    clock, times = came["time"].values, prediction["time"].values
    if clock.shape != times.shape or np.abs(clock - times).max() > SAME_PLACE * np.abs(times).max():
        return ForecastSummary(prediction)
    return ForecastSummary(prediction, came["observed"].rename(prediction.attrs["field"]), came.drop_vars("observed"))


def _flattened(foretold: Iterable[ForecastSummary]) -> tuple[ForecastSummary, ...]:
    return tuple(
        ForecastSummary(_flat(f.prediction), None if f.observed is None else _flat(f.observed), f.scores)
        for f in foretold
    )


def _flat(values: Any) -> Any:
    from bayespde.results.figures import middle_slice

    return middle_slice(values)
