"""Target -> particles: the loop over stages, and independent runs of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from tqdm import tqdm

from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smc.base import JointTarget, SMCInfo, SMCState, Target
from bayespde.smc.collect import HISTORY, Run, Runs, collect
from bayespde.smc.config import SMCConfig
from bayespde.smc.independent_runs import Check, finish_all
from bayespde.smc.kernels import make_kernel
from bayespde.smc.pilot_runs import pilot_run
from bayespde.smc.rejuvenation import rejuvenate_finally
from bayespde.smc.step import init, step, with_densities

OnStep = Callable[[SMCState, SMCInfo], None]


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
    config = SMCConfig() if config is None else config
    kernel, path = make_kernel(target, config, threads=threads), target
    if config.pilot_fraction and getattr(target, "takes_pilot_runs", True):
        path, kernel = pilot_run(cast(Target, target), kernel, config=config, generator=generator)
    state = init(path, particles=config.particles, generator=generator)
    history: list[SMCInfo] = []
    while state.inverse_temperature < 1:
        state, info = step(state, path, kernel=kernel, generator=generator, config=config)
        history.append(info)
        if on_step is not None:
            on_step(state, info)
    state, final = rejuvenate_finally(state, path, kernel, generator=generator, config=config)
    state, error = _recompute(state, target)
    stages = {name: np.array([getattr(info, name) for info in history], dtype=float) for name in HISTORY}
    conditional, variance = final.rao_blackwell.numpy(), final.variance.numpy()
    return Run(state, stages, conditional, final.visited, final.log_mass, error, variance)


def _recompute(state: SMCState, target: Target | JointTarget) -> tuple[SMCState, float]:
    """The same particles with their densities computed anew, and the largest error in nats of those that were kept."""
    new = with_densities(state, target)
    error = (new.log_prior + new.log_likelihood - state.log_prior - state.log_likelihood).abs().max()
    return new, float(error)


def run_all(
    target: Target | JointTarget,
    *,
    config: SMCConfig | None = None,
    seed: int,
    progress: bool | Progress = False,
) -> Runs:
    """Make independent runs; the result is the same however many of them run at a time.

    An interrupt (Ctrl-C) returns the runs that have finished, marked as incomplete, if there are any; so does the end
    of the CPU time that they may take, after the first run at the earliest.

    Args:
        target: What to sample.
        config: Settings; the defaults if None. The threads that torch may use are shared among its workers.
        seed: Non-negative integer from which every run's generator is spawned.
        progress: Show a progress bar.

    Returns:
        The runs as arrays.

    Raises:
        ConfigError: If the seed is not usable or no particle has a positive likelihood.
    """
    config = SMCConfig() if config is None else config
    threads = max(1, torch.get_num_threads() // config.workers)
    watch = Progress.of(progress)
    with watch.bar(total=config.runs, desc="sampling", unit="run") as bar:

        def one(seed: int, check: Check) -> Run:
            generator = torch_generator(seed)
            finished = run(target, config=config, generator=generator, on_step=_on_step(bar, check), threads=threads)
            bar.update()
            return finished

        finished = finish_all(one, spawn_seeds(seed, config.runs), workers=config.workers, progress=watch)
    return collect(finished)


def _on_step(bar: tqdm, check: Check) -> OnStep:
    def show(state: SMCState, info: SMCInfo) -> None:
        bar.set_postfix(
            inverse_temperature=f"{info.inverse_temperature:.2e}",
            ess=f"{info.ess:.0f}",
            distinct=info.distinct_particles,
            log_evidence=f"{state.log_evidence:.2f}",
        )
        check()

    return show
