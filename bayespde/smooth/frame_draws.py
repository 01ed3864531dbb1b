"""SMOOTH FIELD -> MEAN, DRAWS OF ONE FRAME, and its likely boundary conditions."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.smooth.boundary_conditions import infer_boundary_conditions
from bayespde.smooth.smooth_field import SmoothField

# Of the smooth field, for the posterior scatter at its boundary.
BOUNDARY_DRAWS = 4


def mean_field(smooth: SmoothField) -> xr.DataArray:
    """The mean of the chosen smoother on the grid of the data, with its coordinates and units."""
    return smooth.field.copy(data=smooth.evaluate((0,) * len(smooth.dims)))


def draw_frames(smooth: SmoothField, index: int, draws: int, random: np.random.Generator) -> np.ndarray:
    """Draws of one frame from the posterior of the chosen smoother.

    Args:
        smooth: The smooth field.
        index: Of the frame.
        draws: Number of draws.
        random: Source of randomness.

    Returns:
        `[draws, *space]`, float64, units of the field.

    Raises:
        ConfigError: If networks are used that were fitted without their uncertainty.
    """
    none, axes = (0,) * len(smooth.dims), [smooth.field[d].values for d in smooth.dims]
    frame = (axes[0][index : index + 1], *axes[1:])
    if smooth.chosen == "spline" or smooth.network is None:
        return np.stack([smooth.spline.draw(random).evaluate(none, frame)[0] for _ in range(draws)])
    points = np.stack(np.meshgrid(*frame, indexing="ij"), axis=-1).reshape(-1, len(axes))
    found = smooth.network.draws_at(none, points, draws, seed=int(random.integers(2**62)))
    return found.reshape(draws, *smooth.field.shape[1:])


def likely_boundaries(smooth: SmoothField, random: np.random.Generator) -> tuple[str, ...]:
    """Those of "periodic", "neumann" and "dirichlet" with which the spline agrees at its boundary."""
    none = (0,) * len(smooth.dims)
    draws = np.stack([smooth.spline.draw(random).evaluate(none) for _ in range(BOUNDARY_DRAWS)])
    return infer_boundary_conditions(smooth.spline.evaluate(none), draws)
