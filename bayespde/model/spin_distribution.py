"""The prior of the spins -> a Pyro distribution."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch.distributions import constraints

from bayespde.core.pairwise import PairwiseSpins
from bayespde.model.over_rows import over_rows


class CoupledSpins(dist.TorchDistribution):
    """Coupled spins, as vectors of 0 and 1 `[K]`.

    Args:
        prior: Fields and couplings.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    support = constraints.independent(constraints.boolean, 1)

    def __init__(self, prior: PairwiseSpins) -> None:
        self.prior = prior
        super().__init__(torch.Size(), torch.Size([len(prior.fields)]), validate_args=False)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Log probability of spins `[..., K]`: `[...]`, float64."""
        return over_rows(lambda rows: torch.as_tensor(self.prior.log_density(rows.numpy() != 0)), value.detach())

    def sample(self, sample_shape: torch.Size | None = None) -> torch.Tensor:
        """Draw `[*sample_shape, K]`, float64, 0 or 1."""
        uniform = torch.rand(self._extended_shape(sample_shape or torch.Size()), dtype=torch.float64)
        return over_rows(lambda rows: torch.as_tensor(self.prior.from_uniform(rows.numpy())).double(), uniform)


def spin_distribution(prior: PairwiseSpins) -> dist.TorchDistribution:
    """Independent Bernoulli spins, which Pyro can enumerate, where nothing is coupled; `CoupledSpins` otherwise."""
    if prior.couplings.any():
        return CoupledSpins(prior)
    return dist.Bernoulli(logits=torch.as_tensor(prior.fields)).to_event(1)
