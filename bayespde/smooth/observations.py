"""FIELD -> OBSERVATIONS: values and coordinates for networks, a grid for the spline, and its error at hidden pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from bayespde.core.scales import Scales
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.smooth.spline.fitted import SplineFit

# Above this number of pixels the error of the spline at a pixel left out is by formula; below, the spline is fitted
# without it.
LEAVE_ONE_OUT = 3_000_000


@dataclass(frozen=True, eq=False)
class Observations(ABC):
    """The data to which a smoother is fitted.

    Attributes:
        field: The data on the grid of the spline; NaN where nothing was observed.
    """

    field: xr.DataArray

    @property
    @abstractmethod
    def values(self) -> np.ndarray:
        """Every observed value, `[n]`, float64, physical units."""

    @abstractmethod
    def standardised(self, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
        """The data for networks: coordinates `[n, d]` in [-1, 1], values `[n]`, both float32."""

    def fit(self, config: SplineConfig) -> SplineFit:
        """The spline, fitted on its grid."""
        return fit_spline(self.field, config=config)

    @abstractmethod
    def residual(self, spline: SplineFit) -> np.ndarray:
        """Observed minus spline, `[n]`."""

    @abstractmethod
    def held_out_residual(self, spline: SplineFit, config: SplineConfig, mask: np.ndarray) -> np.ndarray:
        """Observed minus spline at the values that the mask `[n]` hides from it."""

    def noise_scale(self, spline: SplineFit) -> float:
        """Standard deviation of the noise of one value, physical units."""
        return spline.noise_scale

    def describe(self) -> list[str]:
        """Lines of a summary."""
        return []


class GridObservations(Observations):
    """A checked field."""

    @property
    def values(self) -> np.ndarray:
        """As `Observations`."""
        return np.asarray(self.field.values[~np.isnan(self.field.values)])

    def standardised(self, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
        """As `Observations`."""
        field, observed = self.field, ~np.isnan(self.field.values)
        axes = np.ix_(*(2 * scales.to_unit(str(d), field[d].values) - 1 for d in field.dims))
        columns = [np.broadcast_to(axis.astype(np.float32), field.shape)[observed] for axis in axes]
        return np.stack(columns, axis=1), standardise(field.values[observed], scales)

    def residual(self, spline: SplineFit) -> np.ndarray:
        """As `Observations`."""
        return np.asarray((self.field.values - spline.evaluate((0,) * self.field.ndim))[~np.isnan(self.field.values)])

    def held_out_residual(self, spline: SplineFit, config: SplineConfig, mask: np.ndarray) -> np.ndarray:
        """As `Observations`; for long videos by the formula for one pixel left out."""
        field = self.field
        hidden, values = np.zeros(field.shape, dtype=bool), (0,) * field.ndim
        hidden[~np.isnan(field.values)] = mask
        if field.size > LEAVE_ONE_OUT and mask.size == field.size and spline.hold_out == "pixels":
            residual = field.values - spline.evaluate(values)
            own = (spline.standard_deviation(values) / spline.noise_scale) ** 2
            return np.asarray((residual / (1 - own))[hidden])
        gappy = field.copy(data=np.where(hidden, np.nan, field.values))
        fit = fit_spline(gappy, config=replace(config, hold_out=spline.hold_out, block=spline.block))
        return np.asarray((field.values - fit.evaluate(values))[hidden])


def standardise(values: np.ndarray, scales: Scales) -> np.ndarray:
    """To mean 0 and standard deviation 1, in single precision, which is enough for networks."""
    return ((values - scales.offset) / scales.amplitude).astype(np.float32)
