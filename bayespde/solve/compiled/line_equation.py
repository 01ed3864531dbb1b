"""Equation + grid -> its right-hand side on a line as matrices and powers, for the compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import sympy
import torch

from bayespde.core.equation import Equation
from bayespde.core.terms import derivative_orders, symbol
from bayespde.solve.compiled.line import Forcing, LineEquation, Polynomial
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import dealias_mask, difference, symbol_of
from bayespde.solve.right_hand_side import RightHandSide, interior
from bayespde.solve.split_terms import SplitEquation, split_terms

# Points from which on fast transforms are faster than products with matrices.
MOST_POINTS = 256


def line_equation(
    equation: Equation, alone: RightHandSide, method: SolverConfig, forced: Sequence[Equation] = ()
) -> LineEquation | None:
    """The arrays of an equation on a line.

    Args:
        equation: Of one field.
        alone: The same, as functions of tensors.
        method: Space discretisation, boundary, dealiasing.
        forced: Equations of one term each, by which perturbations are forced.

    Returns:
        None in more dimensions, on many points, or where a term is no polynomial in derivatives.
    """
    grid = alone.grid
    if len(grid.dims) > 1 or grid.points[0] > MOST_POINTS:
        return None
    parts = [split_terms(e, method) for e in (equation, *forced)]
    names = tuple(sorted({s.name for part in parts for e in part.rest for s in e.free_symbols}))
    found = [_monomials(part, names) for part in parts]
    if any(f is None for f in found):
        return None
    inverse, forward, values = _matrices(names, alone, method)
    rates = alone.rates.numpy()
    own, *others = [f for f in found if f is not None]
    polynomial = Polynomial(inverse, forward, 0 * rates if alone.is_modal else rates, *own)
    linear = [part.rates(grid, method).numpy() if alone.is_modal else 0 * rates for part in parts[1:]]
    rows = [np.full(len(weights), row, dtype=np.int64) for row, (weights, _) in enumerate(others, start=1)]
    forcing = Forcing(
        np.concatenate([np.zeros(0), *(w for w, _ in others)]),
        np.concatenate([np.zeros((0, len(names)), dtype=np.int64), *(p for _, p in others)]),
        np.concatenate([np.zeros(0, dtype=np.int64), *rows]),
        np.array(linear, dtype=rates.dtype).reshape(-1, len(rates)),
    )
    return LineEquation(polynomial, forcing, values)


def _monomials(part: SplitEquation, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights and powers of all monomials, if the terms are such."""
    weights: list[float] = []
    powers: list[tuple[int, ...]] = []
    for coefficient, expression in zip(part.coefficients, part.rest, strict=True):
        found = _expanded(expression, names)
        if found is None:
            return None
        weights += [float(coefficient) * w for w, _ in found]
        powers += [p for _, p in found]
    return np.array(weights), np.array(powers, dtype=np.int64).reshape(len(weights), len(names))


@lru_cache(maxsize=256)
def _expanded(expression: sympy.Expr, names: tuple[str, ...]) -> list[tuple[float, tuple[int, ...]]] | None:
    if not names:
        return [(float(expression), ())] if expression else []
    polynomial = expression.as_poly(*map(symbol, names))
    if polynomial is None or not all(c.is_number for c in polynomial.coeffs()):
        return None
    return [(float(c), powers) for powers, c in polynomial.terms() if c]


def _matrices(
    names: Sequence[str], alone: RightHandSide, method: SolverConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`inverse` and `forward` of `Polynomial`, and from all modes to values."""
    grid, modes = alone.grid, alone.modes
    orders = [derivative_orders(n, grid.dims) for n in names]
    if not alone.is_modal:
        basis = modes.inverse(torch.eye(grid.points[0], dtype=torch.float64))
        inverse = [difference(basis, grid, o, method=method).T for o in orders]
        forward = modes.forward(torch.diag(interior(grid, method))).T
        return _stacked(inverse, forward.shape), forward.numpy().copy(), basis.T.numpy().copy()
    mask = dealias_mask(grid) if method.dealias else torch.ones(len(alone.rates), dtype=torch.float64)
    kept = 2 * int(mask.sum())
    units = torch.eye(len(mask), dtype=torch.complex128)
    pairs = torch.stack([units, 1j * units], dim=1).reshape(-1, len(mask))
    factors = [mask * s for o in orders if (s := symbol_of(grid, o, method=method)) is not None]
    inverse = [modes.inverse(f * pairs[:kept]).T for f in factors]
    forward = torch.view_as_real(modes.forward(torch.eye(grid.points[0], dtype=torch.float64))).flatten(1).T[:kept]
    return _stacked(inverse, forward.shape), forward.numpy().copy(), modes.inverse(pairs).T.numpy().copy()


def _stacked(inverse: list[torch.Tensor], shape: torch.Size) -> np.ndarray:
    """Matrices in one array, `[k, points, m]`, that may be empty."""
    return np.array([m.numpy() for m in inverse]).reshape(len(inverse), shape[1], shape[0])
