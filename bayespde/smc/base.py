"""Models -> samplers: the contract between them, and the sampler's state, report and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.smc.resampling import SCHEMES


class Target(Protocol):
    """A distribution over configurations of K spins, known up to a constant."""

    @property
    def terms(self) -> int:
        """Number of spins K."""
        ...

    def log_prior(self, spins: torch.Tensor) -> torch.Tensor:
        """Log prior of configurations (`[P, K]`, bool): `[P]`, float64, finite."""
        ...

    def log_likelihood(self, spins: torch.Tensor) -> torch.Tensor:
        """Log likelihood of configurations (`[P, K]`, bool): `[P]`, float64, -inf where impossible."""
        ...

    def sample_prior(self, particles: int, *, generator: torch.Generator) -> torch.Tensor:
        """Draw configurations from the prior: `[P, K]`, bool."""
        ...


@runtime_checkable
class LinearTarget(Target, Protocol):
    """A target whose likelihood depends on size, residuals and log determinant of a linear model."""

    @property
    def factor(self) -> np.ndarray:
        """Canonical triangular factor of unit-norm columns and the response, `[K+1, K+1]`, float64."""
        ...

    @property
    def order(self) -> np.ndarray:
        """Index of the spin that belongs to each column of the factor, `[K]`, int64."""
        ...

    @property
    def ridge(self) -> float:
        """Precision added to each unit column."""
        ...

    @property
    def pivot_tolerance(self) -> float:
        """Configurations with a smaller pivot have likelihood 0."""
        ...

    @property
    def offset(self) -> float:
        """What the prior of the noise adds to the residual sum of squares: the evidence is smooth in their sum's log."""
        ...

    def log_evidence_given(self, size: Any, rss: Any, logdet: Any) -> torch.Tensor:
        """Log likelihood `[N]` from size, residual sum of squares, log determinant (`[N]` each).

        The log determinant counts with a factor of -1/2 where there is a ridge, and not at all without one.
        """
        ...


class SMCState(NamedTuple):
    """What the next step needs. All particles have equal weight.

    Attributes:
        spins: `[P, K]`, bool.
        log_prior: `[P]`, float64.
        log_likelihood: `[P]`, float64; always that of `spins`.
        temperature: Exponent on the likelihood, 0 for the prior, 1 for the posterior.
        log_evidence: Log normalising constant so far.
        origins: Index of the particle drawn from the prior from which each descends, `[P]`, int64.
    """

    spins: torch.Tensor
    log_prior: torch.Tensor
    log_likelihood: torch.Tensor
    temperature: float
    log_evidence: float
    origins: torch.Tensor


class SMCInfo(NamedTuple):
    """What happened in one step.

    Attributes:
        log_weights: Incremental log weights that were used, `[P]`, float64, unnormalised.
        ancestors: Index of the particle that each one copied, `[P]`, int64, sorted.
        ess: Effective sample size of the weights, between 1 and P.
        temperature: Reached by this step.
        log_evidence_increment: Log mean weight.
        flip_rate: Share of spins changed per sweep.
        distinct_particles: Number of different configurations after the step.
        distinct_ancestors: Number of different origins left.
        rao_blackwell: Mean conditional probability of each spin being up, `[K]`, float64, at this
            temperature.
    """

    log_weights: torch.Tensor
    ancestors: torch.Tensor
    ess: float
    temperature: float
    log_evidence_increment: float
    flip_rate: float
    distinct_particles: int
    distinct_ancestors: int
    rao_blackwell: torch.Tensor


@dataclass(frozen=True)
class SMCConfig:
    """Settings of the sampler.

    Attributes:
        particles: Number of particles P per run.
        runs: Number of independent runs R.
        ess_fraction: Effective sample size at which the next temperature is placed, as a fraction of the
            particles with non-zero likelihood.
        sweeps: Gibbs sweeps per stage.
        swaps: Proposals per sweep to exchange an up and a down spin.
        final_sweeps: Further sweeps at temperature 1, over which the inclusion probabilities are averaged.
        resampling: One of systematic, stratified, residual, multinomial.
        schedule: Fixed increasing temperatures ending at 1; empty for adaptive ones.
    """

    particles: int = 2048
    runs: int = 4
    ess_fraction: float = 0.7
    sweeps: int = 1
    swaps: int = 2
    final_sweeps: int = 8
    resampling: str = "systematic"
    schedule: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        counts = {"particles": 2, "runs": 1, "sweeps": 1, "swaps": 0, "final_sweeps": 1}
        for name, least in counts.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(
                    f"The number of {name} is out of range.",
                    got=repr(value),
                    wanted=f"an integer of at least {least}",
                    fix=f"{name}={getattr(type(self), name)}",
                )
        if not 0 < self.ess_fraction < 1:
            raise ConfigError(
                "The ESS fraction is out of range.",
                got=self.ess_fraction,
                wanted="0 < ess_fraction < 1",
                fix="ess_fraction=0.7",
            )
        if self.resampling not in SCHEMES:
            raise ConfigError(
                "The resampling scheme is not known.",
                got=self.resampling,
                wanted=", ".join(SCHEMES),
                fix="resampling='systematic'",
            )
        steps = np.diff((0.0, *self.schedule))
        if self.schedule and not (self.schedule[-1] == 1 and (steps > 0).all()):
            raise ConfigError(
                "The schedule must rise to 1.",
                got=self.schedule,
                wanted="increasing temperatures in (0, 1], the last one 1",
                fix="schedule=(0.1, 0.5, 1.0)",
            )
