"""A kernel for spins -> one that also moves the real numbers of a joint target, each given the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, cast

import torch

from bayespde.core.errors import ConfigError
from bayespde.smc.base import BlockFlips, JointTarget, Kernel, Moves, SMCState
from bayespde.smc.config import SMCConfig
from bayespde.smc.kernels.hamiltonian import ACCEPTANCE, FIRST_STEP, hamiltonian
from bayespde.smc.kernels.metropolis import accept, tempered_log_ratio

# Of a random walk: acceptance probability to which its step is adapted, and the step for one coordinate.
WALK_ACCEPTANCE, WALK_STEP = 0.3, 2.38
# Added to the covariance of the particles, relative to its diagonal; and the least variance of a coordinate.
RIDGE, LEAST_VARIANCE = 1e-6, 1e-24
# Bounds of the step size relative to the first one.
SMALLEST, LARGEST = 1e-4, 10.0


class Move(Protocol):
    """Moves of real numbers at fixed spins, which leave the tempered target invariant."""

    def __call__(
        self,
        state: SMCState,
        target: JointTarget,
        *,
        spread: torch.Tensor,
        step: float,
        steps: int,
        generator: torch.Generator,
    ) -> tuple[SMCState, float]:
        """Move every particle; return the new state and the mean acceptance probability."""
        ...


def random_walk(
    state: SMCState, target: JointTarget, *, spread: torch.Tensor, step: float, steps: int, generator: torch.Generator
) -> tuple[SMCState, float]:
    """Random-walk Metropolis steps, by normal proposals of a covariance; arguments as in `hamiltonian`."""
    acceptance = 0.0
    for _ in range(steps):
        latents = cast(torch.Tensor, state.latents)
        noise = torch.randn(latents.shape, generator=generator, dtype=torch.float64)
        uniform = torch.rand(len(latents), generator=generator, dtype=torch.float64)
        place = latents + step * noise @ spread.T
        found = target.proposed(state.spins, place)
        prior, likelihood = found[0] - state.log_prior, found[1] - state.log_likelihood
        log_ratio = tempered_log_ratio(prior, likelihood, state.inverse_temperature)
        proposed = state._replace(log_prior=found[0], log_likelihood=found[1], latents=place)
        state = accept(state, proposed, torch.log(uniform) < log_ratio)
        acceptance += float(torch.exp(log_ratio.clamp(max=0)).mean()) / steps
    return state, acceptance


class Tuning(NamedTuple):
    """How the step of a move is chosen: for D coordinates it begins with `first * D^power`."""

    move: Move
    acceptance: float
    first: float
    power: float

    def step(self, dimension: int) -> float:
        """The first step size, relative to the spread of the particles."""
        return self.first * float(dimension) ** self.power


MOVES = {
    "hamiltonian": Tuning(hamiltonian, ACCEPTANCE, FIRST_STEP, -1 / 4),
    "random_walk": Tuning(random_walk, WALK_ACCEPTANCE, WALK_STEP, -1 / 2),
}


@dataclass(frozen=True)
class LatentMoves:
    """The moves of a kernel at each particle's real numbers, and moves of these after each of its passes.

    The spread of the real numbers is that of the particles at this inverse temperature, and the step size follows the
    acceptance of the pass before [buchholz2021]: both depend on the whole population, so that the bias of that vanishes
    with the number of particles. With a step size given nothing is adapted.

    Attributes:
        kernel: The moves of the spins.
        target: The joint target.
        tuning: The moves of the real numbers.
        steps: Largest number of steps in a pass.
        step_size: Fixed, in units of the real numbers; None to adapt it.
    """

    kernel: Kernel
    target: JointTarget
    tuning: Tuning
    steps: int
    step_size: float | None = None

    def __call__(
        self, state: SMCState, path: Any, *, sweeps: float, generator: torch.Generator
    ) -> tuple[SMCState, Moves]:
        """Move every particle, as `Kernel` says; what happened is that of the spins."""
        given = self.target.given(cast(torch.Tensor, state.latents))
        state, moves = self.kernel(state, given, sweeps=sweeps, generator=generator)
        return self._moved(state, generator), moves

    def sweeps_for(self, state: SMCState, path: Any, *, flips: float) -> float:
        """As many as the moves of the spins take."""
        return self.kernel.sweeps_for(state, self.target.given(cast(torch.Tensor, state.latents)), flips=flips)

    def with_block_flips(self, block_flips: BlockFlips) -> LatentMoves:
        """The same moves of the real numbers after passes that flip these sets."""
        return replace(self, kernel=self.kernel.with_block_flips(block_flips))

    def _moved(self, state: SMCState, generator: torch.Generator) -> SMCState:
        latents = cast(torch.Tensor, state.latents)
        if self.step_size is not None:
            spread, step = torch.eye(latents.shape[1], dtype=torch.float64), self.step_size
        else:
            spread, step = _spread(latents), state.step_size * self.tuning.step(latents.shape[1])
        state, acceptance = self.tuning.move(
            state, self.target, spread=spread, step=step, steps=self.steps, generator=generator
        )
        size = state.step_size * math.exp(acceptance - self.tuning.acceptance)
        return state._replace(step_size=min(max(size, SMALLEST), LARGEST))


def latent_moves(kernel: Kernel, target: Any, config: SMCConfig) -> LatentMoves:
    """A kernel for a joint target from one for its spins.

    Raises:
        ConfigError: If moves by the gradient are asked for, and there is none.
    """
    automatic = "hamiltonian" if target.has_gradient else "random_walk"
    if config.latent_moves == "hamiltonian" and not target.has_gradient:
        raise ConfigError(
            "The target has no gradient with respect to its continuous latents.",
            got="latent_moves='hamiltonian'",
            wanted="a log density that torch can differentiate",
            fix="latent_moves='random_walk'",
        )
    tuning = MOVES[automatic if config.latent_moves == "auto" else config.latent_moves]
    return LatentMoves(kernel, target, tuning, config.latent_steps, config.latent_step_size)


def _spread(latents: torch.Tensor) -> torch.Tensor:
    """Lower triangular root of the covariance of the particles, `[D, D]`."""
    centred = latents - latents.mean(dim=0)
    covariance = centred.T @ centred / len(latents)
    variance = covariance.diagonal().clamp(min=LEAST_VARIANCE)
    return torch.linalg.cholesky(covariance + torch.diag(RIDGE * variance + (variance - covariance.diagonal())))
