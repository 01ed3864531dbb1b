"""Pyro program with discrete latent sites -> `PyroTarget`, a target for samplers, from its traced log density."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch

from bayespde.core.annotations import Count
from bayespde.core.checked import validated
from bayespde.core.distinct import distinct
from bayespde.model.configurations import checked
from bayespde.model.program_density import LogDensities, ProgramDensity, ProgramTarget

# Largest number of configurations whose log densities are cached.
CACHED = 2**20


@final
class PyroTarget(ProgramTarget):
    """Any Pyro program [bingham2019pyro] whose latent sites are discrete, as a target over configurations of spins.

    The latent sites give the prior; all other sites, observed ones and factors, give the likelihood. A site may be of 0
    and 1 (`dist.Bernoulli`, or any distribution over them that can be scored and drawn from) or of categories
    (`dist.Categorical`), in any shape. A category is coded by several spins, see `SiteCode`. The program must be a
    function of these sites, and draw nothing else.

    The program is written for one configuration, and torch maps it over all particles. This is tested on some prior
    draws, the empty and the full configuration, against single runs. A program that torch cannot map, because values
    decide what is run next, or leave torch for NumPy, is run once per configuration, and its answers are cached.

    Log densities are computed in the precision of the program and returned in float64. Programs run one at a time,
    because the handlers of Pyro are global to the process: several threads are safe, but not faster.

    Args:
        program: A Pyro program without parameters from Pyro's store.
        *args: Its positional arguments.
        site: Name of its discrete site, if it is to be the only one.
        **kwargs: Its keyword arguments.

    Raises:
        ConfigError: If the program cannot be a target; the message gives the reason.
        StatisticsError: If a log density is NaN or +inf.
    """

    @validated
    def __init__(self, program: Callable[..., Any], *args: Any, site: str | None = None, **kwargs: Any) -> None:
        self._density = ProgramDensity(partial(program, *args, **kwargs), site, discrete_only=True)
        self._cache: dict[bytes, tuple[torch.Tensor, torch.Tensor]] = {}
        self._last = (torch.zeros((0, self.terms), dtype=torch.bool), LogDensities(torch.zeros(0), torch.zeros(0)))

    def log_prior(self, spins: torch.Tensor) -> torch.Tensor:
        """Log prior of configurations (`[P, K]`, bool): `[P]`, float64.

        Raises:
            ConfigError: If they are not configurations.
            StatisticsError: If it is NaN or +inf.
        """
        return self._log_densities(spins).log_prior

    def log_likelihood(self, spins: torch.Tensor) -> torch.Tensor:
        """Log density of all observed sites and factors for configurations (`[P, K]`, bool): `[P]`, float64.

        It is -inf where a configuration is impossible. Equal configurations are computed once.

        Raises:
            ConfigError: If they are not configurations, or the program draws other sites for some of them.
            StatisticsError: If the log density is NaN or +inf.
        """
        return self._log_densities(spins).log_likelihood

    @validated
    def sample_prior(self, particles: Count, *, generator: torch.Generator) -> torch.Tensor:
        """Draw configurations from the prior of the program: `[P, K]`, bool."""
        return self._density.draw(particles, generator=generator)[0]

    def values(self, spins: torch.Tensor) -> dict[str, torch.Tensor]:
        """Values of the sites for configurations (`[P, K]`, bool): `[P, *shape]` each, in the types that they draw."""
        return self.codes.values(checked(spins, self.terms))

    def _log_densities(self, spins: torch.Tensor) -> LogDensities:
        """Both at once, because a run of the program gives both; the last ones are kept."""
        last, known = self._last
        if torch.equal(last, checked(spins, self.terms)):
            return known
        same = distinct(spins.numpy())
        some = spins[torch.as_tensor(same.first)]
        if self.looped_because:
            found = LogDensities(*map(torch.stack, zip(*map(self._alone, some), strict=True)))
        else:
            found = self._density(some, torch.zeros((len(some), 0), dtype=torch.float64))
        answer = LogDensities(*(part[torch.as_tensor(same.group)] for part in found))
        self._last = spins.clone(), answer
        return answer

    def _alone(self, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log prior and log likelihood of one configuration, `[K]`, bool."""
        key = spins.numpy().tobytes()
        if key in self._cache:
            return self._cache[key]
        found = self._density(spins[None], torch.zeros((1, 0), dtype=torch.float64))
        answer = found.log_prior[0], found.log_likelihood[0]
        if len(self._cache) < CACHED:
            self._cache[key] = answer
        return answer
