"""Equation + trajectory -> how it moves with its initial state and with the coefficients of terms.

The tangent-linear model of data assimilation [talagrandcourtier1987]: perturbations follow the equation linearised
along the trajectory. They share its rates and its steps, so that many cost little more than their transforms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import sympy
import torch

from bayespde.core.equation import Equation
from bayespde.core.terms import Term, derivative_orders, symbol
from bayespde.solve.compiled.line import LineEquation
from bayespde.solve.compiled.line_equation import line_equation
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid, dealias_mask, difference, symbol_of
from bayespde.solve.right_hand_side import RightHandSide, interior, needed_derivatives, right_hand_side
from bayespde.solve.split_terms import compiled_sum, split_terms
from bayespde.solve.time_stepping import StepPlan, evolve, follow_plan, plan_steps

# Largest derivative of a unit wave, and largest value, in single precision, and one over the smallest: products
# of a few are in its range.
LARGEST_FACTOR, LARGEST_SIZE = 1e9, 1e4
# Values of perturbations that are integrated together: few enough for the processor's cache.
VALUES_TOGETHER = 2**17
# Points of a line from which on fast transforms of many perturbations are faster than products with matrices.
MOST_POINTS = 128
# Equations whose right-hand sides are kept: trajectories from many starts have the same.
KEPT = 4

Derivative = Callable[[int, torch.Tensor], torch.Tensor]
Sum = Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class TangentModel:
    """An equation linearised along one of its trajectories.

    Attributes:
        equation: With its coefficients.
        grid: Of the states.
        method: Space discretisation, boundary, and tolerances that decide the steps.
        times: Of the frames.
        start: Initial state, `[*points]`, float64.
        forced: Terms whose coefficients may change; they need not be in the equation.
    """

    equation: Equation
    grid: Grid
    method: SolverConfig
    times: np.ndarray
    start: np.ndarray
    forced: Sequence[Term]

    def states(self) -> np.ndarray:
        """The trajectory itself, `[time, *points]`, float64.

        Raises:
            IntegrationError: If there is none.
        """
        with torch.no_grad():
            frames = evolve(self._alone, torch.from_numpy(self.start), self.times, method=self.method)
        return frames.numpy()

    def slopes(self, directions: np.ndarray) -> np.ndarray:
        """How all frames move with the coefficients of the forced terms, and with multiples of initial perturbations.

        Args:
            directions: The perturbations, `[n, *points]`.

        Returns:
            `[time, terms + n, *points]`, float32, as they lead to a mode and do not say where it is; float64 where
            units are beyond its range.

        Raises:
            IntegrationError: If there is no trajectory.
        """
        forced, dtype = len(self.forced), np.float32 if self.is_single else np.float64
        begin = np.concatenate([np.zeros((forced, *self.grid.points)), directions])
        frames = np.empty((len(self.times), *begin.shape), dtype=dtype)
        frames[0] = begin
        together = max(1, VALUES_TOGETHER // self.start.size)
        for first in range(0, len(begin), together):
            some = slice(first, first + together)
            with torch.no_grad():
                joint, precision = self._along(range(forced)[some])
                start = torch.from_numpy(np.concatenate([self.start[None], begin[some]]).astype(precision))
                for index, frame in enumerate(follow_plan(joint, start, self._plan), start=1):
                    frames[index, some] = frame[1:].numpy()
        return frames

    @cached_property
    def is_single(self) -> bool:
        """Whether units are such that slopes are in the range of single precision."""
        names = {n for t in (*self.equation.terms, *self.forced) for n in t.symbols}
        orders = [derivative_orders(n, self.grid.dims) for n in names]
        waves = [math.pi / step for step in self.grid.steps]
        factors = [math.prod(w**o for w, o in zip(waves, each, strict=True)) for each in orders]
        size = float(np.abs(self.start).max())
        is_usual = all(1 / LARGEST_FACTOR < f < LARGEST_FACTOR for f in factors)
        return is_usual and 1 / LARGEST_SIZE < size < LARGEST_SIZE

    @cached_property
    def _plan(self) -> StepPlan:
        with torch.no_grad():
            return plan_steps(self._alone, torch.from_numpy(self.start), self.times, method=self.method)

    @property
    def _alone(self) -> RightHandSide:
        return _alone(self.equation, self.grid, self.method)

    def _along(self, forced: Sequence[int]) -> tuple[RightHandSide, type]:
        """The right-hand side of the state and perturbations, the first of them by forced terms, and its precision."""
        terms = tuple(self.forced[k] for k in forced)
        needed_derivatives([self.equation, *(_unit(self.equation, t) for t in terms)], self.grid, self.method)
        if self.start.size <= MOST_POINTS and self._plan.scheme == "etd":
            line = _line(self.equation, self.grid, self.method, terms)
            if line is not None:
                return self._alone._replace(line=line), np.float64
        return self._compiled.along(forced), np.float32 if self.is_single else np.float64

    @cached_property
    def _compiled(self) -> _Linearised:
        return _Linearised.of(self, self._alone)


@dataclass(frozen=True, eq=False)
class _Linearised:
    """Functions of a state and its perturbations, joined along their first axis.

    Attributes:
        alone: The right-hand side of a state.
        dtype: Of values.
        method: How it is discretised.
        orders: Of all derivatives that anything needs.
        total: The sum of all terms that are no rates, of the values of these derivatives.
        slopes: Its slope in those derivatives that it has, by their place.
        terms: The same as `total` of every forced term.
        linear: Rates by every forced term, `[*modes]`, where rates are split off.
    """

    alone: RightHandSide
    dtype: torch.dtype
    method: SolverConfig
    orders: list[tuple[int, ...]]
    total: Sum
    slopes: dict[int, Sum]
    terms: list[Sum]
    linear: list[torch.Tensor]

    @classmethod
    def of(cls, model: TangentModel, alone: RightHandSide) -> _Linearised:
        """Compile."""
        equation, grid, method = model.equation, model.grid, model.method
        dtype = torch.float32 if model.is_single else torch.float64
        own, *others = (split_terms(e, method) for e in (equation, *(_unit(equation, t) for t in model.forced)))
        names = sorted({s.name for part in (own, *others) for e in part.rest for s in e.free_symbols})
        slopes = {}
        for place, name in enumerate(names):
            changes = [sympy.diff(e, symbol(name)) for e in own.rest]
            if any(c != 0 for c in changes):
                slopes[place] = compiled_sum(changes, names, own.coefficients)
        return cls(
            alone=alone._replace(rates=_as(alone.rates, dtype), line=None),
            dtype=dtype,
            method=method,
            orders=[derivative_orders(n, grid.dims) for n in names],
            total=compiled_sum(own.rest, names, own.coefficients),
            slopes=slopes,
            terms=[compiled_sum(part.rest, names, part.coefficients) for part in others],
            linear=[_as(part.rates(grid, method), dtype) for part in others],
        )

    def along(self, forced: Sequence[int]) -> RightHandSide:
        """The right-hand side of a state and perturbations `[1 + n, *points]`, the first of them by forced terms."""
        return self._of_modes(forced) if self.alone.is_modal else self._of_values(forced)

    def _of_modes(self, forced: Sequence[int]) -> RightHandSide:
        alone, modes, grid, method = self.alone, self.alone.modes, self.alone.grid, self.method
        mask = dealias_mask(grid).to(self.dtype) if method.dealias else torch.ones((), dtype=self.dtype)
        symbols = [symbol_of(grid, o, method=method) for o in self.orders]
        factors = [mask * _as(s, self.dtype) for s in symbols if s is not None]

        def rest(v: torch.Tensor) -> torch.Tensor:
            change = mask * modes.forward(self._rate(v, forced, lambda k, part: modes.inverse(factors[k] * part)))
            for row, term in enumerate(forced, start=1):
                change[row] += self.linear[term] * v[0]
            return change

        return alone._replace(rest=rest)

    def _of_values(self, forced: Sequence[int]) -> RightHandSide:
        alone, modes, grid, method = self.alone, self.alone.modes, self.alone.grid, self.method
        inside = interior(grid, method).to(self.dtype)

        def full(u: torch.Tensor) -> torch.Tensor:
            return inside * self._rate(u, forced, lambda k, part: difference(part, grid, self.orders[k], method=method))

        return alone._replace(full=full, rest=lambda v: modes.forward(full(modes.inverse(v))) - alone.rates * v)

    def _rate(self, joint: torch.Tensor, forced: Sequence[int], derivative: Derivative) -> torch.Tensor:
        """Rates of change of all values, `[1 + n, *points]`."""
        values = [derivative(k, joint[0]) for k in range(len(self.orders))]
        rate = torch.zeros((len(joint), *self.alone.grid.points), dtype=self.dtype)
        zero = torch.zeros(self.alone.grid.points, dtype=self.dtype)
        rate[0] = self.total(values, zero)
        for place, slope in self.slopes.items():
            rate[1:].addcmul_(slope(values, zero), derivative(place, joint[1:]))
        for row, term in enumerate(forced, start=1):
            rate[row] += self.terms[term](values, zero)
        return rate


def _as(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Real or complex values in the precision of a real type."""
    return values.to(dtype.to_complex() if values.is_complex() else dtype)


@lru_cache(maxsize=KEPT)
def _alone(equation: Equation, grid: Grid, method: SolverConfig) -> RightHandSide:
    """The right-hand side of a state, with compiled steps where there are such."""
    with torch.no_grad():
        alone = right_hand_side(equation, grid, method=method)
    return alone._replace(line=line_equation(equation, alone, method))


@lru_cache(maxsize=KEPT)
def _line(equation: Equation, grid: Grid, method: SolverConfig, forced: tuple[Term, ...]) -> LineEquation | None:
    """The arrays of a state and of perturbations that terms force."""
    return line_equation(equation, _alone(equation, grid, method), method, [_unit(equation, t) for t in forced])


def _unit(equation: Equation, term: Term) -> Equation:
    """A term alone."""
    return Equation((term,), (1.0,), equation.target, equation.variable)
