"""Configurations of several modes -> sets of spins by which modes differ; a kernel -> one that also flips such sets.

A flip of a fixed set of spins is its own inverse, so that a Metropolis step with it leaves the tempered target
invariant, whatever the set. One by which two modes differ takes a particle from the one to the other, and leaves how it
differs from its mode. Particles move between modes that single flips and swaps do not connect, and the weights of modes
no longer rest on how resampling divided the particles when they came apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bayespde.core.distinct import distinct
from bayespde.smc.base import Kernel, Moves, SMCState, Target
from bayespde.smc.kernels.gibbs import accept, propose

# Modes that differ in fewer spins are connected by flips and swaps.
APART = 3
MOST_MODES = 8
LEAST_ACCEPTED = 1e-3


@dataclass(frozen=True, eq=False)
class BlockFlips:
    """The moves of a kernel, and block flips after each of its passes.

    Attributes:
        kernel: The other moves.
        sets: The spins that flip together, `[D, K]`, bool.
        weights: How often each set is proposed, `[D]`, float64.
        flips: Proposals for each particle after each pass.
    """

    kernel: Kernel
    sets: torch.Tensor
    weights: torch.Tensor
    flips: int = 1

    def __call__(
        self, state: SMCState, path: Target, *, sweeps: float, generator: torch.Generator
    ) -> tuple[SMCState, Moves]:
        """Move every particle, as `Kernel` says; what happened is that of the other moves."""
        state, moves = self.kernel(state, path, sweeps=sweeps, generator=generator)
        particles = len(state.spins)
        for _ in range(self.flips):
            chosen = torch.multinomial(self.weights, particles, replacement=True, generator=generator)
            uniforms = torch.rand(particles, generator=generator, dtype=torch.float64)
            proposed, log_ratio = propose(state, path, state.spins ^ self.sets[chosen])
            state = accept(state, proposed, torch.log(uniforms) < log_ratio)
        return state, moves

    def sweeps_for(self, state: SMCState, path: Target, *, flips: float) -> float:
        """As many as the other moves take."""
        return self.kernel.sweeps_for(state, path, flips=flips)


def block_flips(kernel: Kernel, target: Target, spins: torch.Tensor, sets: torch.Tensor, *, flips: int) -> Kernel:
    """A kernel with block flips, each as often as it would be accepted; the kernel itself where none would.

    Args:
        kernel: The other moves.
        target: Its target.
        spins: Configurations over which acceptance is averaged, `[C, K]`, bool, all possible.
        sets: The spins that flip together, `[D, K]`, bool.
        flips: Proposals for each particle after each pass.
    """
    if not (len(sets) and flips):
        return kernel
    proposed = spins[:, None] ^ sets
    before, after = (target.log_prior(s) + target.log_likelihood(s) for s in (spins, proposed.flatten(0, 1)))
    rates = torch.exp((after.reshape(proposed.shape[:2]) - before[:, None]).clamp(max=0)).mean(dim=0)
    useful = rates > LEAST_ACCEPTED
    return BlockFlips(kernel, sets[useful], rates[useful], flips) if useful.any() else kernel


def differences(spins: torch.Tensor, mass: torch.Tensor, *, within: torch.Tensor) -> torch.Tensor:
    """Sets of spins by which modes differ.

    Modes are the configurations of the largest mass, of which each two differ in at least three of some spins.

    Args:
        spins: Configurations, `[N, K]`, bool.
        mass: Their log posterior mass, `[N]`, float64.
        within: The spins that count, `[K]`, bool.

    Returns:
        Distinct sets, `[D, K]`, bool; none if there is one mode.
    """
    modes: list[torch.Tensor] = []
    first = torch.as_tensor(distinct(spins.numpy()).first)
    for k in first[torch.argsort(mass[first], descending=True, stable=True)].tolist():
        if all(int(((spins[k] ^ mode) & within).sum()) >= APART for mode in modes):
            modes.append(spins[k])
        if len(modes) == MOST_MODES:
            break
    sets = [a ^ b for i, a in enumerate(modes) for b in modes[:i]]
    if not sets:
        return torch.zeros((0, spins.shape[1]), dtype=torch.bool)
    stacked = torch.stack(sets)
    return stacked[torch.as_tensor(distinct(stacked.numpy()).first)]
