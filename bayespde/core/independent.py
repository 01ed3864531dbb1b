"""Configurations -> their log density where spins are independent."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import logsigmoid


def independent_log_density(spins: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Log probability of configurations of independent spins.

    Args:
        spins: `[P, K]`, bool.
        logits: Log odds of each spin being up, `[K]`, float64.

    Returns:
        `[P]`, float64.
    """
    # a product of matrices would wake threads for every short call, and add up in an order that depends on them
    up = np.einsum("pk,k->p", spins.numpy().astype(np.float64), logits.numpy())
    return torch.as_tensor(up + float(logsigmoid(-logits).sum()))
