"""Target -> particles: the loop over stages, and final passes at inverse temperature 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import torch

from bayespde.smc.base import BlockFlips, JointTarget, Kernel, SMCInfo, SMCState, Target, latent_dimension
from bayespde.smc.collect import HISTORY, Run
from bayespde.smc.config import SMCConfig
from bayespde.smc.decided_settings import DecidedSettings, decided
from bayespde.smc.geometric_path import endpoint
from bayespde.smc.kernels import make_kernel
from bayespde.smc.kernels.block_flips import learn_block_flips, persistence
from bayespde.smc.pilot_runs import pilot_run
from bayespde.smc.rejuvenation import rejuvenate_finally
from bayespde.smc.step import init, step, with_densities

OnStep = Callable[[SMCState, SMCInfo], None]


class Annealed(NamedTuple):
    """Particles that have come to inverse temperature 1, and what their final passes need.

    Attributes:
        state: The particles.
        path: On which they came: a `GeometricPath`, or the target.
        kernel: Their moves.
        block_flips: Those that the kernel has learnt, if any.
        kept: Persistence of each spin in the last moves, `[K]`, float64.
        stages: History by name, each `[S]`, float64.
        generator: Source of randomness.
    """

    state: SMCState
    path: Target | JointTarget
    kernel: Kernel
    block_flips: BlockFlips | None
    kept: torch.Tensor
    stages: dict[str, np.ndarray]
    generator: torch.Generator


def run(
    target: Target | JointTarget,
    *,
    config: SMCConfig | None = None,
    generator: torch.Generator,
    on_step: OnStep | None = None,
    threads: int = 1,
) -> Run:
    """Take particles to the posterior: first pilot chains from the prior, then all from the reference that those tuned.

    Args:
        target: What to sample; or a `GeometricPath` to it, which makes pilot chains unnecessary. A `JointTarget` is
            sampled from its prior, without pilot chains.
        config: Settings; the defaults if None.
        generator: Source of all randomness.
        on_step: Called with state and info after every stage of the main run, for progress, measurements or
            interruption. Log prior and log likelihood of that state are those of the geometric path.
        threads: Number of threads over particles; the result does not depend on it.

    Returns:
        The particles at inverse temperature 1 and what was found on the way.

    Raises:
        ConfigError: If no initial particle has a positive likelihood.
    """
    config = decided(config, target)
    annealed = anneal(target, config=config, generator=generator, on_step=on_step, threads=threads)
    return conclude(annealed, target, config=config, block_flips=annealed.block_flips, passes=config.final_passes)


def anneal(
    target: Target | JointTarget,
    *,
    config: DecidedSettings,
    generator: torch.Generator,
    on_step: OnStep | None = None,
    threads: int = 1,
) -> Annealed:
    """The first part of a run, as `run` says: all stages, without the final passes."""
    kernel, path = make_kernel(target, config, threads=threads), target
    # Pilot chains tune a reference of the spins only, and a `GeometricPath` is what they would find.
    over_spins = cast(Target, target)
    if config.pilot_fraction and not latent_dimension(target) and endpoint(over_spins) is target:
        path = pilot_run(over_spins, kernel, config=config, generator=generator)
    state = init(path, particles=config.particles, generator=generator)
    history: list[SMCInfo] = []
    block_flips = None
    while state.inverse_temperature < 1:
        before = state.spins
        state, info = step(state, path, kernel=kernel, generator=generator, config=config)
        if not config.schedule:
            block_flips = learn_block_flips(
                before[info.ancestors], state, path, known=block_flips, flips=config.block_flips
            )
            kernel = kernel if block_flips is None else kernel.with_block_flips(block_flips)
        history.append(info)
        if on_step is not None:
            on_step(state, info)
    stages = {name: np.array([getattr(info, name) for info in history], dtype=float) for name in HISTORY}
    kept = persistence(before[info.ancestors], state.spins)
    return Annealed(state, path, kernel, block_flips, kept, stages, generator)


def conclude(
    annealed: Annealed,
    target: Target | JointTarget,
    *,
    config: SMCConfig,
    block_flips: BlockFlips | None,
    passes: int,
    settling: int = 0,
) -> Run:
    """The second part of a run: final passes, over which estimates are averaged.

    Args:
        annealed: The first part.
        target: What is sampled.
        config: Settings.
        block_flips: What passes end with.
        passes: Number of passes.
        settling: Number of first ones that estimates leave out.
    """
    kernel = annealed.kernel if block_flips is None else annealed.kernel.with_block_flips(block_flips)
    settings = replace(config, final_passes=passes)
    state, final = rejuvenate_finally(
        annealed.state, annealed.path, kernel, generator=annealed.generator, config=settings, settling=settling
    )
    state, error = _recompute(state, target)
    conditional, variance = final.rao_blackwell.numpy(), final.variance.numpy()
    return Run(state, annealed.stages, conditional, final.visited, final.log_mass, error, variance)


def _recompute(state: SMCState, target: Target | JointTarget) -> tuple[SMCState, float]:
    """The same particles with their densities computed anew, and the largest error in nats of those that were kept."""
    new = with_densities(state, target)
    error = (new.log_prior + new.log_likelihood - state.log_prior - state.log_likelihood).abs().max()
    return new, float(error)
