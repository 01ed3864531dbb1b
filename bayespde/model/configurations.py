"""A tensor of spins -> itself, if each of its rows is a configuration of a model."""

from __future__ import annotations

from typing import Any

import torch

from bayespde.core.errors import ConfigError


def checked(spins: Any, terms: int) -> torch.Tensor:
    """Return configurations, `[P, terms]`, bool.

    Raises:
        ConfigError: If they are not such a tensor.
    """
    if isinstance(spins, torch.Tensor) and spins.shape[1:] == (terms,) and spins.dtype == torch.bool:
        return spins
    is_tensor = isinstance(spins, torch.Tensor)
    raise ConfigError(
        "These are not configurations of spins.",
        got=f"shape {tuple(spins.shape)}, {spins.dtype}" if is_tensor else f"an object of type {type(spins).__name__}",
        wanted=f"a tensor of shape [P, {terms}] and of truth values",
        fix=f"torch.zeros((1, {terms}), dtype=torch.bool)",
    )
