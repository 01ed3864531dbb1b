"""Target -> the same target, entered from a nearer start than its prior."""

from __future__ import annotations

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.smc.base import Target

PRIOR_SHARE = 0.2


class GeometricPath:
    """The path from a product distribution q to a posterior, `q^(1-T) (prior x likelihood)^T` [fan2011].

    As a `Target` its prior is q and its likelihood `prior x likelihood / q`. Masses are those of the target it leads
    to: log prior and log likelihood have the same sum, and so the same evidence.
    """

    def __init__(self, target: Target, logits: torch.Tensor) -> None:
        """Prepare the path.

        Args:
            target: Where the path leads.
            logits: Log odds of each spin under q, `[K]`, float64, finite.

        Raises:
            ConfigError: If the log odds are not that.
        """
        if logits.shape != (target.terms,) or not torch.isfinite(logits).all():
            raise ConfigError(
                "The start of a bridge is not usable.",
                got=f"log odds of shape {tuple(logits.shape)}",
                wanted=f"[{target.terms}] finite numbers",
                fix="GeometricPath(target, torch.zeros(target.terms, dtype=torch.float64))",
            )
        self.target, self.logits = target, logits.double()
        self._start = PairwiseSpins(self.logits.numpy(), np.zeros((target.terms, target.terms)))

    @property
    def terms(self) -> int:
        """Number of spins K."""
        return self.target.terms

    def log_prior(self, spins: torch.Tensor) -> torch.Tensor:
        """Log density of configurations (`[P, K]`, bool) under q: `[P]`, float64."""
        return torch.as_tensor(self._start.log_density(spins.numpy()))

    def log_likelihood(self, spins: torch.Tensor) -> torch.Tensor:
        """Log of prior times likelihood over q (`[P, K]`, bool): `[P]`, float64, -inf where impossible."""
        return self.target.log_likelihood(spins) + self.target.log_prior(spins) - self.log_prior(spins)

    def sample_prior(self, particles: int, *, generator: torch.Generator) -> torch.Tensor:
        """Draw configurations from q: `[P, K]`, bool."""
        uniform = torch.rand((particles, self.terms), generator=generator, dtype=torch.float64)
        return torch.as_tensor(self._start.from_uniform(uniform.numpy()))


def goal(path: Target) -> Target:
    """Where a path leads: the target of a bridge, or the target itself."""
    return path.target if isinstance(path, GeometricPath) else path


def check_path(path: Target, other: Target, *, same: bool) -> None:
    """Check that two paths are the same, or at least lead to the same target.

    Raises:
        ConfigError: If they do not.
    """
    if (path is not other) if same else (goal(path) is not goal(other)):
        raise ConfigError(
            "The moves were prepared for another target.",
            got=f"moves for a {type(path).__name__}, particles of a {type(other).__name__}",
            wanted="both on the same path, or on bridges to the same target",
            fix="kernel = kernel.on_path(path), or make_kernel(path, config)",
        )


def start_logits(inclusion: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Log odds of the product distribution from which the particles of a run start.

    The share of the prior keeps every term within reach that the scouts have missed, and loose what they froze.

    Args:
        inclusion: Inclusion probabilities that the scouts found, `[K]`, float64.
        prior: Those of the prior, `[K]`, float64, inside (0, 1).

    Returns:
        Log odds of a mixture of both, `[K]`, float64.
    """
    return torch.logit((1 - PRIOR_SHARE) * inclusion + PRIOR_SHARE * prior)
