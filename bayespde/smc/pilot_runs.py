"""Target -> a `GeometricPath` to it and block flips between its modes, from pilot chains that start from the prior."""

from __future__ import annotations

from dataclasses import replace

import torch

from bayespde.smc import tempering
from bayespde.smc.base import Kernel, Target
from bayespde.smc.config import SMCConfig
from bayespde.smc.geometric_path import GeometricPath, reference_logits
from bayespde.smc.kernels.block_flips import block_flips, differences
from bayespde.smc.rejuvenation import rejuvenate
from bayespde.smc.step import init_from

PRIOR_DRAWS = 1024
LEAST_CHAINS = 128
# Passes at inverse temperature 1, and the correlation of a spin across chains, between the first and the last of them,
# above which the chains do not mix; fewer chains are no evidence of that.
FINAL_PASSES, FROZEN, FEWEST_COMPARED = 4, 0.8, 16
# Nats below the largest posterior mass seen at which a chain counts as one that found no mode.
DEPTH = 12.0
# Share of frozen spins above which a reference is hardly better than the prior, and costs a density more.
MOSTLY = 0.5
REFERENCE_DRAWS = 256
LEAST_POSSIBLE = 0.05


def pilot_run(
    target: Target, kernel: Kernel, *, config: SMCConfig, generator: torch.Generator
) -> tuple[Target, Kernel]:
    """Take a few chains from the prior to the posterior, and build a path and moves from what they find.

    The chains are annealed without resampling [neal2001], so that none of them is lost: where they end shows the modes.
    Spins on which they agree, or between whose values they move, get the inclusion probability found in the reference
    of the path; spins that keep different values in different chains keep that of the prior, and the differences
    between the modes become block flips. Nothing else enters the main run: an error of the chains costs stages, not
    bias [fan2011, surjanovic2022].

    Args:
        target: What to sample.
        kernel: From `make_kernel`.
        config: Settings of the run; a schedule applies to the main run only.
        generator: Source of randomness.

    Returns:
        A `GeometricPath` to the target, or the target itself where draws from the prior, or from the reference, are
        hardly ever possible; and the kernel, with block flips where chains stay in different modes.
    """
    spins = target.sample_prior(max(PRIOR_DRAWS, config.particles), generator=generator)
    prior = (spins.double().sum(dim=0) + 1) / (len(spins) + 2)
    chains = min(config.particles, max(LEAST_CHAINS, int(config.pilot_fraction * config.particles)))
    possible = _possible(target, spins, chains)
    if len(possible) < 2:
        return target, kernel
    spins, mass = _anneal(target, kernel, possible[torch.arange(chains) % len(possible)], config, generator)
    found = mass.max(dim=0).values >= mass.max() - DEPTH
    frozen = _frozen(spins[0, found], spins[-1, found])
    inclusion = spins[:, found].double().mean(dim=(0, 1))
    path = GeometricPath(target, reference_logits(torch.where(frozen, prior, inclusion), prior))
    draws = path.sample_prior(REFERENCE_DRAWS, generator=generator)
    alive = torch.isfinite(target.log_likelihood(draws)).double().mean()
    sets = differences(spins[:, found].flatten(0, 1), mass[:, found].flatten(), within=frozen)
    kernel = block_flips(kernel, target, spins[-1, found], sets, flips=config.block_flips)
    return path if alive > LEAST_POSSIBLE and frozen.double().mean() < MOSTLY else target, kernel


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


def _frozen(first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Which spins keep their values in each chain, and have different ones, `[K]`, bool; from `[C, K]`, bool."""
    a, b = (spins.double() - spins.double().mean(dim=0) for spins in (first, last))
    covariance, scale = (a * b).sum(dim=0), ((a**2).sum(dim=0) * (b**2).sum(dim=0)).sqrt()
    return (covariance > FROZEN * scale) & (len(first) >= FEWEST_COMPARED)


def _possible(target: Target, spins: torch.Tensor, wanted: int) -> torch.Tensor:
    """Possible configurations among some, at most `wanted`; blocks are tried until half of that are found."""
    found, count = [], 0
    for block in spins.split(wanted):
        found.append(block[torch.isfinite(target.log_likelihood(block))])
        count += len(found[-1])
        if count >= wanted // 2:
            break
    return torch.cat(found)[:wanted]
