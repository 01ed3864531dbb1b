"""Posterior + what the initial state is known from -> draws of equation and initial state together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.forecasting.config import MOST_STEPS, ForecastConfig
from bayespde.forecasting.ensemble import ForecastEnsemble, ensemble_from_trajectories, occurring_terms
from bayespde.forecasting.propagate import SAME
from bayespde.results.draws import draw_equations
from bayespde.smooth.boundary_conditions import infer_boundary_conditions
from bayespde.smooth.frame_draws import draw_frames, likely_boundaries
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.boundary_data import DirichletData, boundary_mask
from bayespde.solve.derivatives import Grid
from bayespde.stages.fit_trajectories import TrajectoryPosterior
from bayespde.trajectory.padding import sample_extension

# What a forecast can start from: a known frame, a smoothed field, or trajectories.
Source = xr.DataArray | SmoothField | TrajectoryPosterior
# Points beyond an open window, per point of it.
PADDING = 1.0


class InitialCondition(NamedTuple):
    """Where a forecast starts.

    Attributes:
        ensemble: Draws of equation and initial state.
        boundary: Of the field, as for `ForecastConfig`.
        noise_scales: Standard deviation of a pixel, of each field.
        kind: What the initial state is from: trajectories, smooth field or frame.
        time_attrs: Attributes of the time, its unit among them.
    """

    ensemble: ForecastEnsemble
    boundary: str
    noise_scales: tuple[float, ...]
    kind: str
    time_attrs: Mapping[Any, Any]


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws initial conditions for the equations of a posterior.

    Attributes:
        posterior: Over equations.
        options: How to forecast.
        random: Source of randomness.
    """

    posterior: Posterior
    options: ForecastConfig
    random: np.random.Generator

    def from_source(self, source: Source, first: float) -> InitialCondition:
        """The initial condition that a source gives, for a forecast whose first frame is at time `first`."""
        if isinstance(source, TrajectoryPosterior):
            return self.from_trajectories(source)
        if isinstance(source, SmoothField):
            return self.from_smooth(source, first)
        return self.from_frame(source, first)

    def from_trajectories(self, source: TrajectoryPosterior) -> InitialCondition:
        """At the first frame of a field: equation and state together, from trajectories through all of its pixels.

        Raises:
            ConfigError: If another boundary is asked for than that of the trajectories.
        """
        boundary, best = source.config.boundary, source.trajectories[0]
        if self.options.boundary not in ("auto", boundary):
            raise ConfigError(
                "A trajectory is continued with the boundary along which it was fitted.",
                got=self.options.boundary,
                wanted=f"'auto' or {boundary!r}",
                fix="ForecastConfig(boundary='auto'), or forecast(found.posterior, found.smooth, times, boundary=...)",
            )
        probability, draws = source.probability / source.probability.sum(), self.options.draws
        library = self.posterior.library
        ensemble = ensemble_from_trajectories(source.trajectories, probability, library, draws, self.random)
        method = replace(ensemble.method, maximum_steps=MOST_STEPS, rtol=self.options.rtol)
        attrs = best.fitted["time"].attrs
        ensemble = replace(ensemble, method=method)
        return InitialCondition(ensemble, boundary, (float(best.noise_scale),), "trajectories", attrs)

    def from_smooth(self, source: SmoothField, first: float) -> InitialCondition:
        """At draws of the last frame of a smoothed field that is not after the first time.

        Raises:
            ConfigError: If all frames are after it.
        """
        times = source.field["time"].values
        index = int(np.searchsorted(times, first, side="right")) - 1
        if index < 0:
            raise ConfigError(
                "The forecast begins before the smoothed field.",
                got=f"{first:g}",
                wanted=f"{times[0]:g} or later",
                fix=f"times=numpy.linspace({times[-1]:g}, ...)",
            )
        asked = self.options.boundary
        boundary = likely_boundary(self.posterior, source) if asked == "auto" else asked
        states = draw_frames(source, index, self.options.draws, self.random)
        frame, states = extended(source.field.isel(time=index), states, boundary, self.random)
        ensemble = self._ensemble(states, float(times[index]), frame, boundary, float(np.nanmax(np.abs(source.field))))
        noise = (float(source.noise_scale),)
        return InitialCondition(ensemble, boundary, noise, "smooth field", source.field["time"].attrs)

    def from_frame(self, source: xr.DataArray, first: float) -> InitialCondition:
        """At one frame that is known.

        Raises:
            FieldError: If it is not usable.
        """
        Grid.of(source)
        frame, boundary = source.astype(np.float64), self.options.boundary
        if boundary == "auto":
            by_edges = infer_boundary_conditions(frame.values[None], frame.values[None, None])[0]
            boundary = self.posterior.boundary or by_edges
        states = np.broadcast_to(frame.values, (self.options.draws, *frame.shape))
        frame, states = extended(frame, states, boundary, self.random)
        has_time = "time" in source.coords
        ensemble = self._ensemble(states, float(source["time"]) if has_time else first, frame, boundary, 0.0)
        return InitialCondition(ensemble, boundary, (0.0,), "frame", source["time"].attrs if has_time else {})

    def _ensemble(
        self, states: np.ndarray, time: float, frame: xr.DataArray, boundary: str, largest: float
    ) -> ForecastEnsemble:
        coefficients = draw_equations(self.posterior, self.options.draws, self.random)
        return ForecastEnsemble(
            *occurring_terms(self.posterior.library, coefficients),
            states=states,
            time=time,
            frame=frame,
            method=self.options.method(boundary, float(np.std(states))),
            largest=largest,
        )


def with_boundary_data(start: InitialCondition, data: xr.DataArray, last: float) -> InitialCondition:
    """Prescribe the values at the edges by observed frames, linear in time between them.

    Args:
        start: With Dirichlet boundaries.
        data: Frames on its grid, from the start or after it to the last time.
        last: Time of the last frame of the forecast.

    Raises:
        ConfigError: If the frames are on another grid, end too early, or lack pixels of an edge.
    """
    ensemble = start.ensemble
    frame, checked = ensemble.frame, data.transpose("time", ...)
    edge, times = boundary_mask(frame.shape), checked["time"].values.astype(np.float64)
    fits = checked.dims[1:] == frame.dims and all(
        np.allclose(checked[d], frame[d], rtol=1e-6) for d in frame.dims if checked.sizes[d] == frame.sizes[d]
    )
    if not fits or checked.shape[1:] != frame.shape or start.boundary != "dirichlet" or times[-1] < last * (1 - SAME):
        raise ConfigError(
            "The boundary data do not fit the forecast.",
            got=f"{dict(checked.sizes)} until {times[-1]:g}, boundary {start.boundary!r}",
            wanted=f"frames of {dict(frame.sizes)} until {last:g}, boundary 'dirichlet' or 'auto'",
            fix="boundary_data=found.holdout",
        )
    missing = int(np.isnan(checked.values[:, edge]).sum())
    if missing or not np.isfinite(checked.values[:, edge]).all():
        raise ConfigError(
            "Pixels of the boundary data are missing.",
            got=f"{missing} of them",
            wanted="a value at every pixel of an edge",
            fix="boundary_data=frames.copy(data=bayespde.fit_field(frames).evaluate((0,) * frames.ndim))",
        )
    after = times > ensemble.time + SAME * max(abs(ensemble.time), abs(last))
    first = ensemble.states.mean(axis=0) if after[0] else checked.values[~after][-1]
    values = np.concatenate([first[None], checked.values[after]])
    known = DirichletData(np.concatenate([[ensemble.time], times[after]]), np.where(edge, values, 0.0))
    return start._replace(ensemble=replace(ensemble, dirichlet=known))


def extended(
    frame: xr.DataArray, states: np.ndarray, boundary: str, random: np.random.Generator | None = None
) -> tuple[xr.DataArray, np.ndarray]:
    """A frame without gaps, and states `[draws, *space]` over the domain that is integrated, `[draws, *domain]`.

    The part beyond an open window is drawn; it is its mean if there is no source of randomness.
    """
    # The observed frame may have gaps, which the states have not.
    filled = frame.reset_coords(drop=True).copy(data=states.mean(axis=0))
    padding = PADDING if boundary == "open" else 0.0
    return filled, np.ascontiguousarray(sample_extension(states, padding, random, dims=frame.ndim))


def likely_boundary(posterior: Posterior, smooth: SmoothField, seed: int = 0) -> str:
    """The boundary of the trajectories, or else what the edges of the smoothed field suggest."""
    guesses = likely_boundaries(smooth, np.random.default_rng(seed))
    return posterior.boundary or next(iter(guesses), "open")
