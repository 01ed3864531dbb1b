"""Right-hand side -> the interface of every time-stepping scheme: start, step and values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch

from bayespde.solve.right_hand_side import RightHandSide


class State(NamedTuple):
    """The state that a scheme advances.

    Attributes:
        u: Values or modes, `[..., *points]` or `[..., *modes]`.
        slope: `du/dt` at `u`, for schemes that use it again; None for others.
    """

    u: torch.Tensor
    slope: torch.Tensor | None = None


class Stepper(ABC):
    """A time-stepping scheme, bound to a right-hand side.

    Attributes:
        equation: The right-hand side.
        error_order: Power of the step size with which the error estimate falls.
        longest: Largest stable step, time units. Above it errors that should decay grow, too small at first for the
            error estimate to show them.
    """

    error_order: ClassVar[int]
    longest: float = math.inf

    def __init__(self, equation: RightHandSide) -> None:
        self.equation = equation

    def start(self, values: torch.Tensor) -> State:
        """The state of values `[..., *points]`."""
        return State(self.equation.modes.forward(values))

    def restart(self, state: State, values: torch.Tensor) -> State:
        """The state from which to continue after `state`, of which `values` are the values.

        Modes are computed anew from real values: round-off would grow in modes that no real field has.
        """
        return self.start(values)

    def values(self, u: torch.Tensor) -> torch.Tensor:
        """Values `[..., *points]` from the `u` of a state."""
        return self.equation.modes.inverse(u)

    def largest(self, u: torch.Tensor) -> torch.Tensor:
        """Largest absolute value of every draw, and of every field of a system, from the `u` of a state, `[n]`.

        Not a number if any value is not.
        """
        values = self.values(u)
        dims = values.dim() - len(self.equation.grid.dims)
        return values.abs().reshape(math.prod(values.shape[:dims]), -1).amax(dim=1)

    @abstractmethod
    def step(self, state: State, size: float) -> tuple[State, torch.Tensor]:
        """The state after a step of the given size, time units, and an estimate of its error in the form of `u`."""

    @abstractmethod
    def advance(self, state: State, size: float) -> State:
        """The state after one application of the scheme, whose error is not estimated."""
