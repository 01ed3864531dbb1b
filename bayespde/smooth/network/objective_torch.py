"""NETWORKS + BATCH -> OBJECTIVE, GRADIENT: the log density of training by automatic differentiation, on any device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from bayespde.core.errors import ConfigError
from bayespde.smooth.network.network import NeuralField
from bayespde.smooth.network.program import Batch, DensityConfig, log_density


class AutomaticObjective:
    """Minus the log density per pixel of networks side by side, and its gradient: `CompiledObjective` for a GPU.

    Args:
        network: Members side by side; gives the architecture and the device.
        density: Everything else in the objective.
    """

    def __init__(self, network: NeuralField, density: DensityConfig) -> None:
        self._network, self._density = network, density

    def __call__(
        self, parameters: Mapping[str, Tensor], batch: Batch, *, each: Callable[..., Iterable[float]] = map
    ) -> tuple[Tensor, list[Tensor]]:
        """The objective `[E]`, and its gradients in the order of the parameters; all members at once."""
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        losses = -log_density(self._network, leaves, batch, self._density) / self._density.pixels
        gradients = torch.autograd.grad(losses.sum(), list(leaves.values()))
        return losses.detach().double().cpu(), list(gradients)


def checked_device(name: str) -> torch.device:
    """The device of this name.

    Raises:
        ConfigError: If there is none; there is no silent fallback to another device.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "The device cannot be used.",
            got=f"{name!r}: {str(error).splitlines()[0]}",
            wanted="'cpu', or a device that torch finds, such as 'cuda'",
            fix="device='cpu'",
        ) from error
    return device
