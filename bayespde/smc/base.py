"""Models -> samplers: the contract between them, and the sampler's state, report and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.smc.resampling import SCHEMES

KERNELS = ("auto", "barker", "gibbs")


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
    def prior_logits(self) -> torch.Tensor:
        """Prior log odds of each spin if all that it is coupled with are down, `[K]`, float64."""
        ...

    @property
    def prior_couplings(self) -> np.ndarray:
        """What two spins that are both up add to the log prior, `[K, K]`, float64, symmetric with a zero diagonal."""
        ...

    @property
    def offset(self) -> float:
        """What the noise prior adds to the residual sum of squares; the evidence is smooth in the log of both."""
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
        log_prior: `[P]`, float64; on a bridge the log density of its start.
        log_likelihood: `[P]`, float64; always that of `spins`. On a bridge prior times likelihood over its start.
        temperature: Exponent on the likelihood, 0 for the start, 1 for the posterior.
        log_evidence: Log normalising constant so far.
        eve_index: Index of the particle at the start from which each descends, `[P]`, int64.
    """

    spins: torch.Tensor
    log_prior: torch.Tensor
    log_likelihood: torch.Tensor
    temperature: float
    log_evidence: float
    eve_index: torch.Tensor


class Moves(NamedTuple):
    """What a kernel did.

    Attributes:
        rao_blackwell: Mean probability of each spin being up given the others, `[K]`, float64.
        flip_rate: Share of spins changed per sweep.
    """

    rao_blackwell: torch.Tensor
    flip_rate: float


class Kernel(Protocol):
    """Moves that leave a target invariant at any temperature."""

    @property
    def path(self) -> Target:
        """The target or bridge on which the particles are."""
        ...

    def __call__(self, state: SMCState, *, sweeps: float, generator: torch.Generator) -> tuple[SMCState, Moves]:
        """Move every particle (of positive likelihood) at `state.temperature` for a number of sweeps."""
        ...

    def sweeps_for(self, state: SMCState, *, flips: float) -> float:
        """Number of sweeps in which a particle flips about `flips` spins and half of its terms."""
        ...

    def on_path(self, path: Target) -> Kernel:
        """The same moves on a bridge to the same target."""
        ...


class SMCInfo(NamedTuple):
    """What happened in one step.

    Attributes:
        log_weights: Incremental log weights that were used, `[P]`, float64, unnormalised.
        ancestors: Index of the particle that each one copied, `[P]`, int64, sorted.
        ess: Effective sample size of the weights, between 1 and P.
        temperature: Reached by this step.
        log_evidence_increment: Log mean weight.
        flip_rate: Share of spins changed per sweep.
        sweeps: Sweeps made at this temperature.
        passes: Rounds of them.
        correlation: Of the particles' log likelihoods before and after those sweeps.
        distinct_particles: Number of different configurations after the step.
        distinct_ancestors: Number of different ancestors left.
        rao_blackwell: Mean conditional probability of each spin being up, `[K]`, float64, at this
            temperature.
    """

    log_weights: torch.Tensor
    ancestors: torch.Tensor
    ess: float
    temperature: float
    log_evidence_increment: float
    flip_rate: float
    sweeps: float
    passes: int
    correlation: float
    distinct_particles: int
    distinct_ancestors: int
    rao_blackwell: torch.Tensor


def check_counts(settings: Any, least: Mapping[str, int]) -> None:
    """Check that the named settings are integers of at least so much.

    Raises:
        ConfigError: If one is not.
    """
    for name, bound in least.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise ConfigError(
                f"The number of {name} is out of range.",
                got=repr(value),
                wanted=f"an integer of at least {bound}",
                fix=f"{name}={getattr(type(settings), name)}",
            )


@dataclass(frozen=True)
class SMCConfig:
    """Settings of the sampler.

    Attributes:
        particles: Number of particles P per run.
        runs: Number of independent runs R.
        pilot_fraction: Particles of four small runs from the prior before each run, as a share of `particles`; at least 32
            each, if that many are a quarter of `particles`. The inclusion probabilities that they find set where the
            run itself starts; 0 starts it from the prior.
        ess_fraction: Effective sample size at which the next temperature is placed, as a fraction of the
            particles with non-zero likelihood.
        kernel: `barker` (compiled, linear targets only), `gibbs` (the plain reference, any target), or `auto`.
        flips: Flips per particle that a round aims at besides half its number of terms, as far as its number of sweeps
            can be chosen.
        sweeps: Sweeps per round, whatever the flips; None to follow `flips`.
        swaps: Exchanges of an up and a down spin per round.
        min_passes: Least number of rounds per stage.
        max_passes: Largest number of rounds per stage; what lies between is decided by `decorrelation_target`.
        decorrelation_target: Rounds end once the log likelihoods of the particles correlate less than this with those before
            the stage's moves.
        final_passes: Further rounds at temperature 1, over which the inclusion probabilities are averaged.
        resampling: One of systematic, stratified, residual, multinomial.
        schedule: Fixed increasing temperatures ending at 1; empty for adaptive ones.
    """

    particles: int = 2048
    runs: int = 4
    pilot_fraction: float = 1 / 32
    ess_fraction: float = 0.5
    kernel: str = "auto"
    flips: float = 2.0
    sweeps: float | None = None
    swaps: int = 1
    min_passes: int = 1
    max_passes: int = 4
    decorrelation_target: float = 0.5
    final_passes: int = 8
    resampling: str = "systematic"
    schedule: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        least = {"particles": 2, "min_passes": 1, "max_passes": 1, "final_passes": 1}
        check_counts(self, least | {"runs": 1, "swaps": 0})
        self._check_shares()
        self._check_choices()

    def _check_shares(self) -> None:
        for name in ("flips", "sweeps"):
            value = getattr(self, name)
            if not (value is None and name == "sweeps") and not (isinstance(value, int | float) and 0 < value < np.inf):
                raise ConfigError(
                    f"The number of {name} is out of range.",
                    got=repr(value),
                    wanted="a positive number",
                    fix=f"{name}={getattr(type(self), name)}",
                )
        for name, sign in (("ess_fraction", "<"), ("decorrelation_target", "<"), ("pilot_fraction", "<=")):
            value = getattr(self, name)
            if not (0 < value < 1 or (value == 0 and sign == "<=")):
                raise ConfigError(
                    f"The setting {name} is out of range.",
                    got=value,
                    wanted=f"0 {sign} {name} < 1",
                    fix=f"{name}={getattr(type(self), name)}",
                )

    def _check_choices(self) -> None:
        if self.kernel not in KERNELS:
            raise ConfigError(
                "The kernel is not known.", got=self.kernel, wanted=", ".join(KERNELS), fix="kernel='auto'"
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
