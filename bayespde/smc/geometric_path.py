"""Target -> the same target, reached from a tuned reference distribution instead of its prior.

The reference q is a product of independent spins. The geometric path from q to the posterior is
`q^(1-beta) (prior x likelihood)^beta` [gelman1998, fan2011]; with q = prior it tempers the likelihood, as usual.
"""

from __future__ import annotations

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.smc.base import LinearTarget, Target

PRIOR_SHARE = 0.2


class GeometricPath:
    """The path from a product distribution q to a posterior.

    As a `Target` its prior is q and its likelihood `prior x likelihood / q`. Masses are those of the target at its end:
    log prior and log likelihood have the same sum, and so the same evidence.
    """

    def __init__(self, target: Target, logits: torch.Tensor) -> None:
        """Prepare the path.

        Args:
            target: The end of the path.
            logits: Log odds of each spin under q, `[K]`, float64, finite.

        Raises:
            ConfigError: If the log odds are not finite or not one per spin.
        """
        if logits.shape != (target.terms,) or not torch.isfinite(logits).all():
            raise ConfigError(
                "The reference distribution of a geometric path needs one finite log odds per spin.",
                got=f"log odds of shape {tuple(logits.shape)}, finite: {bool(torch.isfinite(logits).all())}",
                wanted=f"[{target.terms}] finite numbers",
                fix="GeometricPath(target, torch.zeros(target.terms, dtype=torch.float64))",
            )
        self.target, self.logits = target, logits.double()
        self._reference = PairwiseSpins(self.logits.numpy(), np.zeros((target.terms, target.terms)))

    @property
    def terms(self) -> int:
        """Number of spins K."""
        return self.target.terms

    def log_prior(self, spins: torch.Tensor) -> torch.Tensor:
        """Log density of configurations (`[P, K]`, bool) under q: `[P]`, float64."""
        return torch.as_tensor(self._reference.log_density(spins.numpy()))

    def log_likelihood(self, spins: torch.Tensor) -> torch.Tensor:
        """Log of prior times likelihood over q (`[P, K]`, bool): `[P]`, float64, -inf where impossible."""
        return self.target.log_likelihood(spins) + self.target.log_prior(spins) - self.log_prior(spins)

    def sample_prior(self, particles: int, *, generator: torch.Generator) -> torch.Tensor:
        """Draw configurations from q: `[P, K]`, bool."""
        uniform = torch.rand((particles, self.terms), generator=generator, dtype=torch.float64)
        return torch.as_tensor(self._reference.from_uniform(uniform.numpy()))


def endpoint(path: Target) -> Target:
    """The target at the end of a path: that of a `GeometricPath`, or the target itself."""
    return path.target if isinstance(path, GeometricPath) else path


def prior_on_path(path: Target, target: LinearTarget, beta: float) -> tuple[torch.Tensor, float]:
    """Log odds of the spins `[K]` apart from the likelihood's at an inverse temperature, and a factor on the couplings.

    Raises:
        ConfigError: If the path does not end at the target.
    """
    if endpoint(path) is not target:
        raise ConfigError(
            "The moves were prepared for another target.",
            got=f"moves for a {type(target).__name__}, particles of another {type(endpoint(path)).__name__}",
            wanted="a kernel for the target of the particles",
            fix="kernel = make_kernel(target, config)",
        )
    prior = torch.as_tensor(target.regression.prior.fields)
    if not isinstance(path, GeometricPath):
        return prior, 1.0
    return prior + (1 - beta) * (path.logits - prior), beta


def reference_logits(inclusion: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Log odds of the product distribution from which the particles of a run start.

    The share of the prior keeps every term within reach that the pilot chains missed, and frees every spin that is
    nearly certain by them.

    Args:
        inclusion: Inclusion probabilities that the pilot chains found, `[K]`, float64.
        prior: Those of the prior, `[K]`, float64, inside (0, 1).

    Returns:
        Log odds of a mixture of both, `[K]`, float64.
    """
    return torch.logit((1 - PRIOR_SHARE) * inclusion + PRIOR_SHARE * prior)
