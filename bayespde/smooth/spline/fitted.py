"""SPLINE COEFFICIENTS -> FIELD, DERIVATIVES with standard deviations and draws of an exact posterior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayespde.core.one_line import one_line
from bayespde.core.scales import Scales
from bayespde.smooth.spline.basis import AxisBasis, apply_per_axis, sum_at_points


@dataclass(frozen=True, eq=False)
class SplineFit:
    """A fitted spline and its exact Gaussian posterior.

    Attributes:
        scales: Maps between physical and unit coordinates.
        bases: One per dimension, in field order.
        coefficients: Posterior mean in the Demmler-Reinsch basis, physical amplitude.
        shrinkage: Factor in (0, 1] by which each data coefficient was shrunk, same shape.
        noise_scale: Estimated standard deviation of the pixel noise.
        degrees_of_freedom: Effective number of parameters.
        score: Root of the generalised cross-validation score, an estimate of the error at a pixel left out.
        weights: Smoothing weight per dimension, in unit coordinates.
        hold_out: The unit left out when the weights were chosen, "pixels", "frames" or "blocks".
        block: Samples of a block to either side of the pixel it is centred on, per dimension; empty for other units.
        correlation: Correlation of the residuals of neighbouring samples, per dimension.
    """

    scales: Scales
    bases: tuple[AxisBasis, ...]
    coefficients: np.ndarray
    shrinkage: np.ndarray
    noise_scale: float
    degrees_of_freedom: float
    score: float
    weights: tuple[float, ...]
    hold_out: str = "pixels"
    block: tuple[int, ...] = ()
    correlation: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return one_line(
            self,
            shape=tuple(len(grid) for grid in self.grids),
            noise_scale=self.noise_scale,
            degrees_of_freedom=self.degrees_of_freedom,
            hold_out=self.hold_out,
        )

    @property
    def grids(self) -> tuple[np.ndarray, ...]:
        """Basis functions of each axis on the samples of the data, `[samples, basis]` each."""
        return tuple(b.grid for b in self.bases)

    @property
    def variance(self) -> np.ndarray:
        """Posterior variance of each coefficient, shape of `coefficients`."""
        return self.noise_scale**2 * self.shrinkage

    def residual(self, values: np.ndarray) -> np.ndarray:
        """Residual on the grid of the data, of values less the mean of the field."""
        return np.asarray(values + self.scales.offset - self.evaluate((0,) * values.ndim))

    def with_coefficients(self, coefficients: np.ndarray) -> SplineFit:
        """The same spline with another mean."""
        return replace(self, coefficients=coefficients)

    def evaluate(self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None = None) -> np.ndarray:
        """Posterior mean of a derivative on a tensor grid.

        Args:
            orders: Order of differentiation per dimension, field order.
            coordinates: Positions per dimension in physical units; the data's grid by default.

        Returns:
            `[len(c) for c in coordinates]`, float64, physical units.
        """
        return apply_per_axis(self._matrices(orders, coordinates), self.coefficients) * self.scales.derivative_factor(
            orders
        )

    def standard_deviation(
        self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None = None
    ) -> np.ndarray:
        """Posterior standard deviation of a derivative on a tensor grid; arguments and shape as in `evaluate`."""
        squares = [m**2 for m in self._matrices(orders, coordinates)]
        variance = self.noise_scale**2 * apply_per_axis(squares, self.shrinkage)
        return np.sqrt(np.maximum(variance, 0.0)) * self.scales.derivative_factor(orders)

    def at_points(self, orders: tuple[int, ...], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of a derivative at scattered points.

        Args:
            orders: Order of differentiation per dimension.
            points: `[n, dimensions]`, physical units, field order.

        Returns:
            Mean `[n]` and standard deviation `[n]`.
        """
        matrices = self._matrices(orders, tuple(points.T))
        mean = sum_at_points(matrices, self.coefficients)
        variance = sum_at_points([m**2 for m in matrices], self.shrinkage)
        factor = self.scales.derivative_factor(orders)
        return mean * factor, self.noise_scale * np.sqrt(np.maximum(variance, 0.0)) * factor

    def draw(self, generator: np.random.Generator) -> SplineFit:
        """One draw of the field from its posterior, as a spline whose mean is the draw."""
        noise = generator.standard_normal(self.coefficients.shape) * np.sqrt(self.shrinkage) * self.noise_scale
        return self.with_coefficients(self.coefficients + noise)

    def _matrices(self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None) -> list[np.ndarray]:
        if coordinates is None and not any(orders):
            return [b.grid for b in self.bases]
        matrices = []
        for i, (basis, order) in enumerate(zip(self.bases, orders, strict=True)):
            if coordinates is None:
                unit = np.linspace(0.0, 1.0, len(basis.grid))
            else:
                unit = self.scales.to_unit(self.scales.dims[i], coordinates[i])
            matrices.append(basis.evaluate(unit, order))
        return matrices
