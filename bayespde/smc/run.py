"""Target -> particles: the loop over stages, independent runs, and three estimates of inclusion."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from bayespde.core.distinct import distinct
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smc.base import SMCConfig, SMCInfo, SMCState, Target
from bayespde.smc.step import init, make_kernel, step

OnStep = Callable[[SMCState, SMCInfo], None]
HISTORY = (
    "temperature",
    "ess",
    "flip_rate",
    "sweeps",
    "rounds",
    "correlation",
    "distinct_particles",
    "distinct_ancestors",
    "log_evidence_increment",
)


class Run(NamedTuple):
    """One run of the sampler.

    Attributes:
        state: Particles at temperature 1, in the order of their ancestors.
        stages: History by name, each `[S]`, float64.
        rao_blackwell: Mean conditional probability of each spin over the final rounds, `[K]`, float64.
        visited: Distinct configurations held by particles at temperature 1, after any round, `[N, K]`, bool.
        log_mass: Their log prior plus log likelihood, `[N]`, float64.
        drift: Largest difference in nats between the likelihoods that the kernel kept and those computed anew.
    """

    state: SMCState
    stages: dict[str, np.ndarray]
    rao_blackwell: np.ndarray
    visited: np.ndarray
    log_mass: np.ndarray
    drift: float


class Runs(NamedTuple):
    """Several independent runs, as arrays.

    Attributes:
        spins: `[R, P, K]`, bool; particles in the order of their ancestors, equally weighted.
        log_prior: `[R, P]`, float64.
        log_likelihood: `[R, P]`, float64.
        log_evidence: `[R]`, float64.
        origins: Prior draw from which each particle descends, `[R, P]`, int64.
        stages: History by name, each `[R, S]`, float64, NaN after a run's last stage.
        estimates: Inclusion probabilities by estimator, each `[R, K]`: `frequency` (share of particles),
            `rao_blackwell` (mean conditional probability), `renormalised` (exact masses of the visited
            configurations).
        captured_mass: Posterior mass of the visited configurations by the pooled evidence, `[R]`; the
            renormalised estimate is off by at most one minus this (up to the error of the evidence).
    """

    spins: np.ndarray
    log_prior: np.ndarray
    log_likelihood: np.ndarray
    log_evidence: np.ndarray
    origins: np.ndarray
    stages: dict[str, np.ndarray]
    estimates: dict[str, np.ndarray]
    captured_mass: np.ndarray


def run(
    target: Target,
    *,
    config: SMCConfig | None = None,
    generator: torch.Generator,
    on_step: OnStep | None = None,
    threads: int = 1,
) -> Run:
    """Take particles from the prior to the posterior.

    Args:
        target: What to sample.
        config: Settings; the defaults if None.
        generator: Source of all randomness.
        on_step: Called with state and info after every stage, for progress, measurements or interruption.
        threads: Number of threads over particles; the result does not depend on it.

    Returns:
        The particles at temperature 1 and what was learnt on the way.

    Raises:
        ConfigError: If no particle drawn from the prior has a positive likelihood.
    """
    config = SMCConfig() if config is None else config
    kernel = make_kernel(target, config, threads=threads)
    state = init(target, particles=config.particles, generator=generator)
    history: list[SMCInfo] = []
    while state.temperature < 1:
        state, info = step(state, target, generator=generator, config=config, kernel=kernel)
        history.append(info)
        if on_step is not None:
            on_step(state, info)
    visited = [_distinct(state)]
    conditional = torch.zeros(target.terms, dtype=torch.float64)
    length = kernel.sweeps_for(state, flips=config.flips) if config.sweeps is None else config.sweeps
    for _ in range(config.final_rounds):
        state, moves = kernel(state, sweeps=length, generator=generator)
        conditional += moves.rao_blackwell / config.final_rounds
        visited.append(_distinct(state))
    state, drift = _recompute(state, target)
    spins, log_mass = (np.concatenate(parts) for parts in zip(*visited, strict=True))
    first = distinct(spins).first
    stages = {name: np.array([getattr(info, name) for info in history], dtype=float) for name in HISTORY}
    return Run(state, stages, conditional.numpy(), spins[first], log_mass[first], drift)


def _recompute(state: SMCState, target: Target) -> tuple[SMCState, float]:
    """The same particles with likelihoods computed anew, and by how much those that were kept are off."""
    log_likelihood = target.log_likelihood(state.spins)
    drift = (log_likelihood - state.log_likelihood).abs().max()
    return state._replace(log_likelihood=log_likelihood), float(drift)


def run_all(
    target: Target,
    *,
    config: SMCConfig | None = None,
    seed: int,
    progress: bool = False,
    workers: int = 1,
) -> Runs:
    """Make independent runs; the result is the same however many of them work at a time.

    Args:
        target: What to sample.
        config: Settings; the defaults if None.
        seed: Non-negative integer from which every run's generator is spawned.
        progress: Show a progress bar.
        workers: Number of threads.

    Returns:
        The runs as arrays.

    Raises:
        ConfigError: If the seed is not usable or no particle has a positive likelihood.
    """
    config = SMCConfig() if config is None else config
    seeds = spawn_seeds(seed, config.runs)
    with tqdm(total=config.runs, desc="sampling", unit="run", disable=not progress) as bar:

        def one(run_seed: int) -> Run:
            finished = run(
                target,
                config=config,
                generator=torch_generator(run_seed),
                on_step=lambda state, info: bar.set_postfix(temperature=f"{info.temperature:.2e}"),
            )
            bar.update()
            return finished

        if workers == 1:
            return _collect([one(s) for s in seeds])
        with ThreadPoolExecutor(workers) as pool:
            return _collect(list(pool.map(one, seeds)))


def log_mean_exp(values: np.ndarray) -> float:
    """Log of the mean of `exp(values)`: how evidences of independent runs are pooled."""
    return float(np.logaddexp.reduce(values) - np.log(len(values)))


def _distinct(state: SMCState) -> tuple[np.ndarray, np.ndarray]:
    """Distinct configurations of the particles `[N, K]` and their log prior plus log likelihood `[N]`."""
    first = distinct(state.spins.numpy()).first
    return state.spins.numpy()[first], (state.log_prior + state.log_likelihood).numpy()[first]


def _collect(runs: list[Run]) -> Runs:
    longest = max(len(r.stages["temperature"]) for r in runs)
    stages = {
        name: np.stack(
            [np.pad(r.stages[name], (0, longest - len(r.stages[name])), constant_values=np.nan) for r in runs]
        )
        for name in HISTORY
    }
    log_evidence = np.array([r.state.log_evidence for r in runs])
    log_visited = np.array([np.logaddexp.reduce(r.log_mass) for r in runs])
    spins = np.stack([r.state.spins.numpy() for r in runs])
    renormalised = [np.exp(r.log_mass - mass) @ r.visited for r, mass in zip(runs, log_visited, strict=True)]
    return Runs(
        spins=spins,
        log_prior=np.stack([r.state.log_prior.numpy() for r in runs]),
        log_likelihood=np.stack([r.state.log_likelihood.numpy() for r in runs]),
        log_evidence=log_evidence,
        origins=np.stack([r.state.origins.numpy() for r in runs]),
        stages=stages,
        estimates={
            "frequency": spins.mean(axis=1),
            "rao_blackwell": np.stack([r.rao_blackwell for r in runs]),
            "renormalised": np.stack(renormalised),
        },
        captured_mass=np.exp(log_visited - log_mean_exp(log_evidence)),
    )
