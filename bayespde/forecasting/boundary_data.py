"""An initial condition + observed frames -> the same with its edges following the observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.forecasting.initial_conditions import InitialCondition
from bayespde.forecasting.propagate import SAME
from bayespde.solve.boundary_data import DirichletData, boundary_mask


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
