"""Pyro program with discrete and continuous latent sites -> `JointPyroTarget`, a target over spins and real numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, final

import torch

from bayespde.core.annotations import Count
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.model.configurations import checked
from bayespde.model.program_density import LogDensities, ProgramDensity, ProgramTarget
from bayespde.model.program_sites import examined
from bayespde.model.pyro_target import PyroTarget

# Prior draws on which gradients are tried.
TRIALS = 8


@final
class JointPyroTarget(ProgramTarget):
    """Any Pyro program [bingham2019pyro] with discrete and continuous latent sites, as a `JointTarget`.

    Discrete sites are coded by spins as for `PyroTarget`, continuous ones by unconstrained real numbers: the bijection
    of `torch.distributions.biject_to` to the support of each site, whose Jacobian belongs to the prior.

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
        self._density = ProgramDensity(partial(program, *args, **kwargs), site)

    @property
    def dimension(self) -> int:
        """Number of unconstrained coordinates D."""
        return self._density.dimension

    @cached_property
    def has_gradient(self) -> bool:
        """Whether torch differentiates the log density of the program with respect to its continuous sites."""
        spins, latents = self._density.draw(TRIALS, generator=torch_generator(0))
        try:
            gradient = self.with_gradient(spins, latents, 1.0)[1]
        except RuntimeError:
            return False
        return bool(gradient.any())

    def given(self, latents: torch.Tensor) -> GivenLatents:
        """The target over configurations at given coordinates of each particle, `[P, D]`."""
        return GivenLatents(self, latents)

    @validated
    def sample_joint(self, particles: Count, *, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw configurations `[P, K]`, bool, and coordinates `[P, D]`, float64, from the prior of the program."""
        return self._density.draw(particles, generator=generator)

    def log_densities(self, spins: torch.Tensor, latents: torch.Tensor) -> LogDensities:
        """Log prior and log likelihood of configurations `[P, K]` and coordinates `[P, D]`: `[P]` each, float64.

        Raises:
            StatisticsError: If one is NaN or +inf.
        """
        return self._density(spins, latents)

    def proposed(self, spins: torch.Tensor, latents: torch.Tensor) -> LogDensities:
        """The same for proposals of moves: impossible where the program cannot be evaluated."""
        with torch.no_grad():
            return self._density.proposed(spins, latents)

    def with_gradient(
        self, spins: torch.Tensor, latents: torch.Tensor, beta: float
    ) -> tuple[LogDensities, torch.Tensor]:
        """The same, and the gradient of log prior + beta log likelihood, `[P, D]`; 0 where there is none."""
        with torch.enable_grad():
            leaf = latents.detach().requires_grad_()
            found = self._density.proposed(spins, leaf)
            possible = (found.log_prior + found.log_likelihood).isfinite()
            total = found.log_prior[possible].sum() + beta * found.log_likelihood[possible].sum()
            gradient = torch.autograd.grad(total, leaf)[0] if total.requires_grad else torch.zeros_like(leaf)
        plain = LogDensities(*(part.detach() for part in found))
        return plain, gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def values(self, spins: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Values of all latent sites, `[P, *shape]` each, in the types that they draw."""
        return self._density.values(checked(spins, self.terms), latents)


@final
class GivenLatents:
    """A joint target at fixed continuous coordinates of each particle, as a target over configurations.

    Configurations are taken row by row: particle p is evaluated at its own coordinates.

    Args:
        target: The joint target.
        latents: Coordinates, `[P, D]`, float64.
    """

    def __init__(self, target: JointPyroTarget, latents: torch.Tensor) -> None:
        self.target, self.latents = target, latents
        self._last: tuple[torch.Tensor, LogDensities] | None = None

    @property
    def terms(self) -> int:
        """Number of spins K."""
        return self.target.terms

    def log_prior(self, spins: torch.Tensor) -> torch.Tensor:
        """Log prior of configurations (`[P, K]`, bool) and the coordinates: `[P]`, float64."""
        return self._log_densities(spins).log_prior

    def log_likelihood(self, spins: torch.Tensor) -> torch.Tensor:
        """Log likelihood of configurations (`[P, K]`, bool) and the coordinates: `[P]`, float64."""
        return self._log_densities(spins).log_likelihood

    def sample_prior(self, particles: int, *, generator: torch.Generator) -> torch.Tensor:
        """Nothing: the coordinates of other particles are not known.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "Particles of a joint target are drawn together with their coordinates.",
            got="sample_prior of a target given its coordinates",
            wanted="spins and coordinates",
            fix="target.sample_joint(particles, generator=generator)",
        )

    def _log_densities(self, spins: torch.Tensor) -> LogDensities:
        """Both at once, because a run of the program gives both; the last ones are kept."""
        if self._last is None or not torch.equal(self._last[0], checked(spins, self.terms)):
            if len(spins) != len(self.latents):
                raise ConfigError(
                    "There must be one configuration for each particle.",
                    got=f"{len(spins)} configurations for {len(self.latents)} particles",
                    wanted="as many",
                    fix="target.given(latents[rows])",
                )
            self._last = spins.clone(), self.target.log_densities(spins, self.latents)
        return self._last[1]


def program_target(
    program: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], site: str | None
) -> PyroTarget | JointPyroTarget:
    """The target of a program: over spins alone, or over spins and real numbers."""
    is_joint = examined(partial(program, *args, **kwargs), site).layout.dimension > 0
    kind = JointPyroTarget if is_joint else PyroTarget
    return kind(program, *args, site=site, **kwargs)
