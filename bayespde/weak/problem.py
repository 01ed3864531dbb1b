"""Moments of a field over test functions, and the covariance that its noise gives them at a pilot equation.

Rows are moments over test functions phi. The target's moment b is taken from the raw field y, the terms' moments A
from the smooth field v, so no power of noisy data appears anywhere. The correction D_j = int phi f_j'(v)[y - v] makes
the rows unbiased to first order: z = b - D beta0 obeys z = A beta + (known linear map of the noise) at the truth if
the pilot beta0 is near it. That map gives the covariance, which depends on the pilot only, never on the model compared
[messenger2021, bortz2023].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import sympy

from bayespde.core.equation import Library
from bayespde.core.terms import evaluate_expression
from bayespde.noise.covariance import NoiseCovariance
from bayespde.weak.config import WeakForm
from bayespde.weak.coupled_fields import CoupledField
from bayespde.weak.integration_by_parts import Orders
from bayespde.weak.moment_covariance import Factor, moment_covariance
from bayespde.weak.test_functions import TestFunctions


@dataclass(frozen=True, eq=False)
class WeakProblem:
    """All moments that do not depend on the pilot.

    Attributes:
        library: The candidate terms.
        options: The settings used.
        windows: One per dimension, time first.
        design: Moments of the terms, from the smooth field: `[m, K]`.
        correction: Moments D, `[m, K]`.
        target: Moment of the raw target, `[m]`.
        noise: What the noise of the field is made of.
        kernels: For each term, the kernels of its first variation by order on the test function, as expressions.
        values: Values of a derivative of the smooth field on its grid, by name; kept between calls.
        scheme: Moment of (dt/2) u_tt, `[m]`, or zeros.
        kept: Test functions that see enough observed pixels, `[m_all]`, bool; `m` of them.
        capped: Dimensions whose automatic half-width hit its cap.
        coupled_fields: The other fields of a system, with their noise.
    """

    library: Library
    options: WeakForm
    windows: tuple[TestFunctions, ...]
    design: np.ndarray
    correction: np.ndarray
    target: np.ndarray
    noise: NoiseCovariance
    kernels: tuple[dict[Orders, sympy.Expr], ...]
    values: Callable[[str], np.ndarray]
    scheme: np.ndarray
    kept: np.ndarray
    capped: tuple[str, ...]
    coupled_fields: tuple[CoupledField, ...] = ()

    @property
    def target_order(self) -> int:
        """Order of the time derivative on the left."""
        return self.library.target.count("t", len(self.library.variable))

    @property
    def orders(self) -> set[Orders]:
        """Derivatives that stand on the test functions where the target's field enters: its own, and of every term."""
        return {(self.target_order,) + (0,) * (len(self.windows) - 1)}.union(*self.kernels)

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
            kernels=tuple(k for k, keep in zip(self.kernels, on, strict=True) if keep),
            coupled_fields=tuple(b.restricted(on) for b in self.coupled_fields),
        )

    def covariance(self, pilot: np.ndarray) -> np.ndarray:
        """Covariance of z at a pilot `[K]`: noise of the video, scheme error and floor, `[m, m]` [bortz2023]."""
        return self.noise_covariance(pilot) + self.allowance()

    def allowance(self) -> np.ndarray:
        """Covariance of what the rows may miss without noise: scheme error and floor, `[m, m]`."""
        return np.outer(self.scheme, self.scheme) + self.floor_scale**2 * np.eye(len(self.scheme))

    def noise_covariance(self, pilot: np.ndarray, other: tuple[WeakProblem, np.ndarray] | None = None) -> np.ndarray:
        """Covariance of z from the noise of the video alone.

        Args:
            pilot: The equation, `[K]`.
            other: Moments over the same test functions at another equation, for the covariance of z with theirs.

        Returns:
            `[m, m]`.
        """
        left, right = self._factors(pilot), None if other is None else other[0]._factors(other[1])
        total = moment_covariance(self.windows, self.noise, left[0], None if right is None else right[0])
        for i, one in enumerate(self.coupled_fields, start=1):
            if left[i] and (right is None or right[i]):
                total += moment_covariance(self.windows, one.known_noise, left[i], None if right is None else right[i])
        return total[np.ix_(self.kept, self.kept)]

    def pilot_kernels(self, pilot: np.ndarray, field: int = 0) -> dict[Orders, np.ndarray]:
        """Kernels of the first variation of the right-hand side at a pilot `[K]`, by order, each of field shape.

        Args:
            pilot: The equation.
            field: In which field: 0 is that of the target, then those coupled_fields it.
        """
        total: dict[Orders, np.ndarray] = {}
        by_term = self.coupled_fields[field - 1].kernels if field else self.kernels
        for value, kernels in zip(pilot, by_term, strict=True):
            for q, h in kernels.items() if value else ():
                here = value * np.broadcast_to(evaluate_expression(h, self.values), self.noise.pixel.shape)
                total[q] = total[q] + here if q in total else here
        return total

    def _factors(self, pilot: np.ndarray) -> list[list[Factor]]:
        """How the pixels of each field enter z at a pilot `[K]`: of the first field, that of the target first."""
        order, shape = self.target_order, self.noise.pixel.shape
        target = Factor((order,) + (0,) * (len(shape) - 1), np.broadcast_to((-1.0) ** order, shape))
        found = [
            [Factor(q, -h) for q, h in self.pilot_kernels(pilot, i).items()]
            for i in range(1 + len(self.coupled_fields))
        ]
        return [[target, *found[0]], *found[1:]]
