"""Log odds of independent spins -> configurations, and their log density."""

from __future__ import annotations

import numpy as np
import torch


def independent_log_density(spins: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Log probability of configurations of independent spins.

    Args:
        spins: `[..., K]`, bool.
        logits: Log odds of each spin being up, `[K]`, float64.

    Returns:
        `[...]`, float64.
    """
    # torch and products of matrices wake threads for every short call, and may add up in an order that depends on them
    up = np.einsum("...k,k->...", spins.numpy().astype(np.float64), logits.numpy())
    return torch.as_tensor(up - np.logaddexp(0.0, logits.numpy()).sum())


def sample_independent(particles: int, logits: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Draw configurations of independent spins with these log odds (`[K]`, float64): `[P, K]`, bool."""
    uniform = torch.rand((particles, len(logits)), generator=generator, dtype=torch.float64)
    return uniform < torch.sigmoid(logits)
