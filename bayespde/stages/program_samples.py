"""Runs of the sampler on a Pyro program -> values of its sites, probabilities, means and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import torch
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.monte_carlo import evidence_weights, mean_error
from bayespde.core.sampled_spins import SampledSpins
from bayespde.model.joint_target import JointPyroTarget
from bayespde.model.pyro_target import PyroTarget
from bayespde.results.diagnostics import between_run_diagnostics
from bayespde.results.program_tree import ProgramDraws
from bayespde.smc.collect import Runs
from bayespde.smc.config import SMCConfig
from bayespde.stages.sample import sampling_record


@dataclass(frozen=True, eq=False)
class ProgramSamples:
    """What sampling a program gave.

    Attributes:
        target: Of the program.
        runs: Of the sampler.
        config: Its settings.
        names: Of the discrete variables, in the order of the program.
    """

    target: PyroTarget | JointPyroTarget
    runs: Runs
    config: SMCConfig
    names: tuple[str, ...]

    @cached_property
    def values(self) -> dict[str, torch.Tensor]:
        """Values of all latent sites, `[R, P, *shape]` each, in the types that the program draws."""
        spins = torch.as_tensor(self.runs.spins)
        flat = spins.flatten(0, 1)
        if isinstance(self.target, JointPyroTarget):
            found = self.target.values(flat, torch.as_tensor(self.runs.latents).flatten(0, 1))
        else:
            found = self.target.values(flat)
        return {name: value.reshape(*spins.shape[:2], *value.shape[1:]) for name, value in found.items()}

    @cached_property
    def latents(self) -> dict[str, np.ndarray]:
        """Numbers of the continuous sites, `[R, P]` each, by `site`, `site[k]` or `site[i,j]`."""
        discrete = {code.name for code in self.target.codes}
        found: dict[str, np.ndarray] = {}
        for site, value in self.values.items():
            if site not in discrete:
                numbers = value.double().numpy()
                for place in np.ndindex(*numbers.shape[2:]):
                    label = f"[{','.join(map(str, place))}]" if place else ""
                    found[site + label] = numbers[(..., *place)]
        return found

    @cached_property
    def sampled(self) -> SampledSpins:
        """What sampling says of the spins, as `diagnose` and `between_run_diagnostics` read it."""
        runs = self.runs
        return SampledSpins(
            dim="spin",
            names=self.target.codes.spin_names(self.names),
            spins=runs.spins,
            scalars={"lp": runs.log_prior + runs.log_likelihood, **self.latents},
            log_evidence=runs.log_evidence,
            run_weights=evidence_weights(runs.log_evidence),
            estimates=runs.estimates,
            eve_index=runs.eve_index,
            sampling=sampling_record(runs, "smc", self.config),
            stages=runs.stages,
        )

    @property
    def is_binary(self) -> np.ndarray:
        """Which spins are variables of their own, `[K]`, bool."""
        return np.repeat([c.is_binary for c in self.target.codes], [c.terms for c in self.target.codes])

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of each binary variable being 1, over `spin`.

        Raises:
            ConfigError: If there is none.
        """
        if not self.is_binary.any():
            raise ConfigError(
                "The program has no binary variable.",
                got=f"sites of more levels: {', '.join(c.name for c in self.target.codes)}",
                wanted="a site of 0 and 1",
                fix="level_probability",
            )
        return self.sampled.inclusion_probability[self.is_binary]

    @property
    def level_probability(self) -> xr.DataArray:
        """Probability of each level of each categorical variable, over `variable` and `level`; NaN for no such level.

        Raises:
            ConfigError: If there is no categorical variable.
        """
        return self._levels()[0]

    def summary(self) -> xr.Dataset:
        """Probabilities, means and their Monte Carlo standard errors, as far as the program has variables of a kind."""
        tables: dict[str, xr.DataArray] = {}
        if self.is_binary.any():
            between = between_run_diagnostics(self)
            tables["inclusion_probability"] = self.inclusion_probability
            tables["standard_error"] = self.sampled.inclusion_error[self.is_binary]
            tables["disagreement"] = between["spread"][self.is_binary]
        if not self.is_binary.all():
            tables["level_probability"], tables["level_error"] = self._levels()
        if self.latents:
            tables |= self._moments()
        return xr.Dataset(tables)

    def draws(self) -> ProgramDraws:
        """The samples as the inference data take them."""
        discrete = {code.name for code in self.target.codes}
        sites = {n: (v.long() if n in discrete else v).numpy() for n, v in self.values.items()}
        own = self._names_by_site
        labels = {code.name: own[code.name] for code in self.target.codes if own[code.name] != code.names}
        return ProgramDraws(sites, labels, self.sampled)

    @property
    def _names_by_site(self) -> dict[str, tuple[str, ...]]:
        """Names of the variables of each discrete site."""
        given = iter(self.names)
        return {code.name: tuple(islice(given, code.variables)) for code in self.target.codes}

    def _levels(self) -> tuple[xr.DataArray, xr.DataArray]:
        """Probabilities of levels and their errors, over `variable` and `level`."""
        codes = [code for code in self.target.codes if not code.is_binary]
        if not codes:
            raise ConfigError(
                "The program has no categorical variable.",
                got="binary variables only",
                wanted="a site of more levels",
                fix="inclusion_probability",
            )
        first, last = min(c.lowest for c in codes), max(c.lowest + c.levels for c in codes)
        names: list[str] = []
        probability, error = [], []
        for code in codes:
            names += self._names_by_site[code.name]
            value = self.values[code.name].long().numpy().reshape(*self.runs.spins.shape[:2], -1)
            levels = np.arange(first, last)
            is_at = value[..., None] == levels
            possible = (levels >= code.lowest) & (levels < code.lowest + code.levels)
            mean = np.einsum("r,rvl->vl", self.sampled.run_weights, is_at.mean(axis=1))
            flat = is_at.reshape(*value.shape[:2], -1).astype(np.float64)
            found = mean_error(flat, self.runs.eve_index, self.sampled.run_weights).reshape(mean.shape)
            probability.append(np.where(possible, mean, np.nan))
            error.append(np.where(possible, found, np.nan))
        coords = {"variable": names, "level": np.arange(first, last)}
        return (
            xr.DataArray(np.concatenate(probability), dims=("variable", "level"), coords=coords),
            xr.DataArray(np.concatenate(error), dims=("variable", "level"), coords=coords),
        )

    def _moments(self) -> dict[str, xr.DataArray]:
        """Mean, standard deviation, and error of the mean of each number of the continuous sites, over `latent`."""
        weights, names = self.sampled.run_weights, list(self.latents)
        values = np.stack(list(self.latents.values()), axis=-1)
        mean = weights @ values.mean(axis=1)
        sd = np.sqrt(weights @ ((values - mean) ** 2).mean(axis=1))
        error = mean_error(values, self.runs.eve_index, weights)
        tables = {"mean": mean, "standard_deviation": sd, "mean_error": error}
        return {n: xr.DataArray(v, dims="latent", coords={"latent": names}) for n, v in tables.items()}


def variable_names(target: PyroTarget | JointPyroTarget, names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the discrete variables: those given, one for each, or `site[k]`.

    Raises:
        ConfigError: If their number is wrong, or one is there twice.
    """
    usual = target.codes.names
    chosen = usual if names is None else tuple(names)
    if len(chosen) != len(usual) or len(set(chosen)) != len(chosen):
        raise ConfigError(
            "There must be one name for each discrete variable.",
            got=f"{len(chosen)} names, {len(set(chosen))} of them different",
            wanted=f"{len(usual)} different names",
            fix="names=None for site[0], site[1], ...",
        )
    return chosen
