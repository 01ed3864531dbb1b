"""What a page is made of: nothing but results, so that no smoother or sampler is needed to write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from bayespde.core.posterior import Posterior


@dataclass(frozen=True, eq=False)
class DataSummary:
    """The video, and what the smoother made of it.

    Attributes:
        observed: Dims `time, x`, or some frames `time, y, x` (of three space dimensions the middle slice along z); NaN
            where pixels are missing.
        derivatives: The smooth field under its name, and its derivatives, at the same points.
        sizes: Samples per dimension of the whole video.
        missing: Share of its pixels that are missing.
        noise_scale: Standard deviation of the noise of a pixel, units of the field.
        about: What the smoother says of itself, a statement per line.
    """

    observed: xr.DataArray
    derivatives: xr.Dataset
    sizes: Mapping[str, int]
    missing: float
    noise_scale: float
    about: str


@dataclass(frozen=True, eq=False)
class ForecastSummary:
    """A prediction.

    Attributes:
        prediction: Draws, of one or two space dimensions.
        observed: The frames that came, at the same times; None if they are not known.
        scores: Of one by the other.
    """

    prediction: xr.Dataset
    observed: xr.DataArray | None = None
    scores: xr.Dataset | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that a page shows.

    Attributes:
        posterior: Over equations.
        seen: The video; None if it is not known.
        foretold: Predictions.
        record: When finished stages were written, and by which version.
        front: Complexity against error, with `prediction_error` where frames were held out; by default without.
        absent: Why a part is not there, by its name: `seen`, `forecast_holdout`.
        title: Heading of the page; by default it names the field.
    """

    posterior: Posterior
    seen: DataSummary | None = None
    foretold: tuple[ForecastSummary, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    front: xr.Dataset | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
