"""Equations + first frames -> how fast their shortest waves grow, where shorter ones grow ever faster: ill-posedness.

Linearised about a state, `u_t = F(u, u_x, ...)` has waves `exp(i k x + s t)`, where s is the symbol, the sum of
`dF/du_a (i k)^a` over all derivatives. An equation is ill-posed where the real part of s has no bound as k grows
[kreiss1989]: rounding errors then grow at a rate that depends on the grid only, and no grid is fine enough.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
import sympy

from bayespde.core.coupled import CoupledEquations
from bayespde.core.errors import IllPosedError
from bayespde.core.terms import derivative_orders, evaluate_expression, symbol
from bayespde.solve.config import SolverConfig
from bayespde.solve.ensemble_problem import EnsembleProblem

# Wave numbers at which growth without bound is seen, in units of the largest one of the grid, by two factors.
FAR, FURTHER = 1e3, 2e3
# Least increase of the growth rate between them; least share of it in the symbol of a system, above rounding errors.
RISING, NOTICEABLE = 1.2, 1e-6
# Points at which coefficients that depend on the state are evaluated, and share of them that counts.
POINTS, SHARE = 64, 0.05
# Directions of waves per number of dimensions: integer vectors up to this size.
STEPS = {1: 1, 2: 4, 3: 2}


def check_well_posed(problem: EnsembleProblem, times: np.ndarray, method: SolverConfig) -> None:
    """Refuse an equation whose rounding errors outgrow the tolerance.

    Raises:
        IllPosedError: If all draws are `ill_posed`.
    """
    rates = growth_rates(problem)
    if not ill_posed(rates, times, method).all():
        return
    usable = float(times[0]) + _limit(method) / float(rates.min())
    error = IllPosedError(
        "The equation is ill-posed: the shorter a wave, the faster it grows.",
        got=f"{problem.equation}; the shortest waves of the grid grow by exp({rates.min():.3g} t)",
        wanted="even derivatives that damp short waves, such as + u_xx and - u_xxxx, in every direction",
        fix=f"check the signs of the coefficients; times up to {usable:.4g} on this grid, a coarser grid, or "
        "SolverConfig(allow_ill_posed=True)",
    )
    error.time = float(times[0])
    raise error


def ill_posed(rates: np.ndarray, times: np.ndarray, method: SolverConfig) -> np.ndarray:
    """Which draws are ill-posed to the point where rounding errors outgrow the tolerance within the times, `[draws]`.

    Args:
        rates: As `growth_rates` returns them.
        times: Strictly increasing.
        method: Its tolerance, and whether ill-posed equations are allowed.
    """
    return np.asarray((rates * float(times[-1] - times[0]) > _limit(method)) & (not method.allow_ill_posed))


def growth_rates(problem: EnsembleProblem) -> np.ndarray:
    """Growth rate of the shortest waves of the grid, `[draws]`, 1 / time unit; 0 where the equation is well-posed.

    Coefficients that depend on the state are those of the first frames; some points may be wrong.
    """
    names, slopes = _slopes(problem)
    if not names:
        return np.zeros(len(problem.coefficients))
    near, far, further = (_growth(problem, names, slopes, k) for k in (1.0, FAR, FURTHER))
    is_rising = (far > 0) & (further > RISING * far)
    fastest = np.where(is_rising & (near > 0), near, 0.0).max(axis=-1)
    return np.quantile(fastest, 1 - SHARE, axis=-1, method="lower")


def _limit(method: SolverConfig) -> float:
    """Growth, as a logarithm, of rounding errors to the tolerance of a step."""
    return math.log(method.rtol / np.finfo(np.float64).eps)


def _slopes(problem: EnsembleProblem) -> tuple[list[str], np.ndarray]:
    """Derivatives that occur, and slopes in them of each equation, `[draws, points, equations, names]`."""
    equation = problem.equation
    equations = equation.equations if isinstance(equation, CoupledEquations) else (equation,)
    names = sorted({s for e in equations for t in e.terms for s in t.symbols if "_" in s})
    pieces, column = [], 0
    for place, one in enumerate(equations):
        for term in one.terms:
            pieces += [(place, column, names.index(n), _slope(term.expression, n)) for n in term.symbols if "_" in n]
            column += 1
    state = _State(problem)
    points = POINTS if any(slope.free_symbols for *_, slope in pieces) else 1
    found = np.zeros((len(problem.coefficients), points, len(equations), len(names)))
    for place, column, name, slope in pieces:
        value = evaluate_expression(slope, lambda n: state.at(n, points)) if slope.free_symbols else float(slope)
        found[:, :, place, name] += problem.coefficients[:, column, None] * value
    return names, found


def _growth(problem: EnsembleProblem, names: list[str], slopes: np.ndarray, factor: float) -> np.ndarray:
    """Largest growth rate at multiples of the largest wave numbers, `[draws, points, directions]`."""
    grid, equation = problem.grid, problem.equation
    waves = factor * np.pi * _directions(len(grid.dims)) / np.array(grid.steps)
    orders = np.array([derivative_orders(name, grid.dims) for name in names])
    size = np.prod(waves[:, None, :] ** orders, axis=-1)
    symbols = size * 1j ** orders.sum(axis=1)
    if not isinstance(equation, CoupledEquations):
        return np.asarray(slopes[:, :, 0] @ symbols.real.T)
    columns = [equation.variables.index(name.partition("_")[0]) for name in names]
    matrix = np.zeros((*slopes.shape[:2], len(symbols), *[len(equation.variables)] * 2), dtype=complex)
    for k, column in enumerate(columns):
        matrix[..., column] += slopes[:, :, None, :, k] * symbols[None, None, :, None, k]
    found = np.linalg.eigvals(matrix)
    growth = found.real.max(axis=-1)
    return np.where(growth > NOTICEABLE * np.abs(found).max(axis=-1), growth, 0.0)


class _State:
    """Derivatives of first frames at some points."""

    def __init__(self, problem: EnsembleProblem) -> None:
        self.problem = problem

    def at(self, name: str, points: int) -> np.ndarray:
        """A derivative by differences, `[draws, points]`."""
        grid, equation, values = self.problem.grid, self.problem.equation, self.problem.starts
        if isinstance(equation, CoupledEquations):
            values = values[:, equation.variables.index(name.partition("_")[0])]
        for axis, (order, step) in enumerate(zip(derivative_orders(name, grid.dims), grid.steps, strict=True), start=1):
            for _ in range(order):
                values = np.gradient(values, step, axis=axis)
        flat = values.reshape(len(values), -1)
        return flat[:, np.linspace(0, flat.shape[1] - 1, points).astype(int)]


@lru_cache(maxsize=4096)
def _slope(expression: sympy.Expr, name: str) -> sympy.Expr:
    return sympy.diff(expression, symbol(name))


@lru_cache
def _directions(dimensions: int) -> np.ndarray:
    """Directions of waves, each once up to its sign, `[n, dimensions]`; the largest part of each is 1."""
    steps = range(-STEPS[dimensions], STEPS[dimensions] + 1)
    found = {
        tuple(c / max(map(abs, v)) for c in v)
        for v in itertools.product(steps, repeat=dimensions)
        if v > (0,) * dimensions
    }
    return np.array(sorted(found))
