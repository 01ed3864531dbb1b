"""Right-hand side -> ETDRK4 steps: exponential in the stiff linear part, explicit in the rest."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import final

import torch

from bayespde.solve.right_hand_side import RightHandSide
from bayespde.solve.steppers.stepper import State, Stepper

ORDER = 4
CONTOUR_POINTS = 32
# Step sizes whose coefficients are kept.
KEPT_STEP_SIZES = 16
# Values on circles that are computed together.
VALUES_TOGETHER = 2**16


@final
class ETDRK4(Stepper):
    """Exponential time differencing: rates exactly, the rest by Runge-Kutta of order 4 [coxmatthews2002].

    The error is estimated by step doubling: two half steps against a whole one.
    """

    error_order = ORDER + 1

    def __init__(self, equation: RightHandSide) -> None:
        super().__init__(equation)
        self._coefficients = lru_cache(KEPT_STEP_SIZES)(partial(etd_coefficients, equation.rates))

    def step(self, state: State, size: float) -> tuple[State, torch.Tensor]:
        """Two half steps, and their error by the whole one."""
        halves = self._once(self._once(state.u, size / 2), size / 2)
        return State(halves), (halves - self._once(state.u, size)) / (2**ORDER - 1)

    def advance(self, state: State, size: float) -> State:
        """One whole step."""
        return State(self._once(state.u, size))

    def _once(self, v: torch.Tensor, size: float) -> torch.Tensor:
        whole, half, q, first, middle, last = self._coefficients(size)
        rest = self.equation.rest
        n = rest(v)
        a = half * v + q * n
        n_a = rest(a)
        n_b = rest(half * v + q * n_a)
        n_c = rest(half * a + q * (2 * n_b - n))
        return whole * v + first * n + 2 * middle * (n_a + n_b) + last * n_c


def etd_coefficients(rates: torch.Tensor, size: float) -> tuple[torch.Tensor, ...]:
    """The six coefficients of a step, by the mean over a unit circle around each rate [kassamtrefethen2005].

    The closed forms divide differences of nearly equal numbers by a small one; on the circle nothing cancels.

    Args:
        rates: Of every mode, `[..., *modes]`, 1 / time unit.
        size: Of the step, time units.

    Returns:
        Exponentials of the whole and the half step, the weight of the rest in half steps, and its first, middle and
        last weight in the whole step; each of the shape and dtype of `rates`.
    """
    scaled = size * rates.to(torch.complex128 if rates.is_complex() else torch.float64)
    q, first, middle, last = (torch.zeros_like(scaled, dtype=torch.complex128) for _ in range(4))
    angles = 2 * math.pi * (torch.arange(CONTOUR_POINTS, dtype=torch.float64) + 0.5) / CONTOUR_POINTS
    for circle in torch.exp(1j * angles).split(max(1, VALUES_TOGETHER // scaled.numel())):
        z = scaled + circle.reshape(-1, *(1,) * scaled.dim())
        e, cube = torch.exp(z), z**3
        q = q + ((torch.exp(z / 2) - 1) / z).sum(dim=0)
        first = first + ((-4 - z + e * (4 - 3 * z + z**2)) / cube).sum(dim=0)
        middle = middle + ((2 + z + e * (z - 2)) / cube).sum(dim=0)
        last = last + ((-4 - 3 * z - z**2 + e * (4 - z)) / cube).sum(dim=0)
    means = (size / CONTOUR_POINTS * c for c in (q, first, middle, last))
    tables = (torch.exp(scaled), torch.exp(scaled / 2), *means)
    real = tables if rates.is_complex() else tuple(t.real if t.is_complex() else t for t in tables)
    return tuple(t.to(rates.dtype) for t in real)
