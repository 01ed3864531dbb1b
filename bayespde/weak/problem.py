"""Moments of a field over test functions -> the covariance that its noise gives them at a linearisation point.

Rows are moments over test functions phi. The target's moment b is taken from the raw field y, the terms' moments A
from the smoothed field v, so no power of noisy data appears anywhere. The correction D_j = int phi f_j'(v)[y - v] makes
the rows unbiased to first order: z = b - D beta0 obeys z = A beta + (known linear map of the noise) at the truth if
the linearisation point beta0 is near it. That map gives the covariance, which depends on beta0 only, never on the model
compared [messenger2021, bortz2023].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayespde.core.equation import Library
from bayespde.core.noise import NoiseModel
from bayespde.core.terms import evaluate_expression
from bayespde.weak.config import WeakForm
from bayespde.weak.integration_by_parts import Orders
from bayespde.weak.moment_covariance import Factor, moment_covariance
from bayespde.weak.observed_field import NoiseTransfer, ObservedField, Values
from bayespde.weak.test_functions import TestFunctions


@dataclass(frozen=True, eq=False)
class WeakProblem:
    """All moments that do not depend on the linearisation point.

    Attributes:
        library: The candidate terms.
        options: The settings used.
        fields: The target's field, then those coupled with it.
        transfers: How the noise of each enters.
        test_functions: One per dimension, time first.
        design: Moments of the terms, from the smoothed field: `[m, K]`.
        correction: Moments D, `[m, K]`.
        target: Moment of the raw target, `[m]`.
        values: Derivatives of the smoothed fields on their grid, by name; cached.
        scheme: Moment of (dt/2) u_tt, `[m]`, or zeros.
        kept: Test functions that see enough observed pixels, `[m_all]`, bool; `m` of them.
        capped: Dimensions whose automatic support radius hit its cap.
    """

    library: Library
    options: WeakForm
    fields: tuple[ObservedField, ...]
    transfers: tuple[NoiseTransfer, ...]
    test_functions: tuple[TestFunctions, ...]
    design: np.ndarray
    correction: np.ndarray
    target: np.ndarray
    values: Values
    scheme: np.ndarray
    kept: np.ndarray
    capped: tuple[str, ...]

    @property
    def noise(self) -> NoiseModel:
        """Of the target's field."""
        return self.transfers[0].noise

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the fields."""
        return tuple(f.samples for f in self.test_functions)

    @property
    def target_order(self) -> int:
        """Order of the time derivative on the left."""
        return target_order(self.library)

    def orders(self, field: int = 0) -> set[Orders]:
        """Derivatives on the test functions with which a field enters: of every term, and of the target its own."""
        of_terms = self.transfers[field].orders
        return of_terms if field else of_terms | {(self.target_order,) + (0,) * (len(self.shape) - 1)}

    @cached_property
    def floor_scale(self) -> float:
        """Misfit floor of a row, in units of the target."""
        return self.options.floor * float(np.sqrt(np.mean(self.target**2)))

    def restricted(self, on: np.ndarray) -> WeakProblem:
        """The same for the terms that are on, `[K]`, bool."""
        return replace(
            self,
            library=self.library.chosen(on),
            design=self.design[:, on],
            correction=self.correction[:, on],
            transfers=tuple(t.restricted(on) for t in self.transfers),
        )

    def covariance(self, point: np.ndarray) -> np.ndarray:
        """Covariance of z at a linearisation point `[K]`: pixel noise, scheme error and floor, `[m, m]` [bortz2023]."""
        return self.noise_covariance(point) + self.allowance()

    def allowance(self) -> np.ndarray:
        """Covariance of the misfit allowed without noise: scheme error and floor, `[m, m]`."""
        return np.outer(self.scheme, self.scheme) + self.floor_scale**2 * np.eye(len(self.scheme))

    def noise_covariance(self, point: np.ndarray, other: tuple[WeakProblem, np.ndarray] | None = None) -> np.ndarray:
        """Covariance of z from the noise of the pixels alone.

        Args:
            point: The linearisation point, `[K]`.
            other: Moments over the same test functions and their linearisation point, for the covariance with theirs.

        Returns:
            `[m, m]`.
        """
        left, right = self._factors(point), None if other is None else other[0]._factors(other[1])
        total = moment_covariance(self.test_functions, self.transfers[0], left[0], None if right is None else right[0])
        for i, transfer in enumerate(self.transfers[1:], start=1):
            if left[i] and (right is None or right[i]):
                total += moment_covariance(self.test_functions, transfer, left[i], None if right is None else right[i])
        return total[np.ix_(self.kept, self.kept)]

    def kernels(self, point: np.ndarray, field: int = 0) -> dict[Orders, np.ndarray]:
        """Kernels of the first variation of the right-hand side at an equation, by order, each of field shape.

        Args:
            point: The equation, `[K]`.
            field: In which field: 0 is that of the target, then those coupled with it.
        """
        total: dict[Orders, np.ndarray] = {}
        for value, kernels in zip(point, self.transfers[field].kernels, strict=True):
            for q, h in kernels.items() if value else ():
                here = value * np.broadcast_to(evaluate_expression(h, self.values), self.shape)
                total[q] = total[q] + here if q in total else here
        return total

    def _factors(self, point: np.ndarray) -> list[list[Factor]]:
        """How the pixels of each field enter z at a linearisation point; of the target's field, the target first."""
        order, dims = self.target_order, len(self.shape)
        target = Factor((order,) + (0,) * (dims - 1), np.broadcast_to((-1.0) ** order, self.shape))
        found = [[Factor(q, -h) for q, h in self.kernels(point, i).items()] for i in range(len(self.transfers))]
        return [[target, *found[0]], *found[1:]]


def target_order(library: Library) -> int:
    """Order of the time derivative on the left of a library."""
    return library.target.count("t", len(library.variable))
