"""Right-hand side + step size -> one step and an estimate of its error, by one of three schemes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from bayespde.solve.stencils import RightHandSide, TensorMap

_DORMAND_PRINCE_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_DORMAND_PRINCE_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
# Step times rate of decay below which errors of the explicit scheme decay too; its stability ends at 3.3.
STABLE = 3.0
_CONTOUR_POINTS = 32
_KEPT_STEP_SIZES = 16


class Stepper(NamedTuple):
    """One scheme, bound to a right-hand side.

    Attributes:
        enter: Values `[..., *points]` to the state that the scheme steps (values or modes).
        leave: The state to values.
        step: State and step size (time units) to the next state and an estimate of its error, as states.
        error_order: The power of the step size with which the estimate falls.
        space_dims: Number of trailing axes of values and states that are space.
        fields: How many are stepped together, one axis before these; 0 for one without such an axis.
        longest: Step, time units, above which errors that should decay would grow, too small for the estimate to see.
    """

    enter: TensorMap
    leave: TensorMap
    step: Callable[[torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]
    error_order: int
    space_dims: int
    fields: int
    longest: float = math.inf


def explicit_stepper(equation: RightHandSide) -> Stepper:
    """Dormand-Prince 5(4): the solution of order 5, the error from the embedded 4 [dormandprince1980].

    Steps modes where derivatives are taken of modes, which takes half as many transforms, and else values.
    """
    decay = float(-equation.rates.detach().real.min())
    enter, leave = equation.modes if equation.is_modal else (_unchanged, _unchanged)

    def slope(u: torch.Tensor) -> torch.Tensor:
        return equation.rates * u + equation.rest(u) if equation.is_modal else equation.full(u)

    # The last slope of a step is the first of the next one; a step that is tried again has had its first.
    known: list[tuple[torch.Tensor, torch.Tensor]] = []

    def step(u: torch.Tensor, size: float) -> tuple[torch.Tensor, torch.Tensor]:
        before = [first for state, first in known if state is u]
        slopes = before or [slope(u)]
        following = u
        for weights in _DORMAND_PRINCE_STAGES:
            following = torch.add(u, _combine(weights, slopes), alpha=size)
            slopes.append(slope(following))
        known[:] = [(u, slopes[0]), (following, slopes[-1])]
        return following, size * _combine(_DORMAND_PRINCE_ERROR, slopes)

    longest = STABLE / decay if decay > 0 else math.inf
    return Stepper(
        enter, leave, step, error_order=5, space_dims=len(equation.grid.dims), fields=equation.fields, longest=longest
    )


def _unchanged(values: torch.Tensor) -> torch.Tensor:
    return values


def _combine(weights: tuple[float, ...], slopes: list[torch.Tensor]) -> torch.Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total = torch.add(total, slope, alpha=weight)
    return total


def etd_stepper(equation: RightHandSide) -> Stepper:
    """ETDRK4: rates exactly, the rest by Runge-Kutta, order 4 [coxmatthews2002]; error by step doubling."""
    tables = lru_cache(_KEPT_STEP_SIZES)(lambda size: _etd_table(equation.rates, size))

    def once(v: torch.Tensor, size: float) -> torch.Tensor:
        whole, half, q, first, middle, last = tables(size)
        n = equation.rest(v)
        a = half * v + q * n
        n_a = equation.rest(a)
        n_b = equation.rest(half * v + q * n_a)
        n_c = equation.rest(half * a + q * (2 * n_b - n))
        return whole * v + first * n + 2 * middle * (n_a + n_b) + last * n_c

    return _doubled(equation, once, order=4)


def _etd_table(rates: torch.Tensor, size: float) -> tuple[torch.Tensor, ...]:
    """The six coefficients of a step, by the mean over a unit circle around each rate [kassamtrefethen2005].

    The closed forms divide differences of nearly equal numbers by a small one; on the circle nothing cancels.
    """
    scaled = size * rates
    q, first, middle, last = (torch.zeros_like(scaled, dtype=torch.complex128) for _ in range(4))
    for angle in 2 * np.pi * (np.arange(_CONTOUR_POINTS) + 0.5) / _CONTOUR_POINTS:
        z = scaled + complex(np.exp(1j * angle))
        e, cube = torch.exp(z), z**3
        q = q + (torch.exp(z / 2) - 1) / z
        first = first + (-4 - z + e * (4 - 3 * z + z**2)) / cube
        middle = middle + (2 + z + e * (z - 2)) / cube
        last = last + (-4 - 3 * z - z**2 + e * (4 - z)) / cube
    means = (size / _CONTOUR_POINTS * c for c in (q, first, middle, last))
    tables = (torch.exp(scaled), torch.exp(scaled / 2), *means)
    return tables if rates.is_complex() else tuple(t.real if t.is_complex() else t for t in tables)


def imex_stepper(equation: RightHandSide) -> Stepper:
    """ARS(2,2,2): rates implicitly, the rest explicitly, order 2 [ascher1997]; error by step doubling."""
    gamma = 1 - 0.5**0.5
    delta = 1 - 1 / (2 * gamma)

    def once(v: torch.Tensor, size: float) -> torch.Tensor:
        solve = 1 / (1 - size * gamma * equation.rates)
        n = equation.rest(v)
        inner = solve * (v + size * gamma * n)
        known = (1 - gamma) * equation.rates * inner + delta * n + (1 - delta) * equation.rest(inner)
        return solve * (v + size * known)

    return _doubled(equation, once, order=2)


def _doubled(equation: RightHandSide, once: Callable[[torch.Tensor, float], torch.Tensor], order: int) -> Stepper:
    """Take two half steps, and judge them by the whole one."""

    def step(v: torch.Tensor, size: float) -> tuple[torch.Tensor, torch.Tensor]:
        halves = once(once(v, size / 2), size / 2)
        return halves, (halves - once(v, size)) / (2**order - 1)

    forward, inverse = equation.modes
    return Stepper(
        forward, inverse, step, error_order=order + 1, space_dims=len(equation.grid.dims), fields=equation.fields
    )
