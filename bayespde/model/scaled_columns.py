"""Columns + information of each row -> centred columns of unit length in that metric, ordered by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayespde.core.triangular import triangular_factor


@dataclass(frozen=True, eq=False)
class ScaledColumns:
    """Columns of a regression as numbers without units; answers do not depend on their order in the table.

    Attributes:
        design: Centred columns of unit length, `[n, K]`, float64; constant ones exactly 0.
        weight: Information of each row, `[n]`: the metric.
        order: Position in the table of each column, `[K]`.
        centre: Means in the metric, `[K]`, units of the table.
        scale: Lengths in the metric, `[K]`, units of the table; 1 where a column is constant.
    """

    design: np.ndarray
    weight: np.ndarray
    order: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, design: np.ndarray, names: Sequence[str], weight: np.ndarray) -> ScaledColumns:
        """Order, centre and scale the columns of a table."""
        order = np.argsort(np.array(names), kind="stable")
        ordered = design[:, order]
        centre = np.average(ordered, axis=0, weights=weight)
        varies = np.ptp(ordered, axis=0) > 0
        scale = np.where(varies, np.sqrt(weight @ (ordered - centre) ** 2), 1.0)
        return cls(np.where(varies, (ordered - centre) / scale, 0.0), weight, order, centre, scale)

    @cached_property
    def factor(self) -> np.ndarray:
        """Triangular factor of the columns in the metric, and of a target of zeros: `[K+1, K+1]`."""
        rows = np.sqrt(self.weight)[:, None] * np.column_stack([self.design, np.zeros(len(self.design))])
        return np.ascontiguousarray(triangular_factor(rows))

    @property
    def gram(self) -> np.ndarray:
        """Inner products of the columns in the metric, `[K, K]`."""
        return np.asarray(self.factor[:, :-1].T @ self.factor[:, :-1])

    def physical(self, intercept: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Intercepts `[P]` and coefficients `[P, K]` of the columns of the table, from those of the scaled ones."""
        slopes = coefficients / self.scale
        values = np.zeros(coefficients.shape)
        values[:, self.order] = slopes
        return intercept - slopes @ self.centre, values
