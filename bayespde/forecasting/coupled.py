"""Posteriors over the equations of a system + where its fields start -> frames of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.core.random import checked_seed, spawn_seeds
from bayespde.forecasting.forecast import integrate_ensemble, started
from bayespde.forecasting.initial_conditions import ForecastConfig, of_system, shared_boundary
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.integrate import checked_times


def forecast_coupled(
    posteriors: Mapping[str, Posterior],
    start: xr.Dataset | Mapping[str, SmoothField],
    times: Any,
    *,
    options: ForecastConfig | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Integrate draws of the equations of a system forward in time, together.

    The equations of a draw are drawn independently of each other, from the posterior of each.

    Args:
        posteriors: Over the equation of each field, by its name.
        start: A frame of each field, which is taken to be known; or its smooth field, as for `forecast`.
        times: Strictly increasing, in the unit of the fields.
        options: How.
        seed: Of all draws.
        progress: Show a bar.

    Returns:
        As from `forecast`, with a variable for each field. `coefficient` has terms such as `u_t: u*v`; the attribute
        `noise_scale` is one number for each field, in the order of the attribute `fields`.

    Raises:
        ConfigError: If times, start and posteriors do not fit together, or the answer would not fit into memory.
        FieldError: If a frame is not usable.
    """
    options, clock = options or ForecastConfig(), checked_times(np.atleast_1d(times), least=1)
    absent = set(posteriors) - set(start)
    if absent or len(posteriors) < 2:
        raise ConfigError(
            "Every field of a system needs a posterior and a start.",
            got=f"posteriors of {', '.join(posteriors)}; starts of {', '.join(map(str, start))}",
            wanted="the same names, two or more",
            fix="forecast_coupled(found.posteriors, {'u': ..., 'v': ...}, times)",
        )
    random = np.random.default_rng(spawn_seeds(checked_seed(seed), 1)[0])
    smooths = [s for name in posteriors if isinstance(s := start[name], SmoothField)]
    if options.boundary == "auto" and smooths:
        options = replace(options, boundary=shared_boundary(smooths))
    starts = [started(posterior, start[name], clock, options, random) for name, posterior in posteriors.items()]
    found = integrate_ensemble(of_system(starts), clock, times, options, progress)
    return found.assign_attrs(fields=list(posteriors), seed=int(seed))


def select_field(prediction: xr.Dataset, field: str) -> xr.Dataset:
    """What `forecast_coupled` foretells of one field, as `forecast` returns it: for scores and figures.

    Raises:
        ConfigError: If the prediction has no such field.
    """
    names = list(prediction.attrs.get("fields", ()))
    if field not in names:
        raise ConfigError(
            "The prediction has no such field.",
            got=field,
            wanted=", ".join(names) or "what forecast_coupled returns",
            fix="select_field(prediction, 'u')",
        )
    attrs = {k: v for k, v in prediction.attrs.items() if k != "fields"}
    noise = float(np.atleast_1d(prediction.attrs["noise_scale"])[names.index(field)])
    return prediction[[field, "ended", "coefficient"]].assign_attrs(attrs | {"field": field, "noise_scale": noise})
