"""Target -> a `GeometricPath` to it: pilot runs from the prior tune the reference from which the main run starts."""

from __future__ import annotations

from dataclasses import replace

import torch

from bayespde.smc.base import Kernel, Target
from bayespde.smc.config import SMCConfig
from bayespde.smc.geometric_path import GeometricPath, reference_logits
from bayespde.smc.rejuvenation import rejuvenate_finally
from bayespde.smc.step import init_from, step

PRIOR_DRAWS = 1024
PILOT_GROUPS = 4
LEAST_GROUP = 32
REFERENCE_DRAWS = 256
LEAST_POSSIBLE = 0.05


def pilot_run(target: Target, kernel: Kernel, *, config: SMCConfig, generator: torch.Generator) -> Target:
    """Take a few particles from the prior to the posterior, and build a path from the inclusion that they find.

    They run in independent groups: a small group often ends in one of several modes. Their result only sets the
    reference of the main run: an error of theirs costs stages, not bias [fan2011, surjanovic2022].

    Args:
        target: What to sample.
        kernel: From `make_kernel`.
        config: Settings of the run; a schedule applies to the main run only.
        generator: Source of randomness.

    Returns:
        A `GeometricPath` to the target; the target itself where draws from the prior, or from the reference, are hardly
        ever possible.
    """
    spins = target.sample_prior(max(PRIOR_DRAWS, config.particles), generator=generator)
    prior = (spins.double().sum(dim=0) + 1) / (len(spins) + 2)
    wanted = max(LEAST_GROUP, int(config.pilot_fraction * config.particles / PILOT_GROUPS))
    group = max(2, min(config.particles // PILOT_GROUPS, wanted))
    possible = _possible(target, spins, PILOT_GROUPS * group)
    if len(possible) < PILOT_GROUPS:
        return target
    found = []
    for first in range(PILOT_GROUPS):
        chosen = possible[first::PILOT_GROUPS]
        spins = chosen[torch.arange(group) % len(chosen)]
        found.append(_inclusion(target, kernel, spins, config=config, generator=generator))
    path = GeometricPath(target, reference_logits(torch.stack(found).mean(dim=0), prior))
    draws = path.sample_prior(REFERENCE_DRAWS, generator=generator)
    alive = torch.isfinite(target.log_likelihood(draws)).double().mean()
    return path if alive > LEAST_POSSIBLE else target


def _inclusion(
    target: Target, kernel: Kernel, spins: torch.Tensor, *, config: SMCConfig, generator: torch.Generator
) -> torch.Tensor:
    """Inclusion probabilities `[K]` from one group of particles that starts at some prior draws (`[P, K]`, bool)."""
    # longer stages and fewer moves than in the main run: nothing that a pilot run finds is reported
    config = replace(config, ess_fraction=config.ess_fraction / 2, schedule=(), final_passes=1)
    state = init_from(target, spins)
    while state.inverse_temperature < 1:
        state, _ = step(state, target, kernel=kernel, generator=generator, config=config)
    return rejuvenate_finally(state, target, kernel, generator=generator, config=config)[1].rao_blackwell


def _possible(target: Target, spins: torch.Tensor, wanted: int) -> torch.Tensor:
    """Possible configurations among some, at most `wanted`; blocks are tried until half of that are found."""
    found, count = [], 0
    for block in spins.split(wanted):
        found.append(block[torch.isfinite(target.log_likelihood(block))])
        count += len(found[-1])
        if count >= wanted // 2:
            break
    return torch.cat(found)[:wanted]
