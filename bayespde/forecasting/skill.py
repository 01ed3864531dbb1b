"""Equations of the Pareto front + held-out frames -> how well each of them forecasts these."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError, IntegrationError
from bayespde.core.posterior import Posterior
from bayespde.forecasting.config import ForecastConfig
from bayespde.forecasting.ensemble import ForecastEnsemble, occurring_terms
from bayespde.forecasting.initial_conditions import extended, likely_boundary
from bayespde.forecasting.propagate import propagate
from bayespde.results.pareto import pareto_front
from bayespde.smooth.smooth_field import SmoothField


def pareto_front_with_forecast_error(posterior: Posterior, smooth: SmoothField, holdout: xr.DataArray) -> xr.Dataset:
    """The Pareto front with `forecast_error`: `forecast_errors` of its equations on held-out frames, NaN off the front.

    Raises:
        StatisticsError: As for `pareto_front`.
    """
    front = pareto_front(posterior)
    best, errors = front["on_front"].values, np.full(front.sizes["equation"], np.nan)
    coefficients, boundary = front["coefficient"].values[best], likely_boundary(posterior, smooth)
    errors[best] = forecast_errors(posterior.library, coefficients, smooth, holdout, boundary=boundary)
    return front.assign(forecast_error=("equation", errors))


def forecast_errors(
    library: Library, coefficients: np.ndarray, smooth: SmoothField, frames: xr.DataArray, *, boundary: str
) -> np.ndarray:
    """Errors of equations on frames after the smoothed field.

    Args:
        library: The candidate terms.
        coefficients: Of every equation, `[n, K]`, physical units.
        smooth: The initial state is its mean at its last frame.
        frames: The observations.
        boundary: As for `ForecastConfig`, but "auto".

    Returns:
        Root mean square over all frames and pixels, relative to the standard deviation of the frames, `[n]`; NaN for an
        equation that blows up before the last frame, or cannot be integrated.
    """
    index, none = smooth.field.sizes["time"] - 1, (0,) * len(smooth.dims)
    frame, states = extended(smooth.field.isel(time=index), smooth.evaluate(none)[index : index + 1], boundary)
    errors, method = np.full(len(coefficients), np.nan), ForecastConfig().method(boundary, float(np.std(states)))
    time, largest = float(smooth.field["time"][index]), float(np.nanmax(np.abs(smooth.field)))
    for row, one in enumerate(coefficients):
        ensemble = ForecastEnsemble(
            *occurring_terms(library, one[None]), states=states, time=time, frame=frame, method=method, largest=largest
        )
        try:
            found = propagate(ensemble, frames["time"].values).frames[0]
        except (ConfigError, IntegrationError):
            continue
        if np.isfinite(found).all():
            errors[row] = np.sqrt(np.nanmean((found - frames.values) ** 2)) / float(frames.std())
    return errors
