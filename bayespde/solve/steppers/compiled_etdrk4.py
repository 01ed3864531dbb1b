"""Arrays of an equation on a line -> the steps of `ETDRK4`, compiled, without gradients."""

from __future__ import annotations

from functools import lru_cache
from typing import final

import numpy as np
import torch

from bayespde.solve.compiled.line import LineEquation
from bayespde.solve.compiled.line_kernels import etdrk4_step, largest_value
from bayespde.solve.right_hand_side import RightHandSide
from bayespde.solve.steppers.etdrk4 import KEPT_STEP_SIZES, ORDER, etd_coefficients
from bayespde.solve.steppers.stepper import State, Stepper


@final
class CompiledETDRK4(Stepper):
    """The same scheme for a state on a line, `[points]`, or a state and its perturbations, `[1 + n, points]`.

    Attributes:
        line: The arrays.
    """

    error_order = ORDER + 1

    def __init__(self, equation: RightHandSide, line: LineEquation) -> None:
        super().__init__(equation)
        self.line = line
        self._coefficients = lru_cache(KEPT_STEP_SIZES)(self._tables)

    def step(self, state: State, size: float) -> tuple[State, torch.Tensor]:
        """Two half steps, and their error by the whole one."""
        u = state.u.numpy()
        halves = self._once(self._once(u, size / 2), size / 2)
        error = (halves - self._once(u, size)) / (2**ORDER - 1)
        return State(torch.from_numpy(halves)), torch.from_numpy(error)

    def advance(self, state: State, size: float) -> State:
        """One whole step."""
        return State(torch.from_numpy(self._once(state.u.numpy(), size)))

    def largest(self, u: torch.Tensor) -> torch.Tensor:
        """Largest absolute value of a state `[modes]`, `[1]`."""
        return torch.tensor([largest_value(u.numpy()[None], self.line.values)])

    def _once(self, modes: np.ndarray, size: float) -> np.ndarray:
        joint = np.atleast_2d(modes)
        found = etdrk4_step(joint, self._coefficients(size), self.line.polynomial, self.line.forcing)
        return np.asarray(found).reshape(modes.shape)

    def _tables(self, size: float) -> np.ndarray:
        return torch.stack(etd_coefficients(self.equation.rates, size)).numpy()
