"""Right-hand side -> Dormand-Prince 5(4) steps: explicit, for equations that are not stiff."""

from __future__ import annotations

from typing import final

import torch

from bayespde.solve.right_hand_side import RightHandSide
from bayespde.solve.steppers.stepper import State, Stepper

# Weights of the slopes in every stage after the first one; the last stage is the solution.
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Weights of the slopes, that at the solution included, in the error estimate.
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
# Step size times rate of decay up to which errors decay; the region of stability ends at 3.3.
STABLE = 3.0


@final
class DormandPrince(Stepper):
    """Dormand-Prince 5(4): a solution of order 5, its error by an embedded one of order 4 [dormandprince1980].

    The last slope of a step is the first of the next one. Where derivatives are taken of modes, modes are stepped,
    which needs half as many transforms; elsewhere values are.
    """

    error_order = 5

    def __init__(self, equation: RightHandSide) -> None:
        super().__init__(equation)
        decay = float(-equation.rates.detach().real.min())
        if decay > 0:
            self.longest = STABLE / decay

    def start(self, values: torch.Tensor) -> State:
        """The state of values `[..., *points]`, with its slope."""
        u = self.equation.modes.forward(values) if self.equation.is_modal else values
        return State(u, self._slope(u))

    def restart(self, state: State, values: torch.Tensor) -> State:
        """As for every scheme; where values are stepped, the state itself."""
        return self.start(values) if self.equation.is_modal else state

    def values(self, u: torch.Tensor) -> torch.Tensor:
        """Values `[..., *points]` from the `u` of a state."""
        return self.equation.modes.inverse(u) if self.equation.is_modal else u

    def step(self, state: State, size: float) -> tuple[State, torch.Tensor]:
        """One step, and its error by the embedded scheme."""
        following, slopes = self._stages(state, size)
        return following, size * _combine(ERROR, slopes)

    def advance(self, state: State, size: float) -> State:
        """One step."""
        return self._stages(state, size)[0]

    def _stages(self, state: State, size: float) -> tuple[State, list[torch.Tensor]]:
        """The state after a step, and the slopes of all stages, the last of which is its own."""
        u, first = state
        slopes = [self._slope(u) if first is None else first]
        following = u
        for weights in STAGES:
            following = torch.add(u, _combine(weights, slopes), alpha=size)
            slopes.append(self._slope(following))
        return State(following, slopes[-1]), slopes

    def _slope(self, u: torch.Tensor) -> torch.Tensor:
        equation = self.equation
        return equation.rates * u + equation.rest(u) if equation.is_modal else equation.full(u)


def _combine(weights: tuple[float, ...], slopes: list[torch.Tensor]) -> torch.Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total = torch.add(total, slope, alpha=weight)
    return total
