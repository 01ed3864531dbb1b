"""Target -> particles: the loop over stages, and independent runs of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from bayespde.core.distinct import distinct
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smc.base import Kernel, SMCConfig, SMCInfo, SMCState, Target
from bayespde.smc.collect import HISTORY, Run, Runs, collect
from bayespde.smc.geometric_path import GeometricPath, start_logits
from bayespde.smc.step import begin, init, make_kernel, pass_length, step

OnStep = Callable[[SMCState, SMCInfo], None]
Visited = tuple[np.ndarray, np.ndarray]
PRIOR_DRAWS = 1024
PILOT_GROUPS = 4
LEAST_GROUP = 32
TRIED = 256
LEAST_POSSIBLE = 0.05


def run(
    target: Target,
    *,
    config: SMCConfig | None = None,
    generator: torch.Generator,
    on_step: OnStep | None = None,
    threads: int = 1,
) -> Run:
    """Take particles to the posterior: first a few from the prior, then all from where those have led.

    Args:
        target: What to sample, or a `GeometricPath` to it, which needs no pilot_fraction.
        config: Settings; the defaults if None.
        generator: Source of all randomness.
        on_step: Called with state and info after every stage, the pilot_fraction' apart, for progress, measurements or
            interruption. On the way log prior and log likelihood of the state are those of the bridge.
        threads: Number of threads over particles; the result does not depend on it.

    Returns:
        The particles at temperature 1 and what was learnt on the way.

    Raises:
        ConfigError: If no particle at the start has a positive likelihood.
    """
    config = SMCConfig() if config is None else config
    kernel, path = make_kernel(target, config, threads=threads), target
    if config.pilot_fraction and not isinstance(target, GeometricPath):
        path = pilot_run(target, kernel, config=config, generator=generator)
        kernel = kernel.on_path(path)
    state = init(path, particles=config.particles, generator=generator)
    history: list[SMCInfo] = []
    while state.temperature < 1:
        state, info = step(state, path, generator=generator, config=config, kernel=kernel)
        history.append(info)
        if on_step is not None:
            on_step(state, info)
    state, conditional, visited = _final_rejuvenation(state, kernel, config=config, generator=generator)
    state, drift = _recompute(state, target)
    spins, log_mass = (np.concatenate(parts) for parts in zip(*visited, strict=True))
    first = distinct(spins).first
    stages = {name: np.array([getattr(info, name) for info in history], dtype=float) for name in HISTORY}
    return Run(state, stages, conditional.numpy(), spins[first], log_mass[first], drift)


def pilot_run(target: Target, kernel: Kernel, *, config: SMCConfig, generator: torch.Generator) -> Target:
    """Send a few particles from the prior to the posterior, and build a bridge from the inclusion that they find.

    They go in groups that know nothing of each other: a small group often ends in one of several modes. What they find
    only sets the start of the particles that follow: an error of theirs costs stages, not bias
    [fan2011, surjanovic2022].

    Args:
        target: What to sample.
        kernel: From `make_kernel`.
        config: Settings of the run; a schedule is left to the run itself.
        generator: Source of randomness.

    Returns:
        A bridge to the target. The target itself where prior draws are hardly ever possible, or those of the bridge.
    """
    spins = target.sample_prior(max(PRIOR_DRAWS, config.particles), generator=generator)
    prior = (spins.double().sum(dim=0) + 1) / (len(spins) + 2)
    group = max(
        2,
        min(
            config.particles // PILOT_GROUPS,
            max(LEAST_GROUP, int(config.pilot_fraction * config.particles / PILOT_GROUPS)),
        ),
    )
    possible = _possible(target, spins, PILOT_GROUPS * group)
    if len(possible) < PILOT_GROUPS:
        return target
    # longer stages and fewer moves than a run needs: nothing that pilot_fraction find is reported
    config = replace(config, ess_fraction=config.ess_fraction / 2, schedule=(), final_passes=1)
    found = []
    for first in range(PILOT_GROUPS):
        chosen = possible[first::PILOT_GROUPS]
        state = begin(target, chosen[torch.arange(group) % len(chosen)])
        while state.temperature < 1:
            state, _ = step(state, target, generator=generator, config=config, kernel=kernel)
        found.append(_final_rejuvenation(state, kernel, config=config, generator=generator)[1])
    bridge = GeometricPath(target, start_logits(torch.stack(found).mean(dim=0), prior))
    tried = bridge.sample_prior(TRIED, generator=generator)
    alive = torch.isfinite(target.log_likelihood(tried)).double().mean()
    return bridge if alive > LEAST_POSSIBLE else target


def _possible(target: Target, spins: torch.Tensor, wanted: int) -> torch.Tensor:
    """Possible configurations among some, at most `wanted`; blocks are tried until half of that are found."""
    found, count = [], 0
    for block in spins.split(wanted):
        found.append(block[torch.isfinite(target.log_likelihood(block))])
        count += len(found[-1])
        if count >= wanted // 2:
            break
    return torch.cat(found)[:wanted]


def _final_rejuvenation(
    state: SMCState, kernel: Kernel, *, config: SMCConfig, generator: torch.Generator
) -> tuple[SMCState, torch.Tensor, list[Visited]]:
    """Further rounds at temperature 1: new state, mean conditional inclusion `[K]`, configurations on the way."""
    visited = [_distinct(state)]
    conditional = torch.zeros(state.spins.shape[1], dtype=torch.float64)
    length = pass_length(state, kernel, config)
    for _ in range(config.final_passes):
        state, moves = kernel(state, sweeps=length, generator=generator)
        conditional += moves.rao_blackwell / config.final_passes
        visited.append(_distinct(state))
    return state, conditional, visited


def _recompute(state: SMCState, target: Target) -> tuple[SMCState, float]:
    """The same particles with their densities computed anew, and by how much those that were kept are off."""
    log_prior, log_likelihood = target.log_prior(state.spins), target.log_likelihood(state.spins)
    drift = (log_prior + log_likelihood - state.log_prior - state.log_likelihood).abs().max()
    return state._replace(log_prior=log_prior, log_likelihood=log_likelihood), float(drift)


def run_all(
    target: Target,
    *,
    config: SMCConfig | None = None,
    seed: int,
    progress: bool = False,
    workers: int = 1,
) -> Runs:
    """Make independent runs; the result is the same however many of them work at a time.

    An interrupt (Ctrl-C) returns the runs that have finished, marked as incomplete, if there are any.

    Args:
        target: What to sample.
        config: Settings; the defaults if None.
        seed: Non-negative integer from which every run's generator is spawned.
        progress: Show a progress bar.
        workers: Runs at a time; the threads that torch may use are shared among them.

    Returns:
        The runs as arrays.

    Raises:
        ConfigError: If the seed is not usable or no particle has a positive likelihood.
    """
    config = SMCConfig() if config is None else config
    threads = max(1, torch.get_num_threads() // workers)
    with tqdm(total=config.runs, desc="sampling", unit="run", disable=not progress) as bar:

        def one(seed: int) -> Run:
            generator = torch_generator(seed)
            finished = run(target, config=config, generator=generator, on_step=_progress(bar), threads=threads)
            bar.update()
            return finished

        runs = finish_all(one, spawn_seeds(seed, config.runs), workers=workers)
    return collect(runs, complete=len(runs) == config.runs)


def _progress(bar: tqdm) -> OnStep:
    def show(state: SMCState, info: SMCInfo) -> None:
        bar.set_postfix(
            temperature=f"{info.temperature:.2e}",
            ess=f"{info.ess:.0f}",
            distinct=info.distinct_particles,
            log_evidence=f"{state.log_evidence:.2f}",
        )

    return show


def finish_all(one: Callable[[int], Run], seeds: list[int], *, workers: int) -> list[Run]:
    """Make one run a seed, several at a time; after an interrupt those that have finished, if there are any.

    Raises:
        KeyboardInterrupt: If none has finished when the interrupt comes.
    """
    runs: list[Run] = []
    if workers == 1:
        try:
            for seed in seeds:
                runs.append(one(seed))
        except KeyboardInterrupt:
            if not runs:
                raise
        return runs
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(one, seed) for seed in seeds]
        try:
            runs = [future.result() for future in futures]
        except KeyboardInterrupt:
            for future in futures:
                future.cancel()
            runs = [future.result() for future in futures if not future.cancelled()]
            if not runs:
                raise
    return runs


def _distinct(state: SMCState) -> Visited:
    """Distinct configurations of the particles `[N, K]` and their log prior plus log likelihood `[N]`."""
    first = distinct(state.spins.numpy()).first
    return state.spins.numpy()[first], (state.log_prior + state.log_likelihood).numpy()[first]
