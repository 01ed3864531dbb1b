"""Equation + grid -> its right-hand side, split into rates (linear, diagonal in modes) and the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import sympy
import torch

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.field import AXIS_LETTER
from bayespde.core.terms import derivative_orders
from bayespde.solve.derivatives import (
    MAXIMUM_DIFFERENCE_ORDER,
    Grid,
    Transform,
    dealias_mask,
    difference,
    symbol_of,
    transform,
)
from bayespde.solve.method import Method

_FUNCTIONS = {"sin": torch.sin, "cos": torch.cos, "exp": torch.exp, "tanh": torch.tanh}
TensorMap = Callable[[torch.Tensor], torch.Tensor]


class RightHandSide(NamedTuple):
    """`du/dt` on a grid; every map takes leading axes (draws) before the space axes, and is differentiable.

    Attributes:
        grid: The grid.
        modes: The transform between values and modes.
        rates: Growth rate per mode, `[..., *modes]`, 1 / time unit; complex on a periodic grid, else float64.
        rest: Modes `[..., *modes]` to modes: all of `du/dt` but `rates * modes`.
        full: Values `[..., *points]`, float64, to `du/dt` as values.
        is_modal: Whether derivatives are taken of modes.
    """

    grid: Grid
    modes: Transform
    rates: torch.Tensor
    rest: TensorMap
    full: TensorMap
    is_modal: bool


class _Split(NamedTuple):
    linear: list[dict[str, float]]
    rest: list[sympy.Expr]


def right_hand_side(
    equation: Equation, grid: Grid, *, method: Method, coefficients: torch.Tensor | None = None
) -> RightHandSide:
    """Compile an equation on a grid.

    Args:
        equation: Its target must be the first time derivative of its variable.
        grid: The grid.
        method: Space discretisation, boundary, dealiasing.
        coefficients: `[..., terms]`, float64, physical units, in place of the equation's own; leading axes
            are draws, and gradients flow through.

    Returns:
        The right-hand side. Every derivative is computed once per evaluation.

    Raises:
        ConfigError: If the target is another, or a derivative cannot be taken on this grid.
    """
    names = checked_names(equation, grid, method)
    if coefficients is None:
        coefficients = torch.tensor(equation.coefficients, dtype=torch.float64)
    columns = [c[(..., *[None] * len(grid.dims))] for c in coefficients.to(torch.float64).unbind(-1)]
    split, modes = _split(equation), transform(grid, boundary=method.boundary)
    rates = _rates(grid, method, split, columns)
    if method.space == "fourier":
        rest = _fourier_rest(grid, method, split, columns, modes)
        return RightHandSide(
            grid, modes, rates, rest, lambda u: modes.inverse(rates * (v := modes.forward(u)) + rest(v)), is_modal=True
        )
    full = _difference_full(equation, grid, method, names, columns)
    return RightHandSide(
        grid, modes, rates, lambda v: modes.forward(full(modes.inverse(v))) - rates * v, full, is_modal=False
    )


def checked_names(equation: Equation, grid: Grid, method: Method) -> list[str]:
    """The derivatives that an equation needs.

    Raises:
        ConfigError: If the target is no first time derivative, or a derivative cannot be taken on this grid.
    """
    if equation.target != f"{equation.variable}_t":
        raise ConfigError(
            "Only equations of first order in time are integrated.",
            got=f"target {equation.target}",
            wanted=f"{equation.variable}_t",
            fix="write the equation for the first time derivative",
        )
    names = sorted({s.name for t in equation.terms for s in t.expression.free_symbols})
    letters = {AXIS_LETTER[d] for d in grid.dims}
    for name in names:
        base, _, subscript = name.partition("_")
        highest = max((subscript.count(letter) for letter in letters), default=0)
        if base != equation.variable or not set(subscript) <= letters:
            raise ConfigError(
                "The equation does not fit the grid.",
                got=name,
                wanted=f"{equation.variable} and its derivatives along {', '.join(grid.dims)}",
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


def _split(equation: Equation) -> _Split:
    """Per term: the multiples of single symbols, and what is left."""
    linear: list[dict[str, float]] = []
    rest: list[sympy.Expr] = []
    for term in equation.terms:
        found: dict[str, float] = {}
        left = sympy.Integer(0)
        for part in sympy.Add.make_args(sympy.expand(term.expression)):
            factor, core = part.as_coeff_Mul()
            if core.is_Symbol:
                found[core.name] = found.get(core.name, 0.0) + float(factor)
            else:
                left = left + part
        linear.append(found)
        rest.append(left)
    return _Split(linear, rest)


def _rates(grid: Grid, method: Method, split: _Split, columns: list[torch.Tensor]) -> torch.Tensor:
    zero = symbol_of(grid, (0,) * len(grid.dims), method=method)
    assert zero is not None
    rates = 0.0 * zero
    for column, found in zip(columns, split.linear, strict=True):
        for name, factor in found.items():
            symbol = symbol_of(grid, derivative_orders(name, grid.dims), method=method)
            if symbol is not None:
                rates = rates + column * factor * symbol
    return rates


def _fourier_rest(
    grid: Grid,
    method: Method,
    split: _Split,
    columns: list[torch.Tensor],
    modes: Transform,
) -> TensorMap:
    names = sorted({s.name for e in split.rest for s in e.free_symbols})
    compiled = _compiled(split.rest, names, columns)
    mask = dealias_mask(grid) if method.dealias else torch.ones((), dtype=torch.float64)
    symbols = [symbol_of(grid, derivative_orders(n, grid.dims), method=method) for n in names]
    factors = [mask * s for s in symbols if s is not None]
    if all(e == 0 for e in split.rest):
        return torch.zeros_like

    def rest(v: torch.Tensor) -> torch.Tensor:
        values = modes.inverse(torch.stack([f * v for f in factors])).unbind(0) if factors else ()
        return mask * modes.forward(compiled(list(values), v.new_zeros(grid.points, dtype=torch.float64)))

    return rest


def _difference_full(
    equation: Equation, grid: Grid, method: Method, names: list[str], columns: list[torch.Tensor]
) -> TensorMap:
    compiled = _compiled([t.expression for t in equation.terms], names, columns)
    orders = [derivative_orders(n, grid.dims) for n in names]
    inside = torch.ones(grid.points, dtype=torch.float64)
    if method.boundary == "fixed":
        for axis in range(len(grid.dims)):
            inside.movedim(axis, 0)[[0, -1]] = 0.0

    def full(u: torch.Tensor) -> torch.Tensor:
        values = [difference(u, grid, o, method=method) for o in orders]
        return inside * compiled(values, torch.zeros_like(u))

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
