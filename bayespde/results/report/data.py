"""What a page shows: results only, so that neither a smoother nor a sampler is needed to write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from bayespde.core.posterior import Posterior


@dataclass(frozen=True, eq=False)
class DataSummary:
    """The observed and the smoothed field.

    Attributes:
        observed: Dims `time, x`, or some frames `time, y, x` (of three space dimensions the middle slice along z); NaN
            where pixels are missing.
        derivatives: The smoothed field under its name, and its derivatives, at the same points.
        sizes: Samples per dimension of the whole video.
        missing: Share of its pixels that are missing.
        noise_scale: Standard deviation of the noise of a pixel, units of the field.
        about: Summary of the smoother, a statement per line.
    """

    observed: xr.DataArray
    derivatives: xr.Dataset
    sizes: Mapping[str, int]
    missing: float
    noise_scale: float
    about: str


@dataclass(frozen=True, eq=False)
class ForecastSummary:
    """A forecast and its verification.

    Attributes:
        forecast: Draws, of one or two space dimensions.
        observed: The observed frames at the same times; None if they are not known.
        scores: Of the forecast against the observed frames.
    """

    forecast: xr.Dataset
    observed: xr.DataArray | None = None
    scores: xr.Dataset | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that a page shows.

    Attributes:
        posterior: Over equations.
        data: The observed and the smoothed field; None if they are not known.
        forecasts: Forecasts.
        record: When finished stages were written, and by which version.
        front: Complexity against error, with `forecast_error` where frames were held out; by default without.
        absent: Why a part is missing, by its name: `data`, `forecasts`.
        title: Heading of the page; by default it names the field.
    """

    posterior: Posterior
    data: DataSummary | None = None
    forecasts: tuple[ForecastSummary, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    front: xr.Dataset | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
