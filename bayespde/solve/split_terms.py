"""Equation -> its linear part, diagonal in the modes of a grid, and the rest, as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import sympy
import torch

from bayespde.core.equation import Equation
from bayespde.core.functions import FUNCTIONS
from bayespde.core.terms import derivative_orders
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid, symbol_of


class SplitEquation(NamedTuple):
    """An equation whose terms are split into multiples of derivatives of its own field, and the rest.

    Attributes:
        equation: The equation.
        coefficients: Of each term, `[..., *1s]` with one axis for each dimension of space.
        linear: Of each term, the factor of every derivative that it is a multiple of, by name.
        rest: Of each term, the remaining expression.
    """

    equation: Equation
    coefficients: list[torch.Tensor]
    linear: list[dict[str, float]]
    rest: list[sympy.Expr]

    @classmethod
    def of(cls, equation: Equation, coefficients: list[torch.Tensor]) -> SplitEquation:
        """Split the terms of an equation."""
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
        return cls(equation, coefficients, linear, rest)

    def rates(self, grid: Grid, method: SolverConfig) -> torch.Tensor:
        """Growth rate of every mode by the linear part, `[..., *modes]`, 1 / time unit.

        Derivatives that are not diagonal in the modes are left out.
        """
        zero = symbol_of(grid, (0,) * len(grid.dims), method=method)
        assert zero is not None
        rates = 0.0 * zero
        for coefficient, found in zip(self.coefficients, self.linear, strict=True):
            for name, factor in found.items():
                symbol = symbol_of(grid, derivative_orders(name, grid.dims), method=method)
                if symbol is not None:
                    rates = rates + coefficient * factor * symbol
        return rates


def split_terms(equation: Equation, method: SolverConfig) -> SplitEquation:
    """The terms of an equation without what are rates of modes; whole terms where values are stepped."""
    split = SplitEquation.of(equation, [torch.tensor(c, dtype=torch.float64) for c in equation.coefficients])
    return split if method.space == "fourier" else split._replace(rest=[t.expression for t in equation.terms])


def compiled_sum(
    expressions: list[sympy.Expr], names: list[str], coefficients: list[torch.Tensor]
) -> Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]:
    """Compile `sum_k coefficient_k expression_k`.

    Args:
        expressions: In symbols such as `u`, `u_x`.
        names: Of these symbols, in the order of the values.
        coefficients: One for each expression.

    Returns:
        A function of values `[..., *points]` of every name, and of zeros to which the sum is added.
    """
    # Named symbols: lambdify numbers dummies, and the alphabetic order of the numbers decides the order of products.
    weights = [sympy.Symbol(f"coefficient_{k}", real=True) for k in range(len(expressions))]
    inputs = [sympy.Symbol(n, real=True) for n in names]
    total = sympy.Add(*(w * e.evalf(17) for w, e in zip(weights, expressions, strict=True)))
    counterparts = {name: getattr(torch, name) for name in FUNCTIONS if hasattr(torch, name)}
    function = sympy.lambdify([*weights, *inputs], total, modules=[counterparts], cse=True)
    return lambda values, zero: zero + function(*coefficients, *values)
