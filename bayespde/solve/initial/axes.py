"""Positions per dimension -> the names, periods and frames that initial states are built from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bayespde.solve.derivatives import SPACE_DIMS

Axes = Mapping[str, np.ndarray]


def dimension_names(axes: Axes) -> tuple[str, ...]:
    """The dimensions in the order z, y, x."""
    names = next((dims for dims in SPACE_DIMS if set(dims) == set(axes)), None)
    if names is None:
        raise ValueError(f"axes must be x, or y and x, or z, y and x, not {sorted(axes)}")
    return names


def period(axis: np.ndarray) -> float:
    """Length of a periodic axis: points times step."""
    return float((axis[-1] - axis[0]) * len(axis) / (len(axis) - 1))


def periodic_offset(axis: np.ndarray, centre: float) -> np.ndarray:
    """Signed distance of every position from the nearest periodic image of a centre."""
    offset, length = axis - centre, period(axis)
    return offset - length * np.round(offset / length)


def logistic(argument: np.ndarray) -> np.ndarray:
    """`1 / (1 + exp(-argument))`, without overflow."""
    return 0.5 * (1 + np.tanh(argument / 2))


def frame(axes: Axes, values: np.ndarray) -> xr.DataArray:
    """Values as a frame `u` with the positions of the axes."""
    names = dimension_names(axes)
    return xr.DataArray(
        np.array(values, dtype=np.float64),
        dims=names,
        coords={d: np.asarray(axes[d], dtype=np.float64) for d in names},
        name="u",
    )
