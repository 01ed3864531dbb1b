"""Any Pyro program with one binary site -> posterior samples of that site, in the manner of `pyro.infer.MCMC`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pyro
import pyro.distributions as dist
import torch
import xarray as xr

from bayespde.core.annotations import Count
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.monte_carlo import evidence_weights
from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.core.sampled_spins import SampledSpins
from bayespde.model.pyro_target import PyroTarget
from bayespde.results.diagnostics import between_run_diagnostics, scalar_diagnostics
from bayespde.smc.collect import Runs, log_mean_exp
from bayespde.smc.config import SMCConfig
from bayespde.smc.enumeration.enumerate import enumerate_exact
from bayespde.smc.run import run_all
from bayespde.stages.sample import sampling_record

__all__ = ["SpinSMC"]


class SpinSMC:
    """Tempered sequential Monte Carlo over the binary site of a Pyro program [bingham2019pyro, delmoral2006].

    Pyro enumerates binary latent variables where it can; this samples them, any number with any dependence, and
    estimates the evidence of the program. All other latents must have been summed or integrated out, or be
    arguments (`PyroTarget` says what a program may be). A program that takes `[P, K]` spins is run once for all
    particles.

    ::

        smc = SpinSMC(program).run(data)
        smc.get_samples()["spins"].mean(0)          # inclusion probabilities
        Predictive(program, smc.get_samples())(new_data)

    Args:
        program: The Pyro program.
        site: Name of its binary site; by default its only latent one.
        config: Settings of the sampler: particles, independent runs, and the rest.
        seed: Non-negative integer; same seed, same result for any number of workers. Pyro's own seed is left alone.
        progress: Show bars.

    Raises:
        ConfigError: If `config` is of another sampler, or the seed is not usable.
    """

    @validated
    def __init__(
        self,
        program: Callable[..., Any],
        *,
        site: str | None = None,
        config: SMCConfig | None = None,
        seed: int = 0,
        progress: bool | Progress = False,
    ) -> None:
        self.program, self.config = program, config or SMCConfig()
        self._site = site
        self._run_seed, self._draw_seed = spawn_seeds(seed, 2)
        self._progress = progress
        self._target: PyroTarget | None = None
        self._runs: Runs | None = None
        self._arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def run(self, *args: Any, **kwargs: Any) -> Self:
        """Sample the program with these arguments.

        Returns:
            Itself. After an interrupt (Ctrl-C) it holds the runs that have finished, and `diagnostics()["complete"]` is
            False.

        Raises:
            ConfigError: If the program cannot be sampled; the message says why.
            StatisticsError: If a log density is NaN or +inf.
        """
        target = PyroTarget(self.program, *args, site=self._site, **kwargs)
        runs = run_all(target, config=self.config, seed=self._run_seed, progress=self._progress)
        # Only now: a run that fails leaves the one before as it was.
        self._target, self._runs, self._arguments = target, runs, (args, kwargs)
        return self

    @property
    def target(self) -> PyroTarget:
        """The target; `target.looped_because` says why the program was not run for all particles at once."""
        self._done()
        assert self._target is not None
        return self._target

    @property
    def site(self) -> str:
        """Name of the binary site."""
        return self.target.site

    @property
    def log_evidence(self) -> float:
        """Log of the program's normalising constant, pooled over runs."""
        return log_mean_exp(self._done().log_evidence)

    @property
    def sampled(self) -> SampledSpins:
        """What sampling says of the spins, as `diagnose` and `between_run_diagnostics` read it."""
        runs = self._done()
        return SampledSpins(
            dim="spin",
            names=tuple(f"{self.site}[{k}]" for k in range(runs.spins.shape[-1])),
            spins=runs.spins,
            scalars={"lp": runs.log_prior + runs.log_likelihood},
            log_evidence=runs.log_evidence,
            run_weights=evidence_weights(runs.log_evidence),
            estimates=runs.estimates,
            eve_index=runs.eve_index,
            sampling=sampling_record(runs, "smc", self.config),
            stages=runs.stages,
        )

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of each spin being up, over `spin`, conditional ones averaged over particles and runs."""
        return self.sampled.inclusion_probability

    @validated
    def get_samples(self, num_samples: Count | None = None, group_by_chain: bool = False) -> dict[str, torch.Tensor]:
        """Draws of the site, in the type that the program draws: what `Predictive` takes.

        Args:
            num_samples: Number of draws, with replacement; all particles by default.
            group_by_chain: Whether to keep the runs apart.

        Returns:
            `{site: [P, K]}`, or `[runs, P, K]`. All particles have equal weights, also those of runs that differ in
            evidence (see `get_weighted_samples`).
        """
        spins = torch.as_tensor(self._done().spins).to(self.target.blank)
        if not group_by_chain:
            spins = spins.reshape(-1, spins.shape[-1])
        if num_samples is not None:
            axis = spins.dim() - 2
            chosen = torch.randint(spins.shape[axis], (num_samples,), generator=torch_generator(self._draw_seed))
            spins = spins.index_select(axis, chosen)
        return {self.site: spins}

    def get_weighted_samples(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """All particles, and their weights `[P]`, float64, sum 1: runs are weighted by their evidence."""
        runs = self._done()
        particles, weights = runs.spins.shape[1], evidence_weights(runs.log_evidence)
        return self.get_samples(), torch.as_tensor(np.repeat(weights / particles, particles))

    def get_empirical(self) -> dict[str, dist.Empirical]:
        """The weighted particles as a distribution by site, as `pyro.infer.SMCFilter` gives it."""
        samples, weights = self.get_weighted_samples()
        return {name: dist.Empirical(values, weights.log()) for name, values in samples.items()}

    def diagnostics(self) -> dict[str, Any]:
        """Agreement of the runs with each other; `bayespde.diagnose` says what follows from it.

        Returns:
            `inclusion` by run `[R, K]`, `standard_error` of their mean `[K]`, `log_evidence` `[R]`,
            `log_evidence_error`, R-hat of the number of spins that are up (`r_hat_size`) and of the log density
            (`r_hat_lp`), `distinct_ancestors` `[R]`, `inverse_temperature` by stage `[R, S]`, and whether the runs
            are `complete`.
        """
        found, between = self.sampled, between_run_diagnostics(self)
        r_hat = scalar_diagnostics(self)["r_hat"].to_series()
        return {
            "inclusion": between["inclusion"].values,
            "standard_error": between["standard_error"].values,
            "log_evidence": found.log_evidence,
            "log_evidence_error": found.log_evidence_error,
            "r_hat_size": float(r_hat["model_size"]),
            "r_hat_lp": float(r_hat["lp"]),
            "distinct_ancestors": between["distinct_ancestors"].values,
            "inverse_temperature": found.stages["inverse_temperature"],
            "complete": found.sampling.complete,
        }

    def summary(self) -> xr.Dataset:
        """Inclusion probability of each spin with its Monte Carlo standard error, over `spin`.

        Also `disagreement`, the largest difference between runs. R-hat and effective sample sizes of 0/1 variables
        are left out on purpose: they are undefined for the most certain spins.
        """
        found, between = self.sampled, between_run_diagnostics(self)
        return xr.Dataset(
            {
                "inclusion_probability": found.inclusion_probability,
                "standard_error": found.inclusion_error,
                "disagreement": between["spread"],
            },
            attrs={
                "log_evidence": self.log_evidence,
                "log_evidence_error": found.log_evidence_error,
                "complete": int(found.sampling.complete),
            },
        )

    def enumerate(self) -> tuple[float, torch.Tensor]:
        """The exact log evidence and inclusion probabilities `[K]`, by all configurations.

        Raises:
            ConfigError: If there are too many spins.
        """
        exact = enumerate_exact(self.target)
        return float(exact.log_evidence), torch.as_tensor(exact.inclusion_probability)

    def render(self) -> Any:
        """The program as a graph, by `pyro.render_model`; needs the Python package graphviz."""
        args, kwargs = self._arguments
        return pyro.render_model(self.program, model_args=args, model_kwargs=kwargs, render_distributions=True)

    def _done(self) -> Runs:
        if self._runs is None:
            raise ConfigError(
                "The program has not been sampled.",
                got="no run",
                wanted="run(...) first",
                fix="SpinSMC(program).run(data)",
            )
        return self._runs
