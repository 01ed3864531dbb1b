"""Equation + grid -> its right-hand side, split into rates (linear, diagonal in modes) and the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import sympy
import torch

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.field import AXIS_LETTER
from bayespde.core.terms import derivative_orders
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

_FUNCTIONS = {"sin": torch.sin, "cos": torch.cos, "exp": torch.exp, "tanh": torch.tanh}
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
        fields: How many a system has; 0 for one equation, whose states have no such axis.
        drive: Added to `du/dt` where edges are held, `[*points]`, float64: what moves them. It may be written to
            between steps.
    """

    grid: Grid
    modes: Transform
    rates: torch.Tensor
    rest: TensorMap
    full: TensorMap
    is_modal: bool
    fields: int = 0
    drive: torch.Tensor | None = None


class _Law(NamedTuple):
    """One equation of those that are compiled together.

    Attributes:
        equation: With its terms.
        columns: One coefficient per term, ready for a grid.
        linear: Per term, the multiples of single derivatives of its own field.
        rest: Per term, what is left.
    """

    equation: Equation
    columns: list[torch.Tensor]
    linear: list[dict[str, float]]
    rest: list[sympy.Expr]


class _States(NamedTuple):
    """Where the fields are in a state, and how what is made for each becomes a state again."""

    grid: Grid
    variables: tuple[str, ...]
    is_system: bool

    def of(self, state: torch.Tensor, name: str) -> torch.Tensor:
        """The field of which `name` is a derivative, `[..., *points or modes]`."""
        if not self.is_system:
            return state
        return state.select(-1 - len(self.grid.dims), self.variables.index(name.partition("_")[0]))

    def join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """One tensor of a tensor per field."""
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
    names = checked_names(equations, grid, method)
    if coefficients is None:
        coefficients = torch.tensor([c for e in equations for c in e.coefficients], dtype=torch.float64)
    columns = [c[(..., *[None] * len(grid.dims))] for c in coefficients.to(torch.float64).unbind(-1)]
    ends = np.cumsum([len(e.terms) for e in equations])
    laws = [_law(e, columns[end - len(e.terms) : end]) for e, end in zip(equations, ends, strict=True)]
    states = _States(grid, tuple(e.variable for e in equations), isinstance(equation, CoupledEquations))
    modes = transform(grid, boundary=method.boundary)
    rates = states.join([_rates(grid, method, law) for law in laws])
    fields = len(equations) if states.is_system else 0
    if method.space == "fourier":
        rest = _fourier_rest(states, method, laws, modes)
        return RightHandSide(
            grid,
            modes,
            rates,
            rest,
            lambda u: modes.inverse(rates * (v := modes.forward(u)) + rest(v)),
            is_modal=True,
            fields=fields,
        )
    drive = torch.zeros(grid.points, dtype=torch.float64)
    full = _difference_full(states, method, names, laws, drive)
    return RightHandSide(
        grid,
        modes,
        rates,
        lambda v: modes.forward(full(modes.inverse(v))) - rates * v,
        full,
        is_modal=False,
        fields=fields,
        drive=drive if method.boundary == "dirichlet" else None,
    )


def checked_names(equations: Sequence[Equation], grid: Grid, method: SolverConfig) -> list[str]:
    """The derivatives that equations need, which are solved together.

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


def _law(equation: Equation, columns: list[torch.Tensor]) -> _Law:
    """Split every term into multiples of derivatives of its own field, and what is left."""
    linear: list[dict[str, float]] = []
    rest: list[sympy.Expr] = []
    for term in equation.terms:
        found: dict[str, float] = {}
        left = sympy.Integer(0)
        for part in sympy.Add.make_args(sympy.expand(term.expression)):
            factor, core = part.as_coeff_Mul()
            if core.is_Symbol and core.name.partition("_")[0] == equation.variable:
                found[core.name] = found.get(core.name, 0.0) + float(factor)
            else:
                left = left + part
        linear.append(found)
        rest.append(left)
    return _Law(equation, columns, linear, rest)


def _rates(grid: Grid, method: SolverConfig, law: _Law) -> torch.Tensor:
    zero = symbol_of(grid, (0,) * len(grid.dims), method=method)
    assert zero is not None
    rates = 0.0 * zero
    for column, found in zip(law.columns, law.linear, strict=True):
        for name, factor in found.items():
            symbol = symbol_of(grid, derivative_orders(name, grid.dims), method=method)
            if symbol is not None:
                rates = rates + column * factor * symbol
    return rates


def _fourier_rest(states: _States, method: SolverConfig, laws: list[_Law], modes: Transform) -> TensorMap:
    grid = states.grid
    names = sorted({s.name for law in laws for e in law.rest for s in e.free_symbols})
    compiled = [_compiled(law.rest, names, law.columns) for law in laws]
    mask = dealias_mask(grid) if method.dealias else torch.ones((), dtype=torch.float64)
    symbols = [symbol_of(grid, derivative_orders(n, grid.dims), method=method) for n in names]
    factors = [(n, mask * s) for n, s in zip(names, symbols, strict=True) if s is not None]
    if all(e == 0 for law in laws for e in law.rest):
        return torch.zeros_like

    def rest(v: torch.Tensor) -> torch.Tensor:
        parts = [f * states.of(v, name) for name, f in factors]
        values = list(modes.inverse(torch.stack(parts)).unbind(0)) if parts else []
        zero = v.new_zeros(grid.points, dtype=torch.float64)
        return mask * modes.forward(states.join([c(values, zero) for c in compiled]))

    return rest


def _difference_full(
    states: _States, method: SolverConfig, names: list[str], laws: list[_Law], drive: torch.Tensor
) -> TensorMap:
    grid = states.grid
    compiled = [_compiled([t.expression for t in law.equation.terms], names, law.columns) for law in laws]
    orders = [derivative_orders(n, grid.dims) for n in names]
    inside = torch.ones(grid.points, dtype=torch.float64)
    if method.boundary == "dirichlet":
        for axis in range(len(grid.dims)):
            inside.movedim(axis, 0)[[0, -1]] = 0.0

    def full(u: torch.Tensor) -> torch.Tensor:
        values = [difference(states.of(u, n), grid, o, method=method) for n, o in zip(names, orders, strict=True)]
        zero = torch.zeros_like(states.of(u, states.variables[0]))
        moved = inside * states.join([c(values, zero) for c in compiled])
        return moved + drive if method.boundary == "dirichlet" else moved

    return full


def _compiled(
    expressions: list[sympy.Expr], names: list[str], columns: list[torch.Tensor]
) -> Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]:
    """`sum_k coefficient_k expression_k` as a torch function of the named derivatives, added to zeros."""
    # No dummies: lambdify would number them, and multiply in the order of these numbers as words: 100 before 99.
    weights = [sympy.Symbol(f"coefficient_{k}", real=True) for k in range(len(expressions))]
    inputs = [sympy.Symbol(n, real=True) for n in names]
    total = sympy.Add(*(w * e.evalf(17) for w, e in zip(weights, expressions, strict=True)))
    function = sympy.lambdify([*weights, *inputs], total, modules=[_FUNCTIONS], cse=True)
    return lambda values, zero: zero + function(*columns, *values)
