"""Initial conditions of coupled equations -> one for all of them; a forecast of several fields -> that of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import xarray as xr

from bayespde.core.annotations import MadeBy
from bayespde.core.checked import validated
from bayespde.core.coupled import CoupledEquations
from bayespde.core.errors import ConfigError
from bayespde.forecasting.ensemble import ForecastEnsemble
from bayespde.forecasting.initial_conditions import InitialCondition
from bayespde.smooth.frame_draws import likely_boundaries
from bayespde.smooth.smooth_field import SmoothField

FORECAST = "bayespde.forecast({'u': posterior_u, 'v': posterior_v}, start, times)"


def couple(starts: Sequence[InitialCondition]) -> InitialCondition:
    """Join the initial conditions of coupled equations.

    Raises:
        ConfigError: If their boundaries differ.
    """
    ensembles, first = [s.ensemble for s in starts], starts[0]
    boundaries = {s.boundary for s in starts}
    if len(boundaries) > 1:
        raise ConfigError(
            "The coupled fields do not have one boundary.",
            got=", ".join(sorted(boundaries)),
            wanted="one for all",
            fix="ForecastConfig(boundary='open')",
        )
    ensemble = ForecastEnsemble(
        CoupledEquations(tuple(e for one in ensembles for e in one.equations)),
        np.concatenate([one.coefficients for one in ensembles], axis=1),
        np.stack([one.states for one in ensembles], axis=1),
        first.ensemble.time,
        first.ensemble.frame,
        replace(first.ensemble.method, atol=min(one.method.atol for one in ensembles)),
        max(one.largest for one in ensembles),
        tuple(one.frame for one in ensembles[1:]),
    )
    noise_scales = tuple(n for s in starts for n in s.noise_scales)
    return InitialCondition(ensemble, first.boundary, noise_scales, first.kind, first.time_attrs)


def shared_boundary(smooths: Iterable[SmoothField], seed: int = 0) -> str:
    """The likeliest boundary that the edges of all smoothed fields suggest; "open" if there is none."""
    likely = [likely_boundaries(s, np.random.default_rng(seed)) for s in smooths]
    return next((b for b in likely[0] if all(b in others for others in likely)), "open")


@validated
def select_field(
    forecast: Annotated[xr.Dataset, MadeBy(FORECAST, ("noise_scale", "fields"))], field: str
) -> xr.Dataset:
    """The forecast of one of several coupled fields, as `forecast` returns it for one: for scores and figures.

    Args:
        forecast: What `bayespde.forecast` returned for coupled fields.
        field: Name of the field.

    Raises:
        ConfigError: If the forecast has no such field.
    """
    names = list(forecast.attrs.get("fields", ()))
    if field not in names:
        raise ConfigError(
            "The forecast has no such field.",
            got=field,
            wanted=", ".join(names) or "what forecast returns for coupled fields",
            fix="select_field(ahead, 'u')",
        )
    attrs = {k: v for k, v in forecast.attrs.items() if k != "fields"}
    noise = float(np.atleast_1d(forecast.attrs["noise_scale"])[names.index(field)])
    made_by = list(np.atleast_1d(forecast.attrs["posterior"]))[names.index(field)]
    shown = forecast[[field, "blow_up_time", "coefficient"]]
    return shown.assign_attrs(attrs | {"field": field, "noise_scale": noise, "posterior": str(made_by)})
