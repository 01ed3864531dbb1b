"""Particles -> particles at the next temperature: reweight, resample, rejuvenate; always equal weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from bayespde.core.distinct import distinct
from bayespde.core.errors import ConfigError
from bayespde.smc import tempering
from bayespde.smc.base import Kernel, LinearTarget, Moves, SMCConfig, SMCInfo, SMCState, Target
from bayespde.smc.geometric_path import check_path, goal
from bayespde.smc.kernels.gibbs import GibbsFlips
from bayespde.smc.kernels.locally_balanced import LocallyBalancedJumps
from bayespde.smc.resampling import SCHEMES


def init(target: Target, *, particles: int, generator: torch.Generator) -> SMCState:
    """Draw particles where a path begins: from the prior, or from the start of a bridge.

    Args:
        target: What to sample, or a `GeometricPath` to it.
        particles: Number of particles P.
        generator: Source of randomness.

    Returns:
        A state at temperature 0 with log evidence 0.
    """
    return begin(target, target.sample_prior(particles, generator=generator))


def begin(target: Target, spins: torch.Tensor) -> SMCState:
    """The state at temperature 0 of some draws from where a path begins (`[P, K]`, bool)."""
    return SMCState(spins, target.log_prior(spins), target.log_likelihood(spins), 0.0, 0.0, torch.arange(len(spins)))


def make_kernel(target: Target, config: SMCConfig, *, threads: int = 1) -> Kernel:
    """The moves that a configuration asks for, prepared once for a target.

    Args:
        target: What to sample, or a `GeometricPath` to it.
        config: `kernel="auto"` takes the compiled kernel for a `LinearTarget`, and the plain one for any other.
        threads: Number of threads over particles; the result does not depend on it.

    Raises:
        ConfigError: If the compiled kernel is asked for where it cannot serve.
    """
    aim = goal(target)
    if isinstance(aim, LinearTarget) and config.kernel != "gibbs":
        return LocallyBalancedJumps(aim, swaps=config.swaps, threads=threads).on_path(target)
    if config.kernel == "barker":
        raise ConfigError(
            "The compiled kernel serves linear models only.",
            got=type(aim).__name__,
            wanted="a LinearTarget",
            fix="kernel='gibbs'",
        )
    return GibbsFlips(target, swaps=config.swaps)


def step(
    state: SMCState,
    target: Target,
    *,
    generator: torch.Generator,
    config: SMCConfig | None = None,
    kernel: Kernel | None = None,
) -> tuple[SMCState, SMCInfo]:
    """Move the particles to the next temperature [delmoral2006, schaferchopin2013].

    Args:
        state: Equally weighted particles at a temperature below 1.
        target: What to sample, or a `GeometricPath` to it: as for `init`.
        generator: Source of randomness.
        config: Settings; the defaults if None.
        kernel: From `make_kernel`; made anew if None, which costs some milliseconds.

    Returns:
        Equally weighted particles at the next temperature, and what happened.

    Raises:
        ConfigError: If no particle has a positive likelihood, or the moves are for another target.
    """
    config = SMCConfig() if config is None else config
    kernel = make_kernel(target, config) if kernel is None else kernel
    check_path(kernel.path, target, same=True)
    temperature = _choose_temperature(state, config)
    log_weights = tempering.incremental_log_weights(
        state.log_likelihood, previous=state.temperature, temperature=temperature
    )
    increment = tempering.log_mean_weight(log_weights)
    ancestors = SCHEMES[config.resampling](log_weights, generator=generator)
    chosen = select(state, ancestors)._replace(temperature=temperature, log_evidence=state.log_evidence + increment)
    moved, rejuvenation = rejuvenate(chosen, kernel, generator=generator, config=config)
    info = SMCInfo(
        log_weights=log_weights,
        ancestors=ancestors,
        ess=tempering.effective_sample_size(log_weights),
        temperature=temperature,
        log_evidence_increment=increment,
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
    )


class Rejuvenation(NamedTuple):
    """What the moves at one temperature did.

    Attributes:
        rao_blackwell: Mean conditional probability of each spin being up, `[K]`, float64.
        flip_rate: Share of spins changed per sweep.
        sweeps: Number of sweeps.
        passes: Number of passes that they were made in.
        correlation: Of the log likelihoods before and after.
    """

    rao_blackwell: torch.Tensor
    flip_rate: float
    sweeps: float
    passes: int
    correlation: float


def rejuvenate(
    state: SMCState, kernel: Kernel, *, generator: torch.Generator, config: SMCConfig
) -> tuple[SMCState, Rejuvenation]:
    """Move the particles at their temperature until their likelihoods have forgotten where they were.

    The number of passes and their length follow from the whole population, so that the bias of that vanishes with the
    number of particles, like that of adaptive temperatures [beskos2016]; with `sweeps` given and `max_passes` equal
    to `passes` nothing is adapted.
    """
    history: list[Moves] = []
    before, correlation = state.log_likelihood, 1.0
    length = pass_length(state, kernel, config)
    while len(history) < config.min_passes or (
        len(history) < config.max_passes and correlation >= config.decorrelation_target
    ):
        state, moves = kernel(state, sweeps=length, generator=generator)
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


def pass_length(state: SMCState, kernel: Kernel, config: SMCConfig) -> float:
    """Number of sweeps in a round: the one asked for, or what gives the wanted flips."""
    return kernel.sweeps_for(state, flips=config.flips) if config.sweeps is None else config.sweeps


def _correlation(before: np.ndarray, after: np.ndarray) -> float:
    """Correlation of two vectors; 0 where one of them does not vary: nothing can be forgotten then."""
    a, b = before - before.mean(), after - after.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _choose_temperature(state: SMCState, config: SMCConfig) -> float:
    if config.schedule:
        tempering.count_positive(state.log_likelihood)
        return next(t for t in config.schedule if t > state.temperature)
    return tempering.next_temperature(
        state.log_likelihood, previous=state.temperature, ess_fraction=config.ess_fraction
    )
