"""Random numbers that torch draws in place -> the same distributions, drawn so that `torch.func.vmap` can map them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch.overrides import TorchFunctionMode

from bayespde.model.traced import innermost


def _normal(mean: torch.Tensor, std: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    return mean + std * torch.randn(mean.shape, dtype=mean.dtype)


def _standard_normal(like: torch.Tensor) -> torch.Tensor:
    return torch.randn(like.shape, dtype=like.dtype)


def _exponential(like: torch.Tensor) -> torch.Tensor:
    return -torch.log1p(-torch.rand(like.shape, dtype=like.dtype))


def _cauchy(like: torch.Tensor) -> torch.Tensor:
    return torch.tan(torch.pi * (torch.rand(like.shape, dtype=like.dtype) - 0.5))


class MappedDraws(TorchFunctionMode):
    """Lets distributions draw inside `torch.func.vmap`, which refuses numbers that are drawn in place.

    The table holds what the distributions of torch call: `Normal` and all that is made of it, `Exponential`, `Cauchy`.
    Others draw out of place already, are in `DirichletDraws`, or are drawn in a loop.
    """

    table: dict[Any, Callable[..., torch.Tensor]] = {  # noqa: RUF012
        torch.normal: _normal,
        torch.Tensor.normal_: _standard_normal,
        torch.Tensor.exponential_: _exponential,
        torch.Tensor.cauchy_: _cauchy,
    }

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the replacement of a function, or the function itself."""
        return self.table.get(func, func)(*args, **(kwargs or {}))


class DirichletDraws(Messenger):
    """Draws Dirichlet and beta variables as normalised gamma ones, because torch cannot map its own function."""

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        inner = innermost(msg["fn"])
        if not isinstance(inner, torch.distributions.Dirichlet | torch.distributions.Beta):
            return
        if msg["value"] is not None or inner.batch_shape + inner.event_shape != torch.Size(msg["fn"].shape()):
            return
        if isinstance(inner, torch.distributions.Beta):
            pair = torch.stack(torch.broadcast_tensors(inner.concentration1, inner.concentration0), dim=-1)
            msg["value"] = _normalised_gamma(pair)[..., 0]
        else:
            msg["value"] = _normalised_gamma(inner.concentration)


def _normalised_gamma(concentration: torch.Tensor) -> torch.Tensor:
    # Via the logarithm of a draw for a larger shape: small ones would underflow to zero.
    boosted = torch.distributions.Gamma(concentration + 1, torch.ones_like(concentration)).sample().log()
    uniform = torch.rand(concentration.shape, dtype=concentration.dtype)
    return torch.softmax(boosted + uniform.log() / concentration, dim=-1)
