"""Frames before a forecast -> reference forecasts that need no equation: persistence, and constant velocity."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import xarray as xr

from bayespde.core.errors import ConfigError

# Last frames from which the velocity is measured.
LAST = 5


def reference_forecasts(before: xr.DataArray, clock: np.ndarray, boundary: str) -> dict[str, np.ndarray]:
    """The last frame as it is, and moved on at the velocity of the last frames.

    Args:
        before: Frames up to the initial time, dims `time` and those of space.
        clock: Times of the forecast.
        boundary: Boundary condition in space; what leaves a periodic field comes back on the other side.

    Returns:
        `persistence` and `constant_velocity`, each `[time, *space]`.

    Raises:
        ConfigError: If there are fewer than two frames.
    """
    if before.sizes["time"] < 2:
        raise ConfigError(
            "A velocity needs frames.",
            got="1 frame before",
            wanted="two or more",
            fix="before=field.isel(time=slice(-5, None))",
        )
    last, times = before.values[-1], before["time"].values
    recent = before.isel(time=slice(-LAST, None))
    steps = [float(np.diff(before[d].values).mean()) for d in before.dims[1:]]
    change = np.gradient(recent.values, recent["time"].values, axis=0)
    slopes = [np.gradient(recent.values, step, axis=a) for a, step in enumerate(steps, start=1)]
    design = np.stack([s.ravel() for s in slopes], axis=1)
    kept = np.isfinite(design).all(axis=1) & np.isfinite(change.ravel())
    velocity = -np.linalg.lstsq(design[kept], change.ravel()[kept], rcond=None)[0]
    mode = "grid-wrap" if boundary == "periodic" else "nearest"
    moved = [scipy.ndimage.shift(last, velocity * (t - times[-1]) / steps, order=1, mode=mode) for t in clock]
    return {"persistence": np.broadcast_to(last, (len(clock), *last.shape)), "constant_velocity": np.stack(moved)}
