"""Equation + grid -> its right-hand side, split into rates (linear, diagonal in modes) and the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.field import AXIS_LETTER
from bayespde.core.terms import derivative_orders
from bayespde.solve.compiled.line import LineEquation
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import (
    MAXIMUM_DIFFERENCE_ORDER,
    Grid,
    Transform,
    dealias_mask,
    difference,
    symbol_of,
    transform,
)
from bayespde.solve.split_terms import SplitEquation, compiled_sum

TensorMap = Callable[[torch.Tensor], torch.Tensor]


class RightHandSide(NamedTuple):
    """`du/dt` on a grid; every map takes leading axes (draws) before the axes of a state, and is differentiable.

    A state is `[*points]`, or for a system `[fields, *points]`.

    Attributes:
        grid: The grid.
        modes: The transform between values and modes.
        rates: Growth rate per mode, `[..., *modes]`, 1 / time unit; complex on a periodic grid, else float64.
        rest: Modes `[..., *modes]` to modes: all of `du/dt` but `rates * modes`.
        full: Values `[..., *points]`, float64, to `du/dt` as values.
        is_modal: Whether derivatives are taken of modes.
        fields: Number of fields of a system; 0 for one equation, whose states have no such axis.
        boundary_rate: `du/dt` of the boundary points under Dirichlet conditions, `[*points]`, float64, zero inside; it
            may be written to between steps. None under other conditions.
        line: The same for compiled steps on a line, without gradients; None if there are none.
    """

    grid: Grid
    modes: Transform
    rates: torch.Tensor
    rest: TensorMap
    full: TensorMap
    is_modal: bool
    fields: int = 0
    boundary_rate: torch.Tensor | None = None
    line: LineEquation | None = None


class _States(NamedTuple):
    """How the fields of one or more equations are stored in one state."""

    grid: Grid
    variables: tuple[str, ...]
    is_system: bool

    def of(self, state: torch.Tensor, name: str) -> torch.Tensor:
        """The field of which `name` is a derivative, `[..., *points or modes]`."""
        if not self.is_system:
            return state
        return state.select(-1 - len(self.grid.dims), self.variables.index(name.partition("_")[0]))

    def join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """One tensor from a tensor for each field."""
        if not self.is_system:
            return parts[0]
        return torch.stack(torch.broadcast_tensors(*parts), dim=-1 - len(self.grid.dims))


def right_hand_side(
    equation: Equation | CoupledEquations, grid: Grid, *, method: SolverConfig, coefficients: torch.Tensor | None = None
) -> RightHandSide:
    """Compile an equation, or a system, on a grid.

    Args:
        equation: Its target must be the first time derivative of its variable.
        grid: The grid.
        method: Space discretisation, boundary, dealiasing.
        coefficients: `[..., terms]`, float64, physical units, in place of the equation's own (of a system, those of
            its equations one after the other); leading axes are draws, and gradients flow through.

    Returns:
        The right-hand side. Every derivative is computed once per evaluation.

    Raises:
        ConfigError: If the target is another, or a derivative cannot be taken on this grid.
    """
    equations = equation.equations if isinstance(equation, CoupledEquations) else (equation,)
    names = needed_derivatives(equations, grid, method)
    if coefficients is None:
        coefficients = torch.tensor([c for e in equations for c in e.coefficients], dtype=torch.float64)
    columns = [c[(..., *[None] * len(grid.dims))] for c in coefficients.to(torch.float64).unbind(-1)]
    ends = np.cumsum([len(e.terms) for e in equations])
    parts = [SplitEquation.of(e, columns[end - len(e.terms) : end]) for e, end in zip(equations, ends, strict=True)]
    states = _States(grid, tuple(e.variable for e in equations), isinstance(equation, CoupledEquations))
    modes = transform(grid, boundary=method.boundary)
    rates = states.join([part.rates(grid, method) for part in parts])
    fields = len(equations) if states.is_system else 0
    if method.space == "fourier":
        rest = _fourier_rest(states, method, parts, modes)
        return RightHandSide(
            grid,
            modes,
            rates,
            rest,
            lambda u: modes.inverse(rates * (v := modes.forward(u)) + rest(v)),
            is_modal=True,
            fields=fields,
        )
    boundary_rate = torch.zeros(grid.points, dtype=torch.float64) if method.boundary == "dirichlet" else None
    full = _difference_full(states, method, names, parts, boundary_rate)
    return RightHandSide(
        grid,
        modes,
        rates,
        lambda v: modes.forward(full(modes.inverse(v))) - rates * v,
        full,
        is_modal=False,
        fields=fields,
        boundary_rate=boundary_rate,
    )


def needed_derivatives(equations: Sequence[Equation], grid: Grid, method: SolverConfig) -> list[str]:
    """Names of the derivatives that equations need, which are solved together.

    Raises:
        ConfigError: If a target is no first time derivative, or a derivative cannot be taken on this grid.
    """
    variables = [e.variable for e in equations]
    for one in equations:
        if one.target != f"{one.variable}_t":
            raise ConfigError(
                "Only equations of first order in time are integrated.",
                got=f"target {one.target}",
                wanted=f"{one.variable}_t",
                fix="write the equation for the first time derivative",
            )
    names = sorted({s.name for e in equations for t in e.terms for s in t.expression.free_symbols})
    letters = {AXIS_LETTER[d] for d in grid.dims}
    for name in names:
        base, _, subscript = name.partition("_")
        highest = max((subscript.count(letter) for letter in letters), default=0)
        if base not in variables or not set(subscript) <= letters:
            raise ConfigError(
                "The equation does not fit the grid.",
                got=name,
                wanted=f"{', '.join(variables)} and derivatives along {', '.join(grid.dims)}",
                fix="remove the term, or start from a frame with that dimension",
            )
        if method.space == "difference" and highest > MAXIMUM_DIFFERENCE_ORDER:
            raise ConfigError(
                "The derivative is too high for differences.",
                got=name,
                wanted=f"order up to {MAXIMUM_DIFFERENCE_ORDER} along each axis",
                fix="space='fourier'",
            )
    return names


def interior(grid: Grid, method: SolverConfig) -> torch.Tensor:
    """One where values follow the equation, zero where the boundary prescribes them, `[*points]`, float64."""
    inside = torch.ones(grid.points, dtype=torch.float64)
    if method.boundary == "dirichlet":
        for axis in range(len(grid.dims)):
            inside.movedim(axis, 0)[[0, -1]] = 0.0
    return inside


def _fourier_rest(states: _States, method: SolverConfig, parts: list[SplitEquation], modes: Transform) -> TensorMap:
    grid = states.grid
    names = sorted({s.name for part in parts for e in part.rest for s in e.free_symbols})
    compiled = [compiled_sum(part.rest, names, part.coefficients) for part in parts]
    mask = dealias_mask(grid) if method.dealias else torch.ones((), dtype=torch.float64)
    symbols = [symbol_of(grid, derivative_orders(n, grid.dims), method=method) for n in names]
    factors = [(n, mask * s) for n, s in zip(names, symbols, strict=True) if s is not None]
    if all(e == 0 for part in parts for e in part.rest):
        return torch.zeros_like

    def rest(v: torch.Tensor) -> torch.Tensor:
        derivatives = [f * states.of(v, name) for name, f in factors]
        values = list(modes.inverse(torch.stack(derivatives)).unbind(0)) if derivatives else []
        zero = v.new_zeros(grid.points, dtype=torch.float64)
        return mask * modes.forward(states.join([c(values, zero) for c in compiled]))

    return rest


def _difference_full(
    states: _States,
    method: SolverConfig,
    names: list[str],
    parts: list[SplitEquation],
    boundary_rate: torch.Tensor | None,
) -> TensorMap:
    grid = states.grid
    compiled = [compiled_sum([t.expression for t in p.equation.terms], names, p.coefficients) for p in parts]
    orders = [derivative_orders(n, grid.dims) for n in names]
    inside = interior(grid, method)

    def full(u: torch.Tensor) -> torch.Tensor:
        values = [difference(states.of(u, n), grid, o, method=method) for n, o in zip(names, orders, strict=True)]
        zero = torch.zeros_like(states.of(u, states.variables[0]))
        change = inside * states.join([c(values, zero) for c in compiled])
        return change if boundary_rate is None else change + boundary_rate

    return full
