"""FITTED SMOOTHERS -> FIELD, DERIVATIVES with standard deviations and draws, on the grid of the data or at points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayespde.core.annotations import CountOrZero, Orders
from bayespde.core.arrays import finite_array
from bayespde.core.checked import Checked, validated
from bayespde.core.errors import ConfigError, FieldError
from bayespde.core.one_line import one_line
from bayespde.core.one_order import in_one_order
from bayespde.core.random import checked_seed
from bayespde.smooth.choice import SmoothingChoice
from bayespde.smooth.network.ensemble import EnsemblePosterior
from bayespde.smooth.network.smoother import Axes, NetworkSmoother
from bayespde.smooth.spline.fitted import SplineFit

if TYPE_CHECKING:
    from bayespde.smooth.observations import Observations
    from bayespde.smooth.spline.basis import SplineConfig


@dataclass(frozen=True, eq=False)
class FieldDraw:
    """One field of the posterior of a smooth field; all its derivatives are those of this field.

    Attributes:
        field: The raw field.
        evaluate_all: Several derivatives on its grid, by orders per dimension: `[len(orders), *field shape]`.
    """

    field: xr.DataArray
    evaluate_all: Callable[[Sequence[Orders]], np.ndarray]

    def evaluate(self, orders: Orders) -> np.ndarray:
        """One derivative on the grid of the data: field shape, float64, physical units."""
        return self.evaluate_all([orders])[0]


@dataclass(frozen=True, eq=False)
class SmoothField(Checked):
    """A noisy field made smooth: the spline always, neural fields where trained, and which of them is used.

    Attributes:
        data: The observations.
        spline: The penalised spline: noise level, exact posterior.
        spline_config: Its settings.
        network: The neural fields, if any were trained; their mean is the smoother.
        choice: Which of the two is used, why, and the held-out rmse of every candidate.
    """

    data: Observations
    spline: SplineFit
    spline_config: SplineConfig
    network: NetworkSmoother | None
    choice: SmoothingChoice

    def __repr__(self) -> str:
        sizes = {str(d): n for d, n in self.field.sizes.items()}
        return one_line(self, field=str(self.field.name), sizes=sizes, smoother=self.chosen)

    @property
    def chosen(self) -> str:
        """The smoother that is used: `spline` or `network`."""
        return self.choice.smoother

    @property
    def field(self) -> xr.DataArray:
        """The raw field, on whose grid the smooth one is evaluated; of samples their means at the nodes of a grid."""
        return self.data.field

    @property
    def noise_scale(self) -> float:
        """Standard deviation of the pixel noise, units of the field, from the spline."""
        return self.data.noise_scale(self.spline)

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimension names, time first."""
        return tuple(map(str, self.field.dims))

    @property
    def network_posterior(self) -> EnsemblePosterior:
        """Linearisation of the neural fields around the end of training, in their own standardised coordinates.

        Raises:
            ConfigError: If no networks were trained, or without their uncertainty.
        """
        return self._trained().posterior

    @validated
    @in_one_order
    def evaluate(self, orders: Orders) -> np.ndarray:
        """Derivative of the chosen smoother on the grid of the data: field shape, float64, physical units."""
        self._check([orders])
        return self.spline.evaluate(orders) if self.chosen == "spline" else self.evaluate_all([orders])[0]

    @validated
    @in_one_order
    def evaluate_all(self, orders: Sequence[Orders]) -> np.ndarray:
        """Several derivatives on the grid of the data, `[len(orders), *field shape]`; networks in one pass."""
        self._check(orders)
        if self.chosen == "spline":
            return self._stacked(orders, self.spline.evaluate)
        return self._trained().evaluate(orders, self._axes)

    @validated
    @in_one_order
    def evaluate_frames(self, orders: Sequence[Orders], frames: Sequence[CountOrZero]) -> np.ndarray:
        """Several derivatives at some frames only, by index: `[len(orders), len(frames), *space]`."""
        self._check(orders)
        times, *space = self._axes
        if max(frames, default=0) >= len(times):
            raise ConfigError(
                "The video has no such frame.",
                got=str(max(frames)),
                wanted=f"indices from 0 to {len(times) - 1}",
                fix="frames=[0]",
            )
        axes = (times[list(frames)], *space)
        if self.chosen == "spline":
            return np.stack([self.spline.evaluate(o, axes) for o in orders])
        return self._trained().evaluate(orders, axes)

    @validated
    @in_one_order
    def standard_deviation(self, orders: Sequence[Orders]) -> np.ndarray:
        """Standard deviations, shape of `evaluate_all`; those of networks take some milliseconds per pixel.

        Missing pixels do not widen them.

        Raises:
            ConfigError: If networks are used that were fitted without their uncertainty.
        """
        self._check(orders)
        if self.chosen == "spline":
            return self._stacked(orders, self.spline.standard_deviation)
        return self._trained().standard_deviation(orders, self._axes)

    @validated
    @in_one_order
    def at_points(self, orders: Orders, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivative of the chosen smoother at scattered points.

        Args:
            orders: Order of differentiation per dimension, time first.
            points: `[n, dimensions]`, physical units.

        Returns:
            Mean `[n]` and standard deviation `[n]`: exact for the spline; for neural fields that of the noise through
            their linearised mean (`EnsemblePosterior`).

        Raises:
            ConfigError: If networks are used that were fitted without their uncertainty.
            FieldError: If a point is not in the video, but for half a pixel.
        """
        self._check([orders])
        places = finite_array(points, "points", (-1, len(self.dims)), error=FieldError)
        self._check_extent(places)
        return (self.spline if self.chosen == "spline" else self._trained()).at_points(orders, places)

    @validated
    @in_one_order
    def draw(self, seed: int) -> FieldDraw:
        """One field of the posterior of the chosen smoother, on the grid of the data.

        Args:
            seed: Non-negative integer; another seed gives another field.

        Returns:
            The draw: exact for the spline; for neural fields the mean of the networks plus its change by one draw of
            the noise (`EnsemblePosterior`).

        Raises:
            ConfigError: If the seed is not a non-negative integer, or networks are used that were fitted without their
                uncertainty.
        """
        if self.chosen == "spline":
            spline = self.spline.draw(np.random.default_rng(checked_seed(seed)))
            return FieldDraw(self.field, in_one_order(lambda orders: self._stacked(orders, spline.evaluate)))
        drawn = self._trained().draw(seed)
        return FieldDraw(self.field, in_one_order(lambda orders: drawn(orders, self._axes)))

    def summary(self) -> str:
        """What was chosen and why, in a few lines."""
        fits = self.network.ensemble.fits if self.network else ()
        lines = [
            *self.choice.describe(),
            *(f"kept: {fit.describe()}" for fit in fits),
            f"pixel noise {self.noise_scale:.4g}, {self.spline.degrees_of_freedom:.0f} degrees of freedom",
            *self.data.describe(),
            *self.choice.describe_noise(self.dims[1:]),
        ]
        return "\n".join(lines)

    def _check(self, orders: Sequence[Orders]) -> None:
        if not orders or any(len(order) != len(self.dims) for order in orders):
            raise ConfigError(
                "A derivative needs one order for each dimension.",
                got=str(list(orders))[:80],
                wanted=f"{len(self.dims)} integers each, for {', '.join(self.dims)}",
                fix=f"{(0,) * (len(self.dims) - 1) + (1,)} for the first derivative by {self.dims[-1]}",
            )

    def _check_extent(self, points: np.ndarray) -> None:
        """Check that points (`[n, dimensions]`) are in the video: beyond it a smooth field is of no use."""
        low, high = (np.array([f(axis) for axis in self._axes]) for f in (np.min, np.max))
        margin = [0.5 * float(np.abs(np.diff(axis)).max(initial=0.0)) * (1 + 1e-9) for axis in self._axes]
        outside = (points < low - margin) | (points > high + margin)
        if outside.any():
            raise FieldError(
                "A point is outside of the video.",
                got=str(points[outside.any(axis=1)][0]),
                wanted=f"points from {low} to {high}",
                fix="forecast(posterior, smooth, times) for later times",
            )

    @property
    def _axes(self) -> Axes:
        return tuple(self.field[d].values for d in self.dims)

    def _stacked(self, orders: Sequence[Orders], of: Callable[[Orders], np.ndarray]) -> np.ndarray:
        # Of a long video there is no room for a list of arrays and their stack.
        found = np.empty((len(orders), *self.field.shape))
        for k, order in enumerate(orders):
            found[k] = of(order)
        return found

    def _trained(self) -> NetworkSmoother:
        if self.network is None:
            raise ConfigError(
                "No neural field was trained.",
                got="spline only",
                wanted="a neural field",
                fix="fit_field(field, smoother='network')",
            )
        return self.network
