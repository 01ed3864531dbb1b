"""Particles -> particles at the next temperature: reweight, resample, rejuvenate; always equal weights."""

from __future__ import annotations

import torch

from bayespde.smc import tempering
from bayespde.smc.base import SMCConfig, SMCInfo, SMCState, Target
from bayespde.smc.flips import GibbsFlips, Moves
from bayespde.smc.resampling import SCHEMES


def init(target: Target, *, particles: int, generator: torch.Generator) -> SMCState:
    """Draw particles from the prior.

    Args:
        target: What to sample.
        particles: Number of particles P.
        generator: Source of randomness.

    Returns:
        A state at temperature 0 with log evidence 0.
    """
    spins = target.sample_prior(particles, generator=generator)
    return SMCState(spins, target.log_prior(spins), target.log_likelihood(spins), 0.0, 0.0, torch.arange(particles))


def step(
    state: SMCState, target: Target, *, generator: torch.Generator, config: SMCConfig | None = None
) -> tuple[SMCState, SMCInfo]:
    """Move the particles to the next temperature [delmoral2006, schaferchopin2013].

    Args:
        state: Equally weighted particles at a temperature below 1.
        target: What to sample.
        generator: Source of randomness.
        config: Settings; the defaults if None.

    Returns:
        Equally weighted particles at the next temperature, and what happened.

    Raises:
        ConfigError: If no particle has a positive likelihood.
    """
    config = SMCConfig() if config is None else config
    temperature = _choose_temperature(state, config)
    log_weights = tempering.incremental_log_weights(
        state.log_likelihood, previous=state.temperature, temperature=temperature
    )
    increment = tempering.log_mean_weight(log_weights)
    ancestors = SCHEMES[config.resampling](log_weights, generator=generator)
    chosen = select(state, ancestors)._replace(temperature=temperature, log_evidence=state.log_evidence + increment)
    moved, moves = rejuvenate(chosen, target, generator=generator, config=config)
    info = SMCInfo(
        log_weights=log_weights,
        ancestors=ancestors,
        ess=tempering.effective_sample_size(log_weights),
        temperature=temperature,
        log_evidence_increment=increment,
        flip_rate=moves.flip_rate,
        distinct_particles=len(torch.unique(moved.spins, dim=0)),
        distinct_ancestors=len(torch.unique(moved.origins)),
        rao_blackwell=moves.rao_blackwell,
    )
    return moved, info


def select(state: SMCState, ancestors: torch.Tensor) -> SMCState:
    """Copy the chosen particles (`[P]`, int64) with everything that belongs to them."""
    return state._replace(
        spins=state.spins[ancestors],
        log_prior=state.log_prior[ancestors],
        log_likelihood=state.log_likelihood[ancestors],
        origins=state.origins[ancestors],
    )


def rejuvenate(
    state: SMCState, target: Target, *, generator: torch.Generator, config: SMCConfig
) -> tuple[SMCState, Moves]:
    """Move the particles at their temperature by Gibbs sweeps and exchanges."""
    return GibbsFlips(sweeps=config.sweeps, swaps=config.swaps)(state, target, generator=generator)


def _choose_temperature(state: SMCState, config: SMCConfig) -> float:
    if config.schedule:
        tempering.living_particles(state.log_likelihood)
        return next(t for t in config.schedule if t > state.temperature)
    return tempering.next_temperature(
        state.log_likelihood, previous=state.temperature, ess_fraction=config.ess_fraction
    )
