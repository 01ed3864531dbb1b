"""Target -> independent runs: what each found of the modes helps all of them in their final passes."""

from __future__ import annotations

from contextlib import suppress

import torch
from tqdm import tqdm

from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smc.base import BlockFlips, JointTarget, SMCInfo, SMCState, Target
from bayespde.smc.collect import Finished, Run, Runs, collect
from bayespde.smc.config import SMCConfig
from bayespde.smc.decided_settings import DecidedSettings, decided
from bayespde.smc.independent_runs import Check, apply_to_all, finish_all
from bayespde.smc.kernels.block_flips import few, shared_block_flips
from bayespde.smc.run import Annealed, OnStep, anneal, conclude
from bayespde.smc.step import with_densities

# Largest difference between inclusion probabilities of runs by their particles alone that is still sampling error.
DISAGREEMENT = 0.1


def run_all(
    target: Target | JointTarget,
    *,
    config: SMCConfig | None = None,
    seed: int,
    progress: bool | Progress = False,
) -> Runs:
    """Make independent runs; the result is the same however many of them run at a time.

    At inverse temperature 1 all runs learn the block flips of all: a run that lost a mode, or found it too rarely, gets
    its weight back in the final passes. Runs whose schedule is fixed learn nothing.

    An interrupt (Ctrl-C) returns the runs that have finished, marked as incomplete, if there are any; so does the end
    of the CPU time that they may take, after the first run at the earliest. Their final passes are then cut short.

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
    config = decided(config, target)
    threads = max(1, torch.get_num_threads() // config.workers)
    watch = Progress.of(progress)
    with watch.bar(total=config.runs, desc="sampling", unit="run") as bar:

        def one(seed: int, check: Check) -> Annealed:
            generator, on_step = torch_generator(seed), _on_step(bar, check)
            annealed = anneal(target, config=config, generator=generator, on_step=on_step, threads=threads)
            bar.update(0.5)
            return annealed

        annealed = finish_all(one, spawn_seeds(seed, config.runs), workers=config.workers, progress=watch)
        return collect(_concluded(annealed, target, config, bar))


def _concluded(
    annealed: Finished[Annealed], target: Target | JointTarget, config: DecidedSettings, bar: tqdm
) -> Finished[Run]:
    """Final passes of all runs, one each where they have been stopped."""
    shared = None if config.schedule else _shared(annealed.runs, target, config)
    has_to_settle = shared is not None and _disagree(annealed.runs)

    def by(passes: int) -> list[Run]:
        settling = passes // 2 if has_to_settle else 0

        def one(item: Annealed) -> Run:
            found = conclude(item, target, config=config, block_flips=shared, passes=passes, settling=settling)
            bar.update(0.5)
            return found

        return apply_to_all(one, annealed.runs, workers=config.workers)

    if annealed.complete:
        # An interrupt cuts the final passes short: the stages took the time, and are not lost.
        with suppress(KeyboardInterrupt):
            return Finished(by(config.final_passes), True, annealed.budget_exhausted)
    return Finished(by(1), False, annealed.budget_exhausted)


def _shared(annealed: list[Annealed], target: Target | JointTarget, config: DecidedSettings) -> BlockFlips | None:
    """Block flips learnt from the particles of all runs and from what each run has learnt."""
    states = [with_densities(few(item.state, len(annealed)), target) for item in annealed]
    known = [item.block_flips for item in annealed if item.block_flips is not None]
    spins = torch.stack([item.state.spins for item in annealed])
    kept = torch.stack([item.kept for item in annealed])
    return shared_block_flips(spins, kept, states, target, known=known, flips=config.block_flips)


def _disagree(annealed: list[Annealed]) -> bool:
    """Whether runs have other shares of the modes: it takes passes until shared block flips have made them equal."""
    inclusion = torch.stack([item.state.spins.double().mean(dim=0) for item in annealed])
    return bool((inclusion.amax(dim=0) - inclusion.amin(dim=0)).max() > DISAGREEMENT)


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
