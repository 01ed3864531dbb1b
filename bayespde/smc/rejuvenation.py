"""Particles at one inverse temperature -> moved particles: adaptive passes of a kernel, and what they did."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from bayespde.core.distinct import distinct
from bayespde.core.monte_carlo import clustered_variance
from bayespde.smc.base import JointTarget, Kernel, Moves, SMCState, Target
from bayespde.smc.config import SMCConfig


class Rejuvenation(NamedTuple):
    """What the moves at one inverse temperature did.

    Attributes:
        rao_blackwell: Mean conditional probability of each spin being up, `[K]`, float64.
        flip_rate: Share of spins changed per sweep.
        sweeps: Number of sweeps.
        passes: Number of passes in which they were made.
        correlation: Of the log likelihoods before and after.
    """

    rao_blackwell: torch.Tensor
    flip_rate: float
    sweeps: float
    passes: int
    correlation: float


class FinalRejuvenation(NamedTuple):
    """What the passes at inverse temperature 1 found.

    Attributes:
        rao_blackwell: Mean conditional probability of each spin being up, `[K]`, float64.
        variance: Of the share of passes and particles in which each spin is up, `[K]`, float64; particles of one
            ancestor are taken together.
        visited: Distinct configurations of the particles after any pass, `[N, K]`, bool; none where particles have real
            numbers too, so that a configuration's mass is not known.
        log_mass: Their log prior plus log likelihood, `[N]`, float64.
    """

    rao_blackwell: torch.Tensor
    variance: torch.Tensor
    visited: np.ndarray
    log_mass: np.ndarray


def rejuvenate(
    state: SMCState, path: Target | JointTarget, kernel: Kernel, *, generator: torch.Generator, config: SMCConfig
) -> tuple[SMCState, Rejuvenation]:
    """Move the particles at their inverse temperature until their likelihoods are decorrelated [buchholz2021].

    The number of passes and their length follow from the whole population, so that the bias of that vanishes with the
    number of particles, like that of adaptive inverse temperatures [beskos2016]. With `sweeps` given and `max_passes`
    equal to `min_passes` nothing is adapted.
    """
    history: list[Moves] = []
    before, correlation = state.log_likelihood, 1.0
    length = _pass_length(state, path, kernel, config)
    while len(history) < config.min_passes or (
        len(history) < config.max_passes and correlation >= config.decorrelation_target
    ):
        state, moves = kernel(state, path, sweeps=length, generator=generator)
        history.append(moves)
        correlation = _correlation(before.numpy(), state.log_likelihood.numpy())
    passes = len(history)
    return state, Rejuvenation(
        rao_blackwell=torch.stack([m.rao_blackwell for m in history]).mean(dim=0),
        flip_rate=sum(m.flip_rate for m in history) / passes,
        sweeps=passes * length,
        passes=passes,
        correlation=correlation,
    )


def rejuvenate_finally(
    state: SMCState,
    path: Target | JointTarget,
    kernel: Kernel,
    *,
    generator: torch.Generator,
    config: SMCConfig,
    settling: int = 0,
) -> tuple[SMCState, FinalRejuvenation]:
    """Move the particles by `final_passes` further passes at inverse temperature 1.

    Estimates are averages over all passes but the first `settling`, fewer than all of them.
    """
    found = [_distinct(state)]
    conditional = torch.zeros(state.spins.shape[1], dtype=torch.float64)
    length, share = _pass_length(state, path, kernel, config), torch.zeros(state.spins.shape, dtype=torch.float64)
    counted = config.final_passes - settling
    for number in range(config.final_passes):
        state, moves = kernel(state, path, sweeps=length, generator=generator)
        if number >= settling:
            conditional += moves.rao_blackwell / counted
            share += state.spins.double() / counted
        found.append(_distinct(state))
    spins, log_mass = (np.concatenate(parts) for parts in zip(*found, strict=True))
    first = distinct(spins).first
    variance = torch.as_tensor(clustered_variance(share.numpy(), state.eve_index.numpy()))
    return state, FinalRejuvenation(conditional, variance, spins[first], log_mass[first])


def _pass_length(state: SMCState, path: Target | JointTarget, kernel: Kernel, config: SMCConfig) -> float:
    """Number of sweeps in a pass: the one asked for, or the one that gives the wanted flips."""
    return kernel.sweeps_for(state, path, flips=config.flips) if config.sweeps is None else config.sweeps


def _correlation(before: np.ndarray, after: np.ndarray) -> float:
    """Correlation of two vectors; 0 where one of them does not vary, so that there is nothing to decorrelate."""
    a, b = before - before.mean(), after - after.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _distinct(state: SMCState) -> tuple[np.ndarray, np.ndarray]:
    """Distinct configurations of the particles `[N, K]` and their log prior plus log likelihood `[N]`, if known."""
    first = distinct(state.spins.numpy() if state.latents is None else state.spins[:0].numpy()).first
    return state.spins.numpy()[first], (state.log_prior + state.log_likelihood).numpy()[first]
