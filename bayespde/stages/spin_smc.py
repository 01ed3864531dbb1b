"""Any Pyro program with discrete latent sites -> posterior samples of all latent ones, as `pyro.infer.MCMC` gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import pyro
import pyro.distributions as dist
import torch
import xarray as xr

from bayespde.core.annotations import Count, fits
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.core.sampled_spins import SampledSpins
from bayespde.model.joint_target import JointPyroTarget, program_target
from bayespde.model.pyro_target import PyroTarget
from bayespde.results.diagnostics import between_run_diagnostics, scalar_diagnostics
from bayespde.results.program_tree import program_tree
from bayespde.smc.collect import log_mean_exp
from bayespde.smc.config import SMCConfig
from bayespde.smc.enumeration.enumerate import enumerate_exact
from bayespde.smc.several_runs import run_all
from bayespde.stages.program_samples import ProgramSamples, variable_names

__all__ = ["SpinSMC"]


class SpinSMC:
    """Tempered sequential Monte Carlo over the latent sites of a Pyro program [bingham2019pyro, delmoral2006].

    Pyro enumerates discrete latent variables where it can; this samples them, any number with any dependence, and
    estimates the evidence of the program. Sites may be binary or categorical (`PyroTarget`); continuous ones
    are moved by Hamiltonian dynamics, or random walks, within the same sampler (`JointPyroTarget`).
    Continuous ones that can be integrated out should be: the sampler is then faster and its answers more exact. A
    program is written for one value of each site, and torch maps it over all particles where it can.

    ::

        smc = SpinSMC(program).run(data)
        smc.get_samples()["spins"].mean(0)          # inclusion probabilities
        Predictive(program, smc.get_samples())(new_data)

    Args:
        program: The Pyro program.
        site: Name of its discrete site, if it is to be the only one; by default there may be several.
        names: Of its discrete variables, in the order of the program; by default those of its attribute `names`, if
            it has one, or else `site[0]`, `site[1]`, ...
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
        names: Sequence[str] | None = None,
        config: SMCConfig | None = None,
        seed: int = 0,
        progress: bool | Progress = False,
    ) -> None:
        self.program, self.config = program, config or SMCConfig()
        own = getattr(program, "names", None)
        self._site, self._names = site, own if names is None and fits(own, Sequence[str]) else names
        self._run_seed, self._draw_seed = spawn_seeds(seed, 2)
        self._progress = progress
        self._found: ProgramSamples | None = None
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
        target = program_target(self.program, args, kwargs, self._site)
        names = variable_names(target, self._names)
        runs = run_all(target, config=self.config, seed=self._run_seed, progress=self._progress)
        # Only now: a run that fails leaves the one before as it was.
        self._found, self._arguments = ProgramSamples(target, runs, self.config, names), (args, kwargs)
        return self

    @property
    def target(self) -> PyroTarget | JointPyroTarget:
        """The target; `target.looped_because` says why the program was not run for all particles at once."""
        return self._done().target

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the latent sites, the discrete ones first."""
        return tuple(self._done().values)

    @property
    def log_evidence(self) -> float:
        """Log of the program's normalising constant, pooled over runs."""
        return log_mean_exp(self._done().runs.log_evidence)

    @property
    def sampled(self) -> SampledSpins:
        """What sampling says of the spins, as `diagnose` and `between_run_diagnostics` read it."""
        return self._done().sampled

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of each binary variable being 1, over `spin`, conditional ones averaged over particles and runs.

        Raises:
            ConfigError: If the program has no binary variable.
        """
        return self._done().inclusion_probability

    @property
    def level_probability(self) -> xr.DataArray:
        """Probability of each level of each categorical variable, over `variable` and `level`: its share of particles.

        Raises:
            ConfigError: If the program has no categorical variable.
        """
        return self._done().level_probability

    @validated
    def get_samples(self, num_samples: Count | None = None, group_by_chain: bool = False) -> dict[str, torch.Tensor]:
        """Draws of all latent sites, in the types and shapes that the program draws: what `Predictive` takes.

        Args:
            num_samples: Number of draws, with replacement; all particles by default.
            group_by_chain: Whether to keep the runs apart.

        Returns:
            `{site: [P, *shape]}`, or `[runs, P, *shape]`. All particles have equal weights, also those of runs that
            differ in evidence (see `get_weighted_samples`).
        """
        values = self._done().values
        axis = 1 if group_by_chain else 0
        if not group_by_chain:
            values = {name: value.flatten(0, 1) for name, value in values.items()}
        if num_samples is None:
            return dict(values)
        count = next(iter(values.values())).shape[axis]
        chosen = torch.randint(count, (num_samples,), generator=torch_generator(self._draw_seed))
        return {name: value.index_select(axis, chosen) for name, value in values.items()}

    def get_weighted_samples(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """All particles, and their weights `[P]`, float64, sum 1: runs are weighted by their evidence."""
        weights, particles = self.sampled.run_weights, self.sampled.spins.shape[1]
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
        """Probabilities, means and their Monte Carlo standard errors.

        Over `spin`, of binary variables: `inclusion_probability`, `standard_error`, and `disagreement`, the largest
        difference between runs. Over `variable` and `level`, of categorical ones: `level_probability`, `level_error`.
        Over `latent`, of continuous ones: `mean`, `standard_deviation`, `mean_error`. R-hat and effective sample sizes
        of 0/1 variables are left out on purpose: they are undefined for the most certain ones.
        """
        found = self.sampled
        return (
            self._done()
            .summary()
            .assign_attrs(
                log_evidence=self.log_evidence,
                log_evidence_error=found.log_evidence_error,
                complete=int(found.sampling.complete),
            )
        )

    def to_tree(self) -> xr.DataTree:
        """The draws as `bayespde.to_inference_data` hands them to ArviZ: `posterior`, `sample_stats`, `smc_stats`."""
        return program_tree(self._done().draws())

    def enumerate(self) -> tuple[float, torch.Tensor]:
        """The exact log evidence, and the probability of each spin being up, `[K]`, by all configurations.

        Raises:
            ConfigError: If there are too many spins, or continuous latents.
        """
        target = self.target
        if isinstance(target, JointPyroTarget):
            raise ConfigError(
                "A program with continuous latents cannot be enumerated.",
                got=f"{target.dimension} continuous coordinates",
                wanted="discrete latent sites only",
                fix="integrate the others out, or fix them with pyro.condition",
            )
        exact = enumerate_exact(target)
        return float(exact.log_evidence), torch.as_tensor(exact.inclusion_probability)

    def render(self) -> Any:
        """The program as a graph, by `pyro.render_model`; needs the Python package graphviz."""
        args, kwargs = self._arguments
        return pyro.render_model(self.program, model_args=args, model_kwargs=kwargs, render_distributions=True)

    def _done(self) -> ProgramSamples:
        if self._found is None:
            raise ConfigError(
                "The program has not been sampled.",
                got="no run",
                wanted="run(...) first",
                fix="SpinSMC(program).run(data)",
            )
        return self._found
