"""A term -> the form in which its weak moment is computed, and the kernels through which pixel noise enters it.

The weak moment of a term f is a sum over parts (d, F) of (-1)^|d| int (d^d phi) F(v): derivatives stand on the test
function phi wherever the term is a divergence (linear terms, u^i u_x) [messenger2021]. Its first variation in the
field, by parts, is int sum_q (d^q phi) H_q(v) e: the kernels H_q say how noise e in the pixels moves it [bortz2023].
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import comb, prod

import sympy

from bayespde.core.terms import Term, derivative_orders, symbol, total_derivative

Orders = tuple[int, ...]
"""Order of differentiation by dimension, time first."""
Kernels = dict[Orders, sympy.Expr]
"""Kernels of the first variation of a term's weak moment in one field, by order on the test function."""


def integrate_by_parts(term: Term, dims: tuple[str, ...]) -> list[tuple[Orders, sympy.Expr]]:
    """Split a term into parts `(orders on the test function, expression)`; `dims` in field order, time first."""
    return [_by_parts(part, dims) for part in sympy.Add.make_args(sympy.expand(term.expression))]


def _by_parts(part: sympy.Expr, dims: tuple[str, ...]) -> tuple[Orders, sympy.Expr]:
    derivatives = [s for s in part.free_symbols if "_" in s.name]
    if len(derivatives) == 1 and sympy.diff(part, derivatives[0], 2) == 0:
        factor, u = sympy.diff(part, derivatives[0]), symbol(derivatives[0].name.partition("_")[0])
        orders = derivative_orders(derivatives[0].name, dims)
        is_homogeneous = sympy.expand(part - factor * derivatives[0]) == 0
        if is_homogeneous and factor.is_number:
            return orders, factor * u
        if is_homogeneous and sum(orders) == 1 and factor.free_symbols == {u} and factor.is_polynomial(u):
            return orders, sympy.integrate(factor, u)
    return (0,) * len(dims), part


@lru_cache(maxsize=4096)
def noise_kernels(term: Term, variable: str, dims: tuple[str, ...]) -> Kernels:
    """Kernels H_q of a term in one field. Cached: read only."""
    kernels: Kernels = {}
    for orders, expression in integrate_by_parts(term, dims):
        for inner in (s for s in expression.free_symbols if s.name.partition("_")[0] == variable):
            slope = sympy.diff(expression, inner)
            moved = derivative_orders(inner.name, dims)
            sign = (-1) ** (sum(orders) + sum(moved))
            for split in product(*(range(m + 1) for m in moved)):
                weight = prod(comb(m, s) for m, s in zip(moved, split, strict=True))
                rest = tuple(m - s for m, s in zip(moved, split, strict=True))
                q = tuple(o + s for o, s in zip(orders, split, strict=True))
                kernels[q] = kernels.get(q, sympy.Integer(0)) + sign * weight * _differentiated(slope, rest, dims)
    return {q: sympy.expand(h) for q, h in kernels.items() if sympy.expand(h) != 0}


def _differentiated(expression: sympy.Expr, orders: Orders, dims: tuple[str, ...]) -> sympy.Expr:
    for dim, order in zip(dims, orders, strict=True):
        for _ in range(order):
            expression = total_derivative(expression, dim)
    return expression
