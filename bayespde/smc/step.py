"""Particles -> particles at the next inverse temperature: reweight, resample, rejuvenate; always equal weights."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from bayespde.core.distinct import distinct
from bayespde.smc import tempering
from bayespde.smc.base import JointTarget, Kernel, SMCInfo, SMCState, Target, latent_dimension
from bayespde.smc.config import SMCConfig
from bayespde.smc.kernels.metropolis import over_spins
from bayespde.smc.rejuvenation import rejuvenate
from bayespde.smc.resampling import SCHEMES


def init(target: Target | JointTarget, *, particles: int, generator: torch.Generator) -> SMCState:
    """Draw particles at the beginning of a path: from the prior, or from the reference of a `GeometricPath`.

    Args:
        target: What to sample, or a `GeometricPath` to it.
        particles: Number of particles P.
        generator: Source of randomness.

    Returns:
        A state at inverse temperature 0 with log evidence 0.
    """
    if latent_dimension(target):
        return init_from(target, *cast(JointTarget, target).sample_joint(particles, generator=generator))
    return init_from(target, cast(Target, target).sample_prior(particles, generator=generator))


def init_from(target: Target | JointTarget, spins: torch.Tensor, latents: torch.Tensor | None = None) -> SMCState:
    """The state at inverse temperature 0 of given draws (`[P, K]`, bool, and `[P, D]`) from the beginning of a path."""
    nothing = torch.empty(len(spins), dtype=torch.float64)
    state = SMCState(spins, nothing, nothing, 0.0, 0.0, torch.arange(len(spins)), latents)
    return with_densities(state, target)


def with_densities(state: SMCState, target: Target | JointTarget) -> SMCState:
    """The same particles with their log densities computed anew."""
    path = over_spins(target, state)
    return state._replace(log_prior=path.log_prior(state.spins), log_likelihood=path.log_likelihood(state.spins))


def step(
    state: SMCState,
    target: Target | JointTarget,
    *,
    kernel: Kernel,
    generator: torch.Generator,
    config: SMCConfig | None = None,
) -> tuple[SMCState, SMCInfo]:
    """Move the particles to the next inverse temperature [delmoral2006, schaferchopin2013].

    Args:
        state: Equally weighted particles at an inverse temperature below 1.
        target: What to sample, or a `GeometricPath` to it: as for `init`.
        kernel: Moves that leave the tempered target invariant, such as those of `make_kernel`.
        generator: Source of randomness.
        config: Settings; the defaults if None.

    Returns:
        Equally weighted particles at the next inverse temperature, and what happened.

    Raises:
        ConfigError: If no particle has a positive likelihood, or the kernel is for another target.
    """
    config = SMCConfig() if config is None else config
    beta = _next_inverse_temperature(state, config)
    log_weights = tempering.incremental_log_weights(state.log_likelihood, previous=state.inverse_temperature, beta=beta)
    increment = tempering.log_mean_weight(log_weights)
    ancestors = SCHEMES[config.resampling](log_weights, generator=generator)
    chosen = select(state, ancestors)._replace(inverse_temperature=beta, log_evidence=state.log_evidence + increment)
    moved, rejuvenation = rejuvenate(chosen, target, kernel, generator=generator, config=config)
    info = SMCInfo(
        log_weights=log_weights,
        ancestors=ancestors,
        ess=tempering.effective_sample_size(log_weights),
        inverse_temperature=beta,
        log_marginal_likelihood_increment=increment,
        distinct_particles=len(distinct(moved.spins.numpy()).first),
        distinct_ancestors=int(np.count_nonzero(np.bincount(moved.eve_index.numpy()))),
        **rejuvenation._asdict(),
    )
    return moved, info


def select(state: SMCState, ancestors: torch.Tensor) -> SMCState:
    """Copy the chosen particles (`[P]`, int64) with everything that belongs to them."""
    return state._replace(
        spins=state.spins[ancestors],
        log_prior=state.log_prior[ancestors],
        log_likelihood=state.log_likelihood[ancestors],
        eve_index=state.eve_index[ancestors],
        latents=None if state.latents is None else state.latents[ancestors],
    )


def _next_inverse_temperature(state: SMCState, config: SMCConfig) -> float:
    """The next one of a fixed schedule, else the adaptive one."""
    if config.schedule:
        tempering.count_positive(state.log_likelihood)
        return next(beta for beta in config.schedule if beta > state.inverse_temperature)
    return tempering.next_inverse_temperature(
        state.log_likelihood, previous=state.inverse_temperature, ess_fraction=config.ess_fraction
    )
