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
from bayespde.prediction import foretell, started
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.integrate import checked_times
from bayespde.starts import Forecast, of_system, shared_boundary


def predict_system(
    posteriors: Mapping[str, Posterior],
    start: xr.Dataset | Mapping[str, SmoothField],
    times: Any,
    *,
    options: Forecast | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Integrate draws of the equations of a system forward in time, together.

    The equations of a draw are drawn independently of each other, from the posterior of each.

    Args:
        posteriors: Over the equation of each field, by its name.
        start: A frame of each field, which is taken to be known; or its smooth field, as for `predict`.
        times: Strictly increasing, in the unit of the fields.
        options: How.
        seed: Of all draws.
        progress: Show a bar.

    Returns:
        As from `predict`, with a variable for each field. `coefficient` has terms such as `u_t: u*v`; the attribute
        `noise_scale` is one number for each field, in the order of the attribute `fields`.

    Raises:
        ConfigError: If times, start and posteriors do not fit together, or the answer would not fit into memory.
        FieldError: If a frame is not usable.
    """
    options, clock = options or Forecast(), checked_times(np.atleast_1d(times), least=1)
    absent = set(posteriors) - set(start)
    if absent or len(posteriors) < 2:
        raise ConfigError(
            "Every field of a system needs a posterior and a start.",
            got=f"posteriors of {', '.join(posteriors)}; starts of {', '.join(map(str, start))}",
            wanted="the same names, two or more",
            fix="predict_system(found.posteriors, {'u': ..., 'v': ...}, times)",
        )
    random = np.random.default_rng(spawn_seeds(checked_seed(seed), 1)[0])
    smooths = [s for name in posteriors if isinstance(s := start[name], SmoothField)]
    if options.boundary == "auto" and smooths:
        options = replace(options, boundary=shared_boundary(smooths))
    starts = [started(posterior, start[name], clock, options, random) for name, posterior in posteriors.items()]
    found = foretell(of_system(starts), clock, times, options, progress)
    return found.assign_attrs(fields=list(posteriors), seed=int(seed))


def one_of_system(prediction: xr.Dataset, field: str) -> xr.Dataset:
    """What `predict_system` foretells of one field, as `predict` returns it: for scores and figures.

    Raises:
        ConfigError: If the prediction has no such field.
    """
    names = list(prediction.attrs.get("fields", ()))
    if field not in names:
        raise ConfigError(
            "The prediction has no such field.",
            got=field,
            wanted=", ".join(names) or "what predict_system returns",
            fix="one_of_system(prediction, 'u')",
        )
    attrs = {k: v for k, v in prediction.attrs.items() if k != "fields"}
    noise = float(np.atleast_1d(prediction.attrs["noise_scale"])[names.index(field)])
    return prediction[[field, "ended", "coefficient"]].assign_attrs(attrs | {"field": field, "noise_scale": noise})
