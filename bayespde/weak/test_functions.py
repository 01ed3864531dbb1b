"""Support radius and a grid -> the test functions of an axis, and their derivatives as one small matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class TestFunctions:
    """Test functions of one axis: bumps (1 - s^2)^p with s = (position - centre) / support radius.

    Attributes:
        centres: Sample index of every centre, `[c]`.
        radius: Support radius in samples.
        power: Exponent p; the bump has p - 1 continuous derivatives.
        samples: Length of the axis.
        spacing: Physical distance of samples.
    """

    centres: np.ndarray
    radius: int
    power: int
    samples: int
    spacing: float
    _matrices: dict[int, np.ndarray] = field(init=False, repr=False, default_factory=dict)

    def matrix(self, order: int) -> np.ndarray:
        """The `order`-th derivative of every bump on the grid, times the quadrature weight: `[c, samples]`, cached."""
        if order not in self._matrices:
            self._matrices[order] = self._matrix(order)
            self._matrices[order].setflags(write=False)
        return self._matrices[order]

    def _matrix(self, order: int) -> np.ndarray:
        s = (np.arange(self.samples) - self.centres[:, None]) / self.radius
        polynomial = (np.polynomial.Polynomial([1.0, 0.0, -1.0]) ** self.power).deriv(order)
        values = np.where(np.abs(s) < 1, polynomial(np.clip(s, -1, 1)), 0.0)
        return values / (self.radius * self.spacing) ** order * self.spacing

    def local(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """The nonzero part of `matrix`: sample indices and weights, `[c, 2 radius - 1]` each."""
        index = self.centres[:, None] + np.arange(1 - self.radius, self.radius)
        return index, np.take_along_axis(self.matrix(order), index, axis=1)


def project(values: np.ndarray, test_functions: Sequence[TestFunctions], orders: Sequence[int]) -> np.ndarray:
    """Integrate a field against a derivative of every test function: `[m]`, time slowest."""
    for axis, (functions, order) in enumerate(zip(test_functions, orders, strict=True)):
        values = np.moveaxis(np.tensordot(functions.matrix(order), values, axes=(1, axis)), 0, axis)
    return values.ravel()


def target_moments(values: np.ndarray, test_functions: Sequence[TestFunctions], order: int) -> np.ndarray:
    """Moments of a time derivative of a field, moved onto the test functions: `[m]`; subtract the mean first."""
    return np.asarray((-1) ** order * project(values, test_functions, (order,) + (0,) * (values.ndim - 1)))
