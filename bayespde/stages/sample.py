"""A `SpinModel` -> its `Posterior`: three engines behind one door, coefficients and noise exactly given the spins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import torch

from bayespde import __version__
from bayespde.core.annotations import CountOrZero, OneOf
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.likelihood import Likelihood
from bayespde.core.one_order import in_one_order
from bayespde.core.posterior import ExactTable, Posterior
from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.core.sampling_record import SamplingRecord
from bayespde.core.settings import override
from bayespde.model.pyro_target import PyroTarget
from bayespde.model.spin import SpinModel
from bayespde.smc.collect import Runs
from bayespde.smc.config import SMCConfig, TemperedGibbsConfig
from bayespde.smc.enumeration.enumerate import Enumeration, enumerate_branches, enumerate_exact
from bayespde.smc.several_runs import run_all
from bayespde.smc.tempered_gibbs import run_chains

# Coefficients of all particles, 8 bytes each.
MOST_VALUES = 2**30
SamplerConfig = SMCConfig | TemperedGibbsConfig
CONFIGS: Mapping[str, type[SamplerConfig]] = {
    "smc": SMCConfig,
    "exact": SMCConfig,
    "tempered_gibbs": TemperedGibbsConfig,
}


@validated
@in_one_order
def enumerate_models(model: SpinModel | PyroTarget, *, progress: bool | Progress = False) -> ExactTable:
    """The exact posterior over all 2^K configurations, K <= 26.

    Raises:
        ConfigError: If there are too many terms.
    """
    return enumerate_exact(model, progress=progress)


@validated
@in_one_order
def sample(
    model: SpinModel,
    *,
    method: Annotated[str, OneOf(tuple(CONFIGS))] = "smc",
    config: SamplerConfig | None = None,
    seed: int = 0,
    enumerate_up_to: CountOrZero = 0,
    progress: bool | Progress = False,
    **settings: Any,
) -> Posterior:
    """Sample configurations, then coefficients and noise exactly given them.

    Args:
        model: The target.
        method: `smc`, tempered sequential Monte Carlo: any number of terms, and the evidence; `exact`, enumeration and
            independent draws: at most 26 terms; `tempered_gibbs`, weighted chains: an independent check without
            evidence, for unimodal posteriors.
        config: Settings of the sampler: `SMCConfig`, or `TemperedGibbsConfig` for `tempered_gibbs`.
        seed: Non-negative integer; same seed, same result, whatever the number of workers.
        enumerate_up_to: Also enumerate where the library has at most this many terms.
        progress: Show bars.
        settings: Fields of `config` to replace, such as `particles=512`, `runs=8`, `workers=2`.

    Returns:
        The posterior. After an interrupt (Ctrl-C), or where `progress` sets a limit that is reached, it holds the runs
        that have finished, and `sampling.complete` is False.

    Raises:
        ConfigError: If a setting is unknown or out of range, or the result would not fit into memory.
    """
    chosen = _sized(override(_checked(method, config), settings), model)
    started, (sample_seed, draw_seed) = perf_counter(), spawn_seeds(seed, 2)
    is_enumerated = method == "exact" or model.terms <= enumerate_up_to
    everything = enumerate_branches(model, progress=progress) if is_enumerated else None
    if isinstance(chosen, TemperedGibbsConfig):
        found = run_chains(model, config=chosen, seed=sample_seed, progress=progress)
    elif method == "exact" and everything is not None:
        found = _independent(model, everything, chosen, sample_seed)
    else:
        found = run_all(model, config=chosen, seed=sample_seed, progress=progress)
    coefficients, noise = _draw_coefficients(model, found.spins, draw_seed)
    return Posterior(
        library=model.candidates,
        statistics=model.statistics,
        spins=found.spins,
        coefficients=coefficients,
        noise_scale=noise,
        log_prior=found.log_prior,
        log_likelihood=found.log_likelihood,
        log_evidence=found.log_evidence,
        estimates=found.estimates,
        eve_index=found.eve_index,
        stages=found.stages,
        exact=None if everything is None else everything.exact,
        prior=model.spin_prior,
        slab=model.prior.slab,
        likelihood=Likelihood.of(model.statistics),
        sampling=sampling_record(found, method, chosen, seed=int(seed), seconds=perf_counter() - started),
        provenance={"version": __version__},
    )


def _checked(method: str, config: SamplerConfig | None) -> SamplerConfig:
    """Settings for a method: those given, if they are of that method, or its defaults."""
    config = CONFIGS[method]() if config is None else config
    if not isinstance(config, CONFIGS[method]):
        raise ConfigError(
            "The settings belong to another method.",
            got=f"{type(config).__name__} for method {method!r}",
            wanted=CONFIGS[method].__name__,
            fix=f"config={CONFIGS[method].__name__}(...)",
        )
    return config


def _sized(config: SamplerConfig, model: SpinModel) -> SamplerConfig:
    """The settings, if the particles of all runs fit into memory."""
    if config.runs * config.particles * model.terms > MOST_VALUES:
        raise ConfigError(
            "The particles would not fit into memory.",
            got=f"{config.runs} runs of {config.particles} particles of {model.terms} terms",
            wanted=f"at most {MOST_VALUES} values",
            fix=f"particles={type(config).particles}",
        )
    return config


def _independent(model: SpinModel, everything: Enumeration, config: SamplerConfig, seed: int) -> Runs:
    """Independent draws from the enumerated posterior, in the form of runs."""
    exact, seeds = everything.exact, spawn_seeds(seed, config.runs)
    draws = [everything.draw(config.particles, generator=torch_generator(s)) for s in seeds]
    spins = torch.stack(draws)
    flat = spins.reshape(-1, spins.shape[-1])
    shape = spins.shape[:2]
    everywhere = np.tile(exact.inclusion_probability, (config.runs, 1))
    return Runs(
        spins=spins.numpy(),
        log_prior=model.log_prior(flat).reshape(shape).numpy(),
        log_likelihood=model.log_likelihood(flat).reshape(shape).numpy(),
        log_evidence=np.full(config.runs, exact.log_evidence),
        eve_index=np.tile(np.arange(config.particles), (config.runs, 1)),
        stages={},
        estimates={
            "frequency": spins.numpy().mean(axis=1),
            "rao_blackwell": everywhere,
            "renormalised": everywhere,
        },
        captured_mass=np.ones(config.runs),
        captured_mass_lower=np.ones(config.runs),
        likelihood_error=np.zeros(config.runs),
        inclusion_variance=np.zeros((config.runs, 0)),
        complete=True,
    )


def _draw_coefficients(model: SpinModel, spins: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients `[R, P, K]` and noise scales `[R, P]` given the spins, every run with a generator of its own."""
    seeds = spawn_seeds(seed, len(spins))
    drawn = [model.draw(torch.as_tensor(s), generator=torch_generator(r)) for s, r in zip(spins, seeds, strict=True)]
    coefficients, noise = zip(*drawn, strict=True)
    return torch.stack(coefficients).numpy(), torch.stack(noise).numpy()


def sampling_record(
    found: Runs, method: str, config: SamplerConfig, *, seed: int | None = None, seconds: float | None = None
) -> SamplingRecord:
    """How the runs were made, and what each says of itself; None where there is nothing to say."""

    def finite(values: np.ndarray) -> tuple[float | None, ...]:
        return tuple(float(v) if np.isfinite(v) else None for v in values)

    return SamplingRecord(
        method=method,
        settings=asdict(config),
        seed=seed,
        seconds=seconds,
        complete=found.complete,
        budget_exhausted=found.budget_exhausted,
        captured_mass=finite(found.captured_mass),
        captured_mass_lower=finite(found.captured_mass_lower),
        likelihood_error=finite(found.likelihood_error),
        inclusion_variance=tuple(tuple(map(float, run)) for run in found.inclusion_variance if run.size),
    )
