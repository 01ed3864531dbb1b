"""Models -> samplers: the contract between them (`Target`, `Kernel`), and the sampler's state and report."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch

from bayespde.core.canonical_regression import CanonicalRegression


class Target(Protocol):
    """A distribution over configurations of K spins (inclusion indicators), known up to a constant."""

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


class JointTarget(Protocol):
    """A distribution over configurations of K spins and D real numbers, known up to a constant.

    A target may also name `blocks`: sets of spins that the plain kernel flips together, apart from single ones.
    """

    @property
    def terms(self) -> int:
        """Number of spins K."""
        ...

    @property
    def dimension(self) -> int:
        """Number of real numbers D."""
        ...

    @property
    def has_gradient(self) -> bool:
        """Whether `with_gradient` gives one."""
        ...

    def given(self, latents: torch.Tensor) -> Target:
        """The target over configurations, of which each belongs to a row of `latents`, `[P, D]`."""
        ...

    def sample_joint(self, particles: int, *, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw configurations `[P, K]`, bool, and real numbers `[P, D]`, float64, from the prior."""
        ...

    def proposed(self, spins: torch.Tensor, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log prior and log likelihood, `[P]` each; the latter is -inf where one of them cannot be computed."""
        ...

    def with_gradient(
        self, spins: torch.Tensor, latents: torch.Tensor, beta: float
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The same, and the gradient of log prior + beta log likelihood, `[P, D]`, finite."""
        ...


def latent_dimension(target: Target | JointTarget) -> int:
    """Number of real numbers of each particle: 0 for a `Target`."""
    return int(getattr(target, "dimension", 0))


@runtime_checkable
class LinearTarget(Target, Protocol):
    """A target whose likelihood depends on size, residuals and log determinant of a linear model."""

    @property
    def regression(self) -> CanonicalRegression:
        """The linear model, its order and the prior of the spins."""
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
        log_prior: `[P]`, float64; on a `GeometricPath` the log density of its reference.
        log_likelihood: `[P]`, float64; always that of `spins`. On a `GeometricPath` prior times likelihood over the
            reference.
        inverse_temperature: Exponent beta on the likelihood: 0 for the prior or reference, 1 for the posterior.
        log_evidence: Log normalising constant so far.
        eve_index: Index of the initial draw from which each particle descends, `[P]`, int64.
        latents: Real numbers of each particle, `[P, D]`, float64; None where there are spins only.
        step_size: Of the moves of `latents`, as the last pass left it; relative to their spread.
    """

    spins: torch.Tensor
    log_prior: torch.Tensor
    log_likelihood: torch.Tensor
    inverse_temperature: float
    log_evidence: float
    eve_index: torch.Tensor
    latents: torch.Tensor | None = None
    step_size: float = 1.0


class Moves(NamedTuple):
    """What a kernel did.

    Attributes:
        rao_blackwell: Mean probability of each spin being up given the others, `[K]`, float64.
        flip_rate: Share of spins changed per sweep.
    """

    rao_blackwell: torch.Tensor
    flip_rate: float


class BlockFlips(NamedTuple):
    """Flips of several spins at once.

    Attributes:
        sets: The spins that flip together, `[D, K]`, bool, D > 0.
        weights: How often each set is proposed, `[D]`, float64, positive.
        flips: Proposals for each particle after each pass.
    """

    sets: torch.Tensor
    weights: torch.Tensor
    flips: int


class Kernel(Protocol):
    """Markov moves that leave the tempered target invariant at any inverse temperature.

    The path is an argument: the target itself, or a `GeometricPath` to it. A kernel serves a `Target`, or a
    `JointTarget`: that is why the type of its path is open.
    """

    def __call__(
        self, state: SMCState, path: Any, *, sweeps: float, generator: torch.Generator
    ) -> tuple[SMCState, Moves]:
        """Move every particle.

        Args:
            state: Particles of positive likelihood at `state.inverse_temperature`.
            path: The target, or a `GeometricPath` to it.
            sweeps: How often every spin is drawn from its conditional distribution, on average.
            generator: Source of randomness.

        Returns:
            The new state, and what happened.

        Raises:
            ConfigError: If the kernel was prepared for another target.
        """
        ...

    def sweeps_for(self, state: SMCState, path: Any, *, flips: float) -> float:
        """Number of sweeps in which a particle flips about `flips` spins and half of its terms."""
        ...

    def with_block_flips(self, block_flips: BlockFlips) -> Kernel:
        """The kernel whose passes end with flips of these sets, in the place of any others."""
        ...


class SMCInfo(NamedTuple):
    """What happened in one step.

    Attributes:
        log_weights: Incremental log weights that were used, `[P]`, float64, unnormalised.
        ancestors: Index of the particle that each one copied, `[P]`, int64, sorted.
        ess: Effective sample size of the weights, between 1 and P.
        inverse_temperature: Reached by this step.
        log_marginal_likelihood_increment: Log mean weight.
        flip_rate: Share of spins changed per sweep.
        sweeps: Sweeps made at this inverse temperature.
        passes: Passes in which they were made.
        correlation: Of the particles' log likelihoods before and after those sweeps.
        distinct_particles: Number of different configurations after the step.
        distinct_ancestors: Number of different Eve indices left.
        rao_blackwell: Mean conditional probability of each spin being up, `[K]`, float64, at this
            inverse temperature.
    """

    log_weights: torch.Tensor
    ancestors: torch.Tensor
    ess: float
    inverse_temperature: float
    log_marginal_likelihood_increment: float
    flip_rate: float
    sweeps: float
    passes: int
    correlation: float
    distinct_particles: int
    distinct_ancestors: int
    rao_blackwell: torch.Tensor
