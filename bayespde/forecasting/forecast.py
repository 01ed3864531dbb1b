"""Posterior + where it starts -> frames that have not been seen, with their uncertainty."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError, FitError, IntegrationError
from bayespde.core.posterior import Posterior
from bayespde.core.random import checked_seed, spawn_seeds
from bayespde.discovery.trajectory_matching import trajectories_again
from bayespde.forecasting.ensemble import ForecastEnsemble, ensemble_from_draws
from bayespde.forecasting.initial_conditions import (
    ForecastConfig,
    InitialCondition,
    boundary_of,
    boundary_of_pixels,
    from_frame,
    from_smooth,
    from_trajectories,
    placed,
    with_boundary_data,
)
from bayespde.forecasting.propagate import SAME, propagate
from bayespde.results.pareto import pareto_front
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.integrate import checked_times
from bayespde.stages.fit_trajectories import TrajectoryPosterior

MOST_VALUES = 2**28


def forecast(
    posterior: Posterior,
    start: xr.DataArray | SmoothField | TrajectoryPosterior,
    times: Any,
    *,
    boundary_data: xr.DataArray | None = None,
    options: ForecastConfig | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Integrate draws of the posterior forward in time.

    Where it starts, and how uncertain that is, is up to `start`: one frame is taken to be known. A `SmoothField` starts
    at its last frame before the first of `times`, at as many draws of it as of the posterior. What `fit_trajectories` returned
    starts at the first frame of its field, at draws of law and state together, and passes through all pixels on the
    way: the posterior predictive distribution as far as that posterior is normal, and the most precise start.

    Args:
        posterior: Over equations. With a `TrajectoryPosterior` its library alone counts: equations with a trajectory are drawn, by
            the probability that the `TrajectoryPosterior` gives them.
        start: A frame with dims of space; or a smooth field; or a `TrajectoryPosterior`.
        times: Strictly increasing, in the unit of the field; the first is that of a frame without coordinate `time`.
        boundary_data: Frames that have come, best smooth ones, at whose boundary_data the field is held: what enters a window is then
            known, and the law is judged by what it does within. For laws up to second order; linear in between.
        options: How.
        seed: Of all draws.
        progress: Show a bar.

    Returns:
        `u` (under the name of the field; `draw, time, [[z,] y,] x`), without noise of pixels; NaN from where a draw has
        ended, which `ended` (`draw`) says: the time at which it blew up, ran away or became too stiff, inf for most.
        `coefficient` (`draw, term`), physical units. Attributes: `noise_scale`, `boundary`, `start`, `fraction_diverged`
        and others.

    Raises:
        ConfigError: If times, start and posterior do not fit together, or the answer would not fit into memory.
        FieldError: If the frame is not usable.
    """
    options, clock = options or ForecastConfig(), checked_times(np.atleast_1d(times), least=1)
    if posterior.library.coupled_variables:
        raise ConfigError(
            "One equation of a system cannot be integrated alone.",
            got=f"{posterior.library.target}, with terms in {', '.join(posterior.library.coupled_variables)}",
            wanted="the posteriors of all its equations",
            fix="forecast_coupled({'u': ..., 'v': ...}, start, times), or CoupledDiscovery.forecast",
        )
    random = np.random.default_rng(spawn_seeds(checked_seed(seed), 1)[0])
    if boundary_data is not None and options.boundary == "auto":
        options = replace(options, boundary="dirichlet")
    begun = started(posterior, start, clock, options, random)
    if boundary_data is not None:
        begun = with_boundary_data(begun, boundary_data, float(clock[-1]))
    found = integrate_ensemble(begun, clock, times, options, progress)
    return found.assign_attrs(
        field=posterior.library.variable, noise_scale=found.attrs["noise_scale"][0], seed=int(seed)
    )


def integrate_ensemble(
    begun: InitialCondition, clock: np.ndarray, times: Any, options: ForecastConfig, progress: bool
) -> xr.Dataset:
    """Frames from a start, with everything that is known of them."""
    ensemble = begun.ensemble
    _check_size(ensemble.states.shape[1:], clock, options)
    if clock[0] < ensemble.time - SAME * abs(ensemble.time):
        raise ConfigError(
            "The prediction begins before its start.",
            got=f"times from {clock[0]:g}",
            wanted=f"{ensemble.time:g} or later",
            fix="leave out the earlier times",
        )
    found = propagate(
        ensemble, clock, accuracy=options.accuracy, divergence_threshold=options.divergence_threshold, progress=progress
    )
    time = xr.DataArray(clock, dims="time", attrs=getattr(times, "attrs", {}) or dict(begun.time_attrs))
    given = options.noise_scale
    return _described(ensemble, found.frames, found.ended, time).assign_attrs(
        noise_scale=[n if given is None else given for n in begun.noise_scales],
        boundary=begun.boundary,
        start=ensemble.time,
        initialised_from=begun.kind,
        fraction_diverged=float(np.mean(found.ended <= clock[-1])),
        integrated_at=" x ".join(map(str, found.points)),
    )


def forecast_discovery(
    posterior: Posterior,
    smooth: SmoothField,
    times: Any,
    *,
    boundary_data: xr.DataArray | None = None,
    options: ForecastConfig | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Predict from what a discovery knows: along trajectories if its equations were judged by pixels.

    Args:
        posterior: That of a discovery.
        smooth: Its smooth field: the start where equations were judged by rows.
        times: Strictly increasing, in the unit of the field.
        boundary_data: As for `forecast`; the start is then the smooth field.
        options: How.
        seed: Of all draws.
        progress: Show bars.

    Returns:
        What `forecast` returns.
    """
    start: SmoothField | TrajectoryPosterior = smooth
    if boundary_of_pixels(posterior) and boundary_data is None:
        # What fitted once may not fit again, from another beginning; the smooth field is there.
        with suppress(ConfigError, FitError, IntegrationError):
            start = trajectories_again(posterior, smooth, seed=spawn_seeds(seed, 2)[1], progress=progress)
    found = forecast(
        posterior, start, times, boundary_data=boundary_data, options=options, seed=seed, progress=progress
    )
    covered = 1.0
    if isinstance(start, TrajectoryPosterior):
        spins, probability = posterior.configurations()
        fitted = [posterior.library.spins(t.equation.names) for t in start.trajectories]
        covered = float(sum(probability[(spins == on).all(axis=1)].sum() for on in fitted))
    return found.assign_attrs(probability_covered=covered, data=str(posterior.provenance.get("data", "")))


def pareto_front_with_forecast_error(posterior: Posterior, smooth: SmoothField, holdout: xr.DataArray) -> xr.Dataset:
    """The Pareto front with `prediction_error`: how far its equations are off frames that were held out.

    Args:
        posterior: Over equations.
        smooth: Where they start: its last frame.
        holdout: What came.

    Returns:
        As `pareto_front`, and the error of `prediction_errors`; NaN off the front.

    Raises:
        StatisticsError: As for `pareto_front`.
    """
    front = pareto_front(posterior)
    best, errors = front["on_front"].values, np.full(front.sizes["equation"], np.nan)
    laws, boundary = front["coefficient"].values[best], boundary_of(posterior, smooth)
    errors[best] = prediction_errors(posterior.library, laws, smooth, holdout, boundary=boundary)
    return front.assign(prediction_error=("equation", errors))


def prediction_errors(
    library: Library, coefficients: np.ndarray, smooth: SmoothField, frames: xr.DataArray, *, boundary: str
) -> np.ndarray:
    """How far equations are off frames that came after the smooth field.

    Args:
        library: The candidate terms.
        coefficients: Of every equation, `[n, K]`, physical units.
        smooth: Where they start: its mean at its last frame.
        frames: What came.
        boundary: As for `ForecastConfig`, but "auto".

    Returns:
        Root mean square over all frames and pixels, over the standard deviation of the frames, `[n]`; NaN for an
        equation that does not come so far, or cannot be integrated.
    """
    index, none = smooth.field.sizes["time"] - 1, (0,) * len(smooth.dims)
    frame, states = placed(smooth.field.isel(time=index), smooth.evaluate(none)[index : index + 1], boundary)
    errors, method = np.full(len(coefficients), np.nan), ForecastConfig().method(boundary, float(np.std(states)))
    time, largest = float(smooth.field["time"][index]), float(np.nanmax(np.abs(smooth.field)))
    for row, law in enumerate(coefficients):
        ensemble = ensemble_from_draws(
            library, law[None], states, time=time, frame=frame, method=method, largest=largest
        )
        try:
            found = propagate(ensemble, frames["time"].values).frames[0]
        except (ConfigError, IntegrationError):
            continue
        if np.isfinite(found).all():
            errors[row] = np.sqrt(np.nanmean((found - frames.values) ** 2)) / float(frames.std())
    return errors


def started(
    posterior: Posterior,
    start: xr.DataArray | SmoothField | TrajectoryPosterior,
    clock: np.ndarray,
    options: ForecastConfig,
    random: np.random.Generator,
) -> InitialCondition:
    """Draws of law and first frame from what there is to start from."""
    if isinstance(start, TrajectoryPosterior):
        return from_trajectories(start, posterior, options, random)
    if isinstance(start, SmoothField):
        _check_size(start.field.shape[1:], clock, options)
        return from_smooth(start, posterior, float(clock[0]), options, random)
    return from_frame(start, posterior, float(clock[0]), options, random)


def _check_size(points: tuple[int, ...], clock: np.ndarray, options: ForecastConfig) -> None:
    """Check that a prediction fits into memory."""
    if options.draws * len(clock) * math.prod(points) > MOST_VALUES:
        raise ConfigError(
            "The prediction would not fit into memory.",
            got=f"{options.draws} draws of {len(clock)} frames of {math.prod(points)} points",
            wanted=f"at most {MOST_VALUES} values",
            fix="ForecastConfig(draws=...), or fewer times",
        )


def _described(ensemble: ForecastEnsemble, frames: np.ndarray, ended: np.ndarray, time: xr.DataArray) -> xr.Dataset:
    """Arrays as a dataset, with the coordinates and units of the frames."""
    frames_of, is_system = (ensemble.frame, *ensemble.others), isinstance(ensemble.equation, CoupledEquations)
    dims = ensemble.frame.dims
    coords = {"draw": np.arange(len(frames)), "time": time, **{d: ensemble.frame[d] for d in dims}}
    found = {
        one.variable: xr.DataArray(
            frames[:, :, i] if is_system else frames,
            dims=("draw", "time", *dims),
            coords=coords,
            attrs=frames_of[i].attrs,
        )
        for i, one in enumerate(ensemble.equations)
    }
    terms = [f"{e.target}: {name}" if is_system else name for e in ensemble.equations for name in e.names]
    coefficient = xr.DataArray(ensemble.coefficients, dims=("draw", "term"), coords={"term": terms})
    return xr.Dataset({**found, "ended": (("draw",), ended), "coefficient": coefficient})
