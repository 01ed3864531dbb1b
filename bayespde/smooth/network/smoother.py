"""NETWORKS + OBSERVATIONS -> FIELD, DERIVATIVES in physical units, with standard deviations and draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayespde.core.annotations import Orders
from bayespde.core.errors import ConfigError
from bayespde.core.scales import Scales
from bayespde.smooth.network.draw import NetworkDraw
from bayespde.smooth.network.ensemble import EnsemblePosterior, NetworkEnsemble, ensemble_posterior

if TYPE_CHECKING:
    from bayespde.smooth.observations import Observations

Axes = tuple[np.ndarray, ...]
# At points `[n, dimensions]`: derivatives `[n, len(orders)]`.
AtPoints = Callable[[np.ndarray, list[Orders]], np.ndarray]
# Grid points at which networks are evaluated at a time.
SLAB = 500_000


@dataclass(frozen=True, eq=False)
class NetworkSmoother:
    """The mean of trained networks as a smooth field.

    Attributes:
        data: The observations to which they were fitted.
        scales: From physical to standardised units.
        ensemble: The networks.
        shrinkage: Of their posterior (`EnsemblePosterior`), or None if it was not calibrated.
        linearised: The networks linearised, whatever the shrinkage; found when first needed, if absent.
    """

    data: Observations
    scales: Scales
    ensemble: NetworkEnsemble
    shrinkage: float | None = None
    linearised: EnsemblePosterior | None = None

    @cached_property
    def posterior(self) -> EnsemblePosterior:
        """The networks linearised around the end of training, in standardised coordinates; nothing is trained.

        Raises:
            ConfigError: If the networks were fitted without the calibration.
        """
        if self.shrinkage is None:
            raise ConfigError(
                "The standard deviations of the networks are not calibrated.",
                got="networks fitted with uncertainty=False",
                wanted="networks fitted with uncertainty=True, the default",
                fix="smooth = fit_field(field, smoother='network'), or bayespde.smooth.fit.with_uncertainty(smooth)",
            )
        return replace(self.linearised or self.linearise(), shrinkage=self.shrinkage)

    def linearise(self) -> EnsemblePosterior:
        """The networks linearised, with the shrinkage 1."""
        coordinates, _ = self.data.standardised(self.scales)
        return ensemble_posterior(self.ensemble, coordinates)

    def evaluate(self, orders: Sequence[Orders], axes: Axes) -> np.ndarray:
        """Derivatives of the mean on a tensor grid, `[len(orders), *grid]`; all in one pass over the grid."""
        return _on_grid(self.mean_at, orders, axes)

    def standard_deviation(self, orders: Sequence[Orders], axes: Axes) -> np.ndarray:
        """Standard deviations on a tensor grid, shape of `evaluate`; some milliseconds per point."""
        return _on_grid(self.deviation_at, orders, axes)

    def at_points(self, orders: Orders, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean `[n]` and standard deviation `[n]` of a derivative at points `[n, dimensions]`, physical units."""
        points = np.asarray(points, dtype=np.float64)
        return self.mean_at(points, [orders])[:, 0], self.deviation_at(points, [orders])[:, 0]

    def draws_at(self, orders: Orders, points: np.ndarray, count: int, *, seed: int) -> np.ndarray:
        """Draws of a derivative at scattered points `[n, dimensions]`: `[count, n]`, float64, physical units."""
        unit = self._unit(np.asarray(points, dtype=np.float64))
        drawn = self.posterior.draws(unit, [orders], count=count, seed=seed)[..., 0]
        return drawn * self._factors([orders])[0] + (0.0 if any(orders) else self.scales.offset)

    def draw(self, seed: int) -> Callable[[Sequence[Orders], Axes], np.ndarray]:
        """One field of the posterior: a function of orders and axes, as `evaluate`."""
        change = NetworkDraw(self.posterior, seed)

        def at(points: np.ndarray, orders: list[Orders]) -> np.ndarray:
            moved = change(self._unit(points), orders) * self._factors(orders)
            return self.mean_at(points, orders) + moved

        return lambda orders, axes: _on_grid(at, orders, axes)

    def mean_at(self, points: np.ndarray, orders: list[Orders]) -> np.ndarray:
        """Derivatives of the mean at points `[n, dimensions]`: `[n, len(orders)]`, physical units."""
        offset = np.array([0.0 if any(o) else self.scales.offset for o in orders])
        return self.ensemble.evaluate(self._unit(points), orders) * self._factors(orders) + offset

    def deviation_at(self, points: np.ndarray, orders: list[Orders]) -> np.ndarray:
        """Standard deviations at points `[n, dimensions]`: `[n, len(orders)]`, physical units."""
        return self.posterior.standard_deviation(self._unit(points), orders) * self._factors(orders)

    def _factors(self, orders: list[Orders]) -> np.ndarray:
        scales = self.scales
        return np.array([scales.amplitude * scales.derivative_factor(o) * 2.0 ** sum(o) for o in orders])

    def _unit(self, points: np.ndarray) -> np.ndarray:
        return np.column_stack([2 * self.scales.to_unit(d, points[:, i]) - 1 for i, d in enumerate(self.scales.dims)])


def _on_grid(at: AtPoints, orders: Sequence[Orders], axes: Axes) -> np.ndarray:
    """Evaluate a function of points on a tensor grid, a few frames at a time."""
    times, *space = axes
    found = np.empty((len(orders), *(len(a) for a in axes)))
    some = max(1, SLAB // found[0, 0].size)
    for k in range(0, len(times), some):
        points = np.stack(np.meshgrid(times[k : k + some], *space, indexing="ij"), axis=-1)
        values = at(points.reshape(-1, points.shape[-1]), list(orders))
        found[:, k : k + some] = values.T.reshape(-1, *points.shape[:-1])
    return found
