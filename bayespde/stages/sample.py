"""A `SpinModel` -> its `Posterior`: three engines behind one door, coefficients and noise exactly given the spins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from bayespde import __version__
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import ExactTable, Posterior
from bayespde.core.random import check_workers, spawn_seeds, torch_generator
from bayespde.model.priors import GPriorSlab
from bayespde.model.spin import SpinModel
from bayespde.smc.base import SMCConfig
from bayespde.smc.collect import Runs
from bayespde.smc.enumeration.enumerate import Enumeration, enumerate_branches, enumerate_exact
from bayespde.smc.run import run_all
from bayespde.smc.tempered_gibbs import TemperedGibbsConfig, run_chains

SamplerConfig = SMCConfig | TemperedGibbsConfig
CONFIGS: Mapping[str, type[SamplerConfig]] = {
    "smc": SMCConfig,
    "exact": SMCConfig,
    "tempered_gibbs": TemperedGibbsConfig,
}


def enumerate_models(model: SpinModel, *, progress: bool = False) -> ExactTable:
    """The exact posterior over all 2^K configurations, K <= 26.

    Raises:
        ConfigError: If there are too many terms.
    """
    result = enumerate_exact(model, progress=progress)
    return ExactTable(**result._asdict())


def sample(
    model: SpinModel,
    *,
    method: str = "smc",
    particles: int | None = None,
    runs: int | None = None,
    config: SamplerConfig | None = None,
    seed: int = 0,
    enumerate_up_to: int = 0,
    workers: int = 1,
    progress: bool = False,
) -> Posterior:
    """Sample configurations, then coefficients and noise exactly given them.

    Args:
        model: The target; it must have a library.
        method: `smc`, tempered sequential Monte Carlo: any number of terms, and the evidence; `exact`, enumeration and
            independent draws: at most 26 terms; `tempered_gibbs`, weighted chains: an independent check without
            evidence, for posteriors of one piece.
        particles: Overrides `config.particles`, the draws of each run.
        runs: Overrides `config.runs`.
        config: Settings of the sampler: `SMCConfig`, or `TemperedGibbsConfig` for `tempered_gibbs`.
        seed: Non-negative integer; same seed, same result, whatever `workers` is.
        enumerate_up_to: Enumerate as well where the library has at most so many terms.
        workers: Runs at a time.
        progress: Show bars.

    Returns:
        The posterior. After an interrupt (Ctrl-C) it holds the runs that have finished, and `provenance["complete"]` is
        False.

    Raises:
        ConfigError: If the model has no library, or a setting is out of range.
    """
    library, settings = _library(model), _settings(method, config, particles=particles, runs=runs)
    check_workers(workers)
    started, (sample_seed, draw_seed) = perf_counter(), spawn_seeds(seed, 2)
    everything = (
        enumerate_branches(model, progress=progress) if method == "exact" or len(library) <= enumerate_up_to else None
    )
    if isinstance(settings, TemperedGibbsConfig):
        found = run_chains(model, config=settings, seed=sample_seed, workers=workers, progress=progress)
    elif method == "exact" and everything is not None:
        found = _independent(model, everything, settings, sample_seed)
    else:
        found = run_all(model, config=settings, seed=sample_seed, workers=workers, progress=progress)
    coefficients, noise = _draw_coefficients(model, found.spins, draw_seed)
    return Posterior(
        library=library,
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
        exact=None if everything is None else ExactTable(**everything.result()._asdict()),
        provenance=_provenance(model, method, settings, seed)
        | _checks(found)
        | {"sampling_time": perf_counter() - started},
    )


def _library(model: SpinModel) -> Library:
    if model.library is None:
        raise ConfigError(
            "The model has no library.",
            got="library=None",
            wanted="a Library",
            fix="SpinModel(statistics, library)",
        )
    return model.library


def _settings(
    method: str, config: SamplerConfig | None, *, particles: int | None, runs: int | None
) -> SMCConfig | TemperedGibbsConfig:
    """The settings that a method asks for, with the number of particles and runs put in."""
    if method not in CONFIGS:
        raise ConfigError("The method is not known.", got=method, wanted=", ".join(CONFIGS), fix="method='smc'")
    config = CONFIGS[method]() if config is None else config
    if not isinstance(config, CONFIGS[method]):
        raise ConfigError(
            "The settings belong to another method.",
            got=f"{type(config).__name__} for method {method!r}",
            wanted=CONFIGS[method].__name__,
            fix=f"config={CONFIGS[method].__name__}(...)",
        )
    return replace(
        config,
        particles=config.particles if particles is None else particles,
        runs=config.runs if runs is None else runs,
    )


def _independent(model: SpinModel, everything: Enumeration, config: SamplerConfig, seed: int) -> Runs:
    """Independent draws from the enumerated posterior, in the form of runs."""
    exact = everything.result()
    seeds = spawn_seeds(seed, config.runs)
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
        complete=True,
    )


def _draw_coefficients(model: SpinModel, spins: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients `[R, P, K]` and noise scales `[R, P]` given the spins, every run with a generator of its own."""
    seeds = spawn_seeds(seed, len(spins))
    drawn = [model.draw(torch.as_tensor(s), generator=torch_generator(r)) for s, r in zip(spins, seeds, strict=True)]
    coefficients, noise = zip(*drawn, strict=True)
    return torch.stack(coefficients).numpy(), torch.stack(noise).numpy()


def _provenance(model: SpinModel, method: str, config: SamplerConfig, seed: int) -> dict[str, Any]:
    return {
        "seed": int(seed),
        "version": __version__,
        "method": method,
        "sampler": asdict(config),
        "slab": repr(model.slab),
        "shrinkage": _shrinkage(model),
        **({"g": float(model.closed_form.mixture[0][0])} if isinstance(model.slab, GPriorSlab) else {}),
        "ridge": float(model.ridge),
        "expected_terms": model.expected_terms or "default",
        "prior": model.prior.record(),
        "prior_inclusion": model.prior.inclusion.tolist(),
    }


def _checks(found: Runs) -> dict[str, Any]:
    """What each run says of itself, as plain numbers; None where there is nothing to say."""
    names = ("captured_mass", "captured_mass_lower", "likelihood_error")
    values = {n: [float(v) if np.isfinite(v) else None for v in getattr(found, n)] for n in names}
    return values | {"complete": found.complete}


def _shrinkage(model: SpinModel) -> float:
    """Factor g / (1 + g) on coefficients where the slab fixes g; a mixture over g settles on large ones."""
    g = model.closed_form.mixture[0]
    return float(1 / (1 + 1 / g[0])) if len(g) == 1 else 1.0
