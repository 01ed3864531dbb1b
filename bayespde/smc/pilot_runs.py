"""Target -> a `GeometricPath` to it, from pilot chains that start from the prior."""

from __future__ import annotations

from dataclasses import replace

import torch

from bayespde.smc import tempering
from bayespde.smc.base import Kernel, Target
from bayespde.smc.config import SMCConfig
from bayespde.smc.geometric_path import GeometricPath, reference_logits
from bayespde.smc.kernels.block_flips import FROZEN, persistence
from bayespde.smc.rejuvenation import rejuvenate
from bayespde.smc.step import init_from

PRIOR_DRAWS = 1024
LEAST_CHAINS = 128
# Passes at inverse temperature 1, between the first and the last of which chains that mix change their spins.
FINAL_PASSES = 4
# Nats below the largest posterior mass seen at which a chain counts as one that found no mode.
DEPTH = 12.0
# Share of frozen spins above which a reference is hardly better than the prior, and costs a density more.
MOSTLY = 0.5
REFERENCE_DRAWS = 256
LEAST_POSSIBLE = 0.05


def pilot_run(target: Target, kernel: Kernel, *, config: SMCConfig, generator: torch.Generator) -> Target:
    """Take a few chains from the prior to the posterior, and build a path from what they find.

    The chains are annealed without resampling [neal2001], so that none of them is lost: where they end shows the modes.
    Spins on which they agree, or between whose values they move, get the inclusion probability found in the reference
    of the path; spins that keep different values in different chains keep that of the prior. Nothing else enters the
    main run: an error of the chains costs stages, not bias [fan2011, surjanovic2022].

    Args:
        target: What to sample.
        kernel: From `make_kernel`.
        config: Settings of the run; a schedule applies to the main run only.
        generator: Source of randomness.

    Returns:
        A `GeometricPath` to the target, or the target itself where draws from the prior, or from the reference, are
        hardly ever possible, or most spins keep different values.
    """
    spins = target.sample_prior(max(PRIOR_DRAWS, config.particles), generator=generator)
    prior = (spins.double().sum(dim=0) + 1) / (len(spins) + 2)
    chains = min(config.particles, max(LEAST_CHAINS, int(config.pilot_fraction * config.particles)))
    possible = _possible(target, spins, chains)
    if len(possible) < 2:
        return target
    spins, mass = _anneal(target, kernel, possible[torch.arange(chains) % len(possible)], config, generator)
    found = mass.max(dim=0).values >= mass.max() - DEPTH
    frozen = persistence(spins[0, found], spins[-1, found]) > FROZEN
    inclusion = spins[:, found].double().mean(dim=(0, 1))
    path = GeometricPath(target, reference_logits(torch.where(frozen, prior, inclusion), prior))
    draws = path.sample_prior(REFERENCE_DRAWS, generator=generator)
    alive = torch.isfinite(target.log_likelihood(draws)).double().mean()
    return path if alive > LEAST_POSSIBLE and frozen.double().mean() < MOSTLY else target


def _anneal(
    target: Target, kernel: Kernel, spins: torch.Tensor, config: SMCConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Chains from prior draws (`[C, K]`, bool): their spins after each final pass, and log posterior masses."""
    # Longer stages and fewer moves than in the main run: nothing that a chain finds is reported.
    once = replace(config, ess_fraction=config.ess_fraction / 2, schedule=(), min_passes=1, max_passes=1)
    twice = replace(once, max_passes=min(config.max_passes, 2))
    state = init_from(target, spins)
    while state.inverse_temperature < 1:
        beta = tempering.next_inverse_temperature(
            state.log_likelihood, previous=state.inverse_temperature, ess_fraction=once.ess_fraction
        )
        state = state._replace(inverse_temperature=beta)
        state, _ = rejuvenate(state, target, kernel, generator=generator, config=twice)
    history = [state]
    for _ in range(FINAL_PASSES):
        state, _ = rejuvenate(state, target, kernel, generator=generator, config=once)
        history.append(state)
    return torch.stack([s.spins for s in history]), torch.stack([s.log_prior + s.log_likelihood for s in history])


def _possible(target: Target, spins: torch.Tensor, wanted: int) -> torch.Tensor:
    """Possible configurations among some, at most `wanted`; blocks are tried until half of that are found."""
    found, count = [], 0
    for block in spins.split(wanted):
        found.append(block[torch.isfinite(target.log_likelihood(block))])
        count += len(found[-1])
        if count >= wanted // 2:
            break
    return torch.cat(found)[:wanted]
