"""Posterior + initial condition -> frames at later times, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.column import check_expressions
from bayespde.core.coupled import CoupledEquations
from bayespde.core.errors import ConfigError
from bayespde.core.one_order import in_one_order
from bayespde.core.posterior import Posterior
from bayespde.core.progress import Progress
from bayespde.core.random import checked_seed, spawn_seeds
from bayespde.core.settings import override
from bayespde.forecasting.config import ForecastConfig
from bayespde.forecasting.coupled import couple, shared_boundary
from bayespde.forecasting.ensemble import ForecastEnsemble
from bayespde.forecasting.initial_conditions import InitialCondition, Sampler, Source, with_boundary_data
from bayespde.forecasting.propagate import SAME, propagate
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.integrate import checked_times
from bayespde.stages.fit_trajectories import TrajectoryPosterior

MOST_VALUES = 2**28
Sources = Source | xr.Dataset | Mapping[str, SmoothField]


@validated
@in_one_order
def forecast(
    posterior: Posterior | Mapping[str, Posterior],
    start: Sources,
    times: Any,
    *,
    options: ForecastConfig | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
    **settings: Any,
) -> xr.Dataset:
    """Integrate draws of the posterior forward in time.

    `start` decides where the forecast begins and how uncertain the initial state is. A frame is taken as known. A
    `SmoothField` starts at its last frame before the first of `times`, with as many draws of it as of the posterior. A
    `TrajectoryPosterior` starts at the first frame of its field, with draws of equation and state together that pass
    through all pixels on the way: the posterior predictive distribution as far as that posterior is normal, and the
    most precise start. Draws of coupled equations are independent of each other.

    Args:
        posterior: Over equations; of coupled equations one for each field, by its name. With a `TrajectoryPosterior`
            only its library is used: equations with a trajectory are drawn, with their probability there.
        start: A frame with dims of space, a smoothed field, or trajectories; for coupled equations a Dataset of frames
            or the smoothed fields by name.
        times: Strictly increasing, in the unit of the field; the first is that of a frame without coordinate `time`.
        options: How to forecast.
        seed: Of all draws.
        progress: Show a bar.
        settings: Fields of `options` to replace, such as `draws=400`, `boundary="open"` or `boundary_data=frames`.

    Returns:
        `u` (under the name of the field; `draw, time, [[z,] y,] x`), without pixel noise; NaN from where a draw has
        ended. `blow_up_time` (`draw`): when it blew up, diverged or became too stiff; inf for most. `coefficient`
        (`draw, term`), physical units; terms of coupled equations are written `u_t: u*v`. Attributes: `field` (or
        `fields`), `noise_scale`, `boundary`, `initial_time`, `initialised_from`, `fraction_diverged`, `stopped_by` (of
        the posterior) and others.

    Raises:
        ConfigError: If times, start and posterior do not fit together, or the result would not fit into memory.
        FieldError: If a frame is not usable.
    """
    options, clock = override(options or ForecastConfig(), settings), checked_times(times, least=1)
    random = np.random.default_rng(spawn_seeds(checked_seed(seed), 1)[0])
    if options.boundary_data is not None:
        _check_boundary_data(posterior, start)
    if isinstance(posterior, Mapping):
        begun = _coupled_start(posterior, start, clock, options, random)
        found = integrate_ensemble(begun, clock, times, options, progress)
        made_by = [one.identity for one in posterior.values()]
        stopped_by = max(one.stopped_by for one in posterior.values())
        return found.assign_attrs(fields=list(posterior), posterior=made_by, stopped_by=stopped_by, seed=int(seed))
    options = replace(options, boundary=options.wanted_boundary)
    begun = _start(posterior, start, clock, options, random)
    if options.boundary_data is not None:
        begun = with_boundary_data(begun, options.boundary_data, float(clock[-1]))
    found = integrate_ensemble(begun, clock, times, options, progress)
    origin = {"posterior": posterior.identity, "stopped_by": posterior.stopped_by, "seed": int(seed)}
    field, noise_scale = posterior.library.variable, found.attrs["noise_scale"][0]
    return found.assign_attrs(field=field, noise_scale=noise_scale, **origin)


def forecast_discovery(
    posterior: Posterior,
    smooth: SmoothField,
    trajectories: TrajectoryPosterior | None,
    times: Any,
    **settings: Any,
) -> xr.Dataset:
    """Forecast from the results of a discovery, with further arguments of `forecast`.

    It continues the trajectories, unless there are none, another boundary is asked for, or boundary data are given; it
    then starts from the smoothed field. The attribute `probability_covered` is the posterior probability of the
    equations that are drawn.
    """
    own = {name: settings[name] for name in settings if name not in ("options", "seed", "progress")}
    options = override(settings.get("options") or ForecastConfig(), own)
    is_continued = trajectories is not None and options.wanted_boundary in ("auto", trajectories.config.boundary)
    along = trajectories if is_continued and options.boundary_data is None else None
    found = forecast(posterior, smooth if along is None else along, times, **settings)
    covered = 1.0
    if along is not None:
        spins, probability = posterior.configurations()
        fitted = [posterior.library.spins(t.equation.names) for t in along.trajectories]
        covered = float(sum(probability[(spins == on).all(axis=1)].sum() for on in fitted))
    return found.assign_attrs(probability_covered=covered, data=str(posterior.provenance.get("data", "")))


def integrate_ensemble(
    begun: InitialCondition, clock: np.ndarray, times: Any, options: ForecastConfig, progress: bool | Progress
) -> xr.Dataset:
    """Frames of an ensemble at given times, with coordinates and attributes."""
    ensemble = begun.ensemble
    _check_size(ensemble.states.shape[1:], clock, options)
    if clock[0] < ensemble.time - SAME * abs(ensemble.time):
        raise ConfigError(
            "The forecast begins before its initial state.",
            got=f"times from {clock[0]:g}",
            wanted=f"{ensemble.time:g} or later",
            fix="leave out the earlier times",
        )
    found = propagate(
        ensemble,
        clock,
        accuracy=options.accuracy,
        divergence_threshold=options.divergence_threshold,
        progress=progress,
    )
    time = xr.DataArray(clock, dims="time", attrs=getattr(times, "attrs", {}) or dict(begun.time_attrs))
    given = options.noise_scale
    return _described(ensemble, found.frames, found.ended, time).assign_attrs(
        noise_scale=[n if given is None else given for n in begun.noise_scales],
        boundary=begun.boundary,
        initial_time=ensemble.time,
        initialised_from=begun.kind,
        fraction_diverged=float(np.mean(found.ended <= clock[-1])),
        integrated_at=" x ".join(map(str, found.points)),
    )


def _check_boundary_data(posterior: Posterior | Mapping[str, Posterior], start: Sources) -> None:
    """Refuse boundary data where they cannot be followed."""
    if isinstance(posterior, Mapping):
        raise ConfigError(
            "Boundary data are for one equation only.",
            got=f"boundary data for {', '.join(posterior)}",
            wanted="no boundary data for coupled equations",
            fix="boundary_data=None",
        )
    if isinstance(start, TrajectoryPosterior):
        raise ConfigError(
            "Trajectories are continued without boundary data.",
            got="boundary_data with a TrajectoryPosterior",
            wanted="a frame or a smoothed field as the start",
            fix="forecast(found.posterior, found.smooth, times, boundary_data=...)",
        )


def _start(
    posterior: Posterior, start: Sources, clock: np.ndarray, options: ForecastConfig, random: np.random.Generator
) -> InitialCondition:
    check_expressions(posterior.library)
    if posterior.library.coupled_variables:
        raise ConfigError(
            "One of several coupled equations cannot be integrated alone.",
            got=f"{posterior.library.target}, with terms in {', '.join(posterior.library.coupled_variables)}",
            wanted="the posteriors of all its equations",
            fix="forecast({'u': ..., 'v': ...}, start, times), or CoupledDiscovery.forecast",
        )
    if not isinstance(start, xr.DataArray | SmoothField | TrajectoryPosterior):
        raise ConfigError(
            "The start of the forecast is not usable.",
            got=type(start).__name__,
            wanted="a frame (DataArray), a SmoothField or a TrajectoryPosterior",
            fix="forecast(found.posterior, found.smooth, times)",
        )
    if isinstance(start, TrajectoryPosterior):
        frame = start.trajectories[0].fitted[0]
    else:
        frame = start.field[0] if isinstance(start, SmoothField) else start
    _check_size(frame.shape, clock, options)
    return Sampler(posterior, options, random).from_source(start, float(clock[0]))


def _coupled_start(
    posteriors: Mapping[str, Posterior],
    start: Sources,
    clock: np.ndarray,
    options: ForecastConfig,
    random: np.random.Generator,
) -> InitialCondition:
    if not isinstance(start, Mapping | xr.Dataset) or set(posteriors) - set(start) or len(posteriors) < 2:
        given = ", ".join(map(str, start)) if isinstance(start, Mapping | xr.Dataset) else type(start).__name__
        raise ConfigError(
            "Each coupled field needs a posterior and a start.",
            got=f"posteriors of {', '.join(posteriors)}; starts of {given}",
            wanted="the same names, two or more",
            fix="forecast(found.posteriors, {'u': ..., 'v': ...}, times)",
        )
    smooths = [s for name in posteriors if isinstance(s := start[name], SmoothField)]
    for one in smooths:
        _check_size(one.field.shape[1:], clock, options)
    if options.boundary == "auto" and smooths:
        options = replace(options, boundary=shared_boundary(smooths))
    starts = [
        Sampler(posterior, options, random).from_source(start[name], float(clock[0]))
        for name, posterior in posteriors.items()
    ]
    return couple(starts)


def _check_size(points: tuple[int, ...], clock: np.ndarray, options: ForecastConfig) -> None:
    """Check that a forecast fits into memory."""
    if options.draws * len(clock) * math.prod(points) > MOST_VALUES:
        raise ConfigError(
            "The forecast would not fit into memory.",
            got=f"{options.draws} draws of {len(clock)} frames of {math.prod(points)} points",
            wanted=f"at most {MOST_VALUES} values",
            fix="ForecastConfig(draws=...), or fewer times",
        )


def _described(ensemble: ForecastEnsemble, frames: np.ndarray, ended: np.ndarray, time: xr.DataArray) -> xr.Dataset:
    """Arrays as a dataset, with the coordinates and units of the frames."""
    frames_of, is_coupled = (ensemble.frame, *ensemble.others), isinstance(ensemble.equation, CoupledEquations)
    dims = ensemble.frame.dims
    coords = {"draw": np.arange(len(frames)), "time": time, **{d: ensemble.frame[d] for d in dims}}
    found = {
        one.variable: xr.DataArray(
            frames[:, :, i] if is_coupled else frames,
            dims=("draw", "time", *dims),
            coords=coords,
            attrs=frames_of[i].attrs,
        )
        for i, one in enumerate(ensemble.equations)
    }
    terms = [f"{e.target}: {name}" if is_coupled else name for e in ensemble.equations for name in e.names]
    coefficient = xr.DataArray(ensemble.coefficients, dims=("draw", "term"), coords={"term": terms})
    return xr.Dataset({**found, "blow_up_time": (("draw",), ended), "coefficient": coefficient})
