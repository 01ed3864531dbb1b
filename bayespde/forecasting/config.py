"""Settings -> a checked `ForecastConfig`: how many draws, which boundary, which accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.forecasting.propagate import ACCURACY, DIVERGENCE_THRESHOLD
from bayespde.solve.config import SolverConfig

BOUNDARIES = ("periodic", "neumann", "dirichlet", "open")
MOST_STEPS = 20_000


@dataclass(frozen=True)
class ForecastConfig:
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

    draws: int = 100
    boundary: str = "auto"
    noise_scale: float | None = None
    rtol: float = 1e-5
    accuracy: float = ACCURACY
    divergence_threshold: float = DIVERGENCE_THRESHOLD
    boundary_data: xr.DataArray | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        noise = 0.0 if self.noise_scale is None else self.noise_scale
        if not (
            isinstance(self.draws, int)
            and self.draws >= 1
            and self.boundary in ("auto", *BOUNDARIES)
            and 0 <= noise < math.inf
            and 1e-13 <= self.rtol < 1
            and 0 < self.accuracy < 1
            and self.divergence_threshold > 1
            and isinstance(self.boundary_data, xr.DataArray | None)
        ):
            raise ConfigError(
                "A setting of the forecast is out of range.",
                got=self,
                wanted=f"draws >= 1, a boundary among auto, {', '.join(BOUNDARIES)}, tolerances in (0, 1), "
                "divergence_threshold > 1, boundary_data a DataArray of frames or None",
                fix="ForecastConfig()",
            )

    @property
    def wanted_boundary(self) -> str:
        """The boundary asked for: that of boundary data is "dirichlet" unless another is named."""
        return "dirichlet" if self.boundary == "auto" and self.boundary_data is not None else self.boundary

    def method(self, boundary: str, size: float) -> SolverConfig:
        """Solver settings for a boundary, and states of about this size; any size for one that is 0."""
        method = SolverConfig(rtol=self.rtol, atol=self.rtol * (size or 1.0) * 1e-3, maximum_steps=MOST_STEPS)
        return method.with_boundary("periodic" if boundary == "open" else boundary)
