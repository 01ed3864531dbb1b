"""State -> state at the same inverse temperature: Gibbs sweeps over spins, and swaps of an up and a down spin."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from bayespde.smc.base import BlockFlips, Moves, SMCState, Target
from bayespde.smc.config import SMCConfig
from bayespde.smc.kernels.block_flips import flip_blocks
from bayespde.smc.kernels.metropolis import accept, propose


def update_site(state: SMCState, target: Target, *, site: int, uniforms: torch.Tensor) -> tuple[SMCState, torch.Tensor]:
    """Draw one spin of every particle from its conditional distribution given the other spins.

    Args:
        state: Particles at `state.inverse_temperature`.
        target: What to sample.
        site: Index of the spin.
        uniforms: `[P]`, float64, in [0, 1).

    Returns:
        The new state, and the conditional probability of the spin being up, `[P]`, float64.
    """
    flipped = state.spins.clone()
    flipped[:, site] = ~flipped[:, site]
    proposed, log_odds = propose(state, target, flipped)
    # the probability is never formed as 1 - p: that would be exactly 0 for log odds above 37
    up = torch.sigmoid(torch.where(state.spins[:, site], -log_odds, log_odds))
    return accept(state, proposed, torch.logit(uniforms) < log_odds), up


def flip_block(state: SMCState, target: Target, *, block: tuple[int, ...], uniforms: torch.Tensor) -> SMCState:
    """Flip a set of spins of every particle, or not, by the conditional distribution of the two given the others."""
    flipped = state.spins.clone()
    flipped[:, block] = ~flipped[:, block]
    proposed, log_odds = propose(state, target, flipped)
    return accept(state, proposed, torch.logit(uniforms) < log_odds)


def swap(
    state: SMCState, target: Target, *, pair: torch.Tensor, uniforms: torch.Tensor
) -> tuple[SMCState, torch.Tensor]:
    """Metropolis swap move: flip both spins of a pair drawn uniformly from up x down, a symmetric proposal [brown1998].

    Args:
        state: Particles at `state.inverse_temperature`.
        target: What to sample.
        pair: Index of an up and a down spin per particle, `[P, 2]`, int64; -1 leaves the particle unchanged.
        uniforms: `[P]`, float64, in [0, 1).

    Returns:
        The new state, and the acceptance probability, `[P]`, float64.
    """
    possible = (pair >= 0).all(dim=1)
    change = torch.zeros_like(state.spins).scatter_(1, pair.clamp(min=0), possible[:, None].expand(-1, 2))
    proposed, log_ratio = propose(state, target, state.spins ^ change)
    accepted = possible & (torch.log(uniforms) < log_ratio)
    return accept(state, proposed, accepted), possible * torch.exp(log_ratio.clamp(max=0))


def choose_pair(spins: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Draw an up and a down spin of each particle (`[P, K]`, bool): `[P, 2]`, int64, -1 if there is none."""
    keys = torch.rand(spins.shape, generator=generator, dtype=torch.float64)
    up = torch.where(spins, keys, -1.0).max(dim=1)
    down = torch.where(spins, -1.0, keys).max(dim=1)
    pair = torch.stack([up.indices, down.indices], dim=1)
    return torch.where(((up.values >= 0) & (down.values >= 0))[:, None], pair, -1)


@dataclass(frozen=True)
class GibbsFlips:
    """Sweeps over all spins in an order drawn once per sweep; leaves the tempered target invariant.

    The plain reference: any target, by its log density alone.

    Attributes:
        swaps: Number of swap proposals after each sweep.
        blocks: Sets of spins that are flipped together, each once in a sweep, apart from the single ones.
        block_flips: What a pass ends with.
    """

    swaps: int = 0
    blocks: tuple[tuple[int, ...], ...] = ()
    block_flips: BlockFlips | None = None

    def __call__(
        self, state: SMCState, path: Target, *, sweeps: float, generator: torch.Generator
    ) -> tuple[SMCState, Moves]:
        """Move every particle, as `Kernel` says; the number of sweeps is rounded up."""
        (particles, terms), sweeps = state.spins.shape, math.ceil(sweeps)
        conditional = torch.zeros(terms, dtype=torch.float64)
        changed = 0.0
        for _ in range(sweeps):
            before = state.spins
            for site in torch.randperm(terms, generator=generator).tolist():
                uniforms = torch.rand(particles, generator=generator, dtype=torch.float64)
                state, up = update_site(state, path, site=site, uniforms=uniforms)
                conditional[site] += up.mean()
            for block in torch.randperm(len(self.blocks), generator=generator).tolist():
                uniforms = torch.rand(particles, generator=generator, dtype=torch.float64)
                state = flip_block(state, path, block=self.blocks[block], uniforms=uniforms)
            for _ in range(self.swaps if terms > 1 else 0):
                pair = choose_pair(state.spins, generator=generator)
                uniforms = torch.rand(particles, generator=generator, dtype=torch.float64)
                state, _ = swap(state, path, pair=pair, uniforms=uniforms)
            changed += float((before ^ state.spins).double().mean())
        if self.block_flips is not None:
            state = flip_blocks(state, path, self.block_flips, generator=generator)
        return state, Moves(conditional / sweeps, changed / sweeps)

    def sweeps_for(self, state: SMCState, path: Target, *, flips: float) -> float:
        """One: the cost of a sweep does not depend on how many spins it flips."""
        return 1.0

    def with_block_flips(self, block_flips: BlockFlips) -> GibbsFlips:
        """The kernel whose passes end with flips of these sets."""
        return replace(self, block_flips=block_flips)


def make(target: Target, config: SMCConfig, *, threads: int = 1) -> GibbsFlips:
    """The plain kernel serves any target, in one thread."""
    return GibbsFlips(swaps=config.swaps, blocks=getattr(target, "blocks", ()))
