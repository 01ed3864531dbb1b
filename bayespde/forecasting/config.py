"""Settings -> a checked `ForecastConfig`: how many draws, which boundary, which accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import xarray as xr

from bayespde.core.annotations import Count, MadeBy, NonNegative, OneOf, Range, Share
from bayespde.core.checked import Checked
from bayespde.forecasting.propagate import ACCURACY, DIVERGENCE_THRESHOLD
from bayespde.solve.config import SolverConfig

BOUNDARIES = ("periodic", "neumann", "dirichlet", "open")
MOST_STEPS = 20_000


@dataclass(frozen=True)
class ForecastConfig(Checked):
    """How to forecast.

    Attributes:
        draws: Number of draws of the equation and its initial state together.
        boundary: "auto", as the edges of the field at the start suggest; "periodic", "neumann" or "dirichlet" (edges
            keep the values of the start), as for `SolverConfig`; or "open", a window of a larger field with the same
            equation.
        noise_scale: Standard deviation of a pixel; None means that of the field at the start, 0 for a known frame.
        rtol: Tolerated error of a step, relative to the largest `|u|`.
        accuracy: Tolerated change by a finer grid, relative to the standard deviation of the first frames.
        divergence_threshold: A draw counts as diverged once `|u|` exceeds this multiple of the largest observed one.
        boundary_data: Observed frames, best smoothed ones, whose edges the forecast follows: what enters a window is
            then known, and the equation is assessed by the interior alone. For one equation up to second order; linear
            in time between frames.
    """

    draws: Count = 100
    boundary: Annotated[str, OneOf(("auto", *BOUNDARIES))] = "auto"
    noise_scale: NonNegative | None = None
    rtol: Annotated[float, Range(1e-13, below=1)] = 1e-5
    accuracy: Share = ACCURACY
    divergence_threshold: Annotated[float, Range(above=1)] = DIVERGENCE_THRESHOLD
    boundary_data: Annotated[xr.DataArray, MadeBy("field.isel(time=slice(k, None))", ("time",))] | None = field(
        default=None, compare=False, repr=False
    )

    @property
    def wanted_boundary(self) -> str:
        """The boundary asked for: that of boundary data is "dirichlet" unless another is named."""
        return "dirichlet" if self.boundary == "auto" and self.boundary_data is not None else self.boundary

    def method(self, boundary: str, size: float) -> SolverConfig:
        """Solver settings for a boundary, and states of about this size; any size for one that is 0."""
        method = SolverConfig(rtol=self.rtol, atol=self.rtol * (size or 1.0) * 1e-3, maximum_steps=MOST_STEPS)
        return method.with_boundary("periodic" if boundary == "open" else boundary)
