"""COORDINATES -> VALUES, DERIVATIVES: a fully connected network, differentiated in one pass by Taylor series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bayespde.core.annotations import Count, Positive
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError
from bayespde.smooth.network.jets import MultiIndex, index_factors, jet_table
from bayespde.smooth.network.taylor import taylor_derivatives

Activation = Literal["tanh", "sine"]


@dataclass(frozen=True)
class Architecture(Checked):
    """What a fully connected network is built from.

    Attributes:
        activation: `"tanh"` or `"sine"`.
        width: Units per hidden layer.
        depth: Hidden layers.
        input_scale: Factor on the coordinates, dimensionless; one for all axes, or one per axis, time first.

    Raises:
        ConfigError: If the activation is unknown or a size is not positive.
    """

    activation: Activation = "tanh"
    width: Count = 20
    depth: Count = 6
    input_scale: Positive | tuple[Positive, ...] = 1.0

    def scales(self, dimensions: int) -> tuple[float, ...]:
        """The input scale of every axis.

        Raises:
            ConfigError: If there is not one scale, or one per axis.
        """
        given = self.input_scale
        scales = tuple(map(float, given)) if isinstance(given, tuple) else (float(given),) * dimensions
        if len(scales) != dimensions:
            raise ConfigError(
                "The input scales do not fit the coordinates.",
                got=scales,
                wanted=f"one number, or {dimensions}, time first",
                fix="input_scale=2.0",
            )
        return scales


class Layer(NamedTuple):
    """Views of a network's parameters.

    Attributes:
        weight: `[*members, out, in]`.
        bias: `[*members, out]`.
    """

    weight: Tensor
    bias: Tensor


class NeuralField(nn.Module):
    """A fully connected network from coordinates to one value, or several members of one architecture side by side.

    With `tanh` the weights start at Xavier's scale; with `sine` at the scale that keeps the distribution of the
    activations from layer to layer [sitzmann2020], `input_scale` being the frequency of the first layer. The
    parameters are `first`, `hidden` and `last`, each a matrix per layer whose last column is the bias.

    Args:
        dimensions: Number of coordinates.
        architecture: Activation, size, and scale of the coordinates.
        members: Networks side by side; every shape below then begins with this number.
        generator: Source of the initial weights.
        dtype: `torch.float32` for training, `torch.float64` for checks.

    Raises:
        ConfigError: If the input scales do not fit the coordinates.
    """

    def __init__(
        self,
        dimensions: int,
        architecture: Architecture | None = None,
        *,
        members: int | None = None,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        shape = architecture or Architecture()
        self.activation: Activation = shape.activation
        self.input_scale = shape.scales(dimensions)
        lead, width = () if members is None else (members,), shape.width
        self.first = nn.Parameter(torch.empty(*lead, width, dimensions + 1, dtype=dtype))
        self.hidden = nn.Parameter(torch.empty(*lead, shape.depth - 1, width, width + 1, dtype=dtype))
        self.last = nn.Parameter(torch.empty(*lead, 1, width + 1, dtype=dtype))
        with torch.no_grad():
            for position, layer in enumerate(self.layers):
                _initialise(layer, shape.activation, first=position == 0, generator=generator)

    @property
    def layers(self) -> list[Layer]:
        """The linear layers, first to last."""
        matrices = [self.first, *self.hidden.unbind(-3), self.last]
        return [Layer(m[..., :-1], m[..., -1]) for m in matrices]

    def forward(self, points: Tensor, multi_indices: Sequence[MultiIndex] | None = None) -> Tensor:
        """Evaluate the field, or its derivatives, all in one pass.

        Args:
            points: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.

        Returns:
            `[n]` values, or `[n, M]` derivatives in the units of `points`; differentiable in the weights.

        Raises:
            ConfigError: If a multi-index has not one non-negative order per axis.
        """
        hidden = points * points.new_tensor(self.input_scale)
        if multi_indices is not None:
            indices = list(multi_indices)
            table = jet_table(indices, points.shape[-1])
            found = taylor_derivatives(self.layers, hidden, table, activation=self.activation)
            return found * found.new_tensor(index_factors(indices, self.input_scale))
        function = torch.tanh if self.activation == "tanh" else torch.sin
        *layers, last = self.layers
        for layer in layers:
            hidden = function(hidden @ layer.weight.mT + layer.bias.unsqueeze(-2))
        return (hidden @ last.weight.mT + last.bias.unsqueeze(-2)).squeeze(-1)


def _initialise(layer: Layer, activation: Activation, *, first: bool, generator: torch.Generator) -> None:
    outputs, inputs = layer.weight.shape[-2:]
    if activation == "tanh":
        layer.weight.normal_(0, math.sqrt(2 / (inputs + outputs)), generator=generator)
        layer.bias.zero_()
        return
    bound = 1.0 / inputs if first else math.sqrt(6.0 / inputs)
    phase = math.pi if first else 1.0 / math.sqrt(inputs)
    layer.weight.uniform_(-bound, bound, generator=generator)
    layer.bias.uniform_(-phase, phase, generator=generator)
