"""Coordinates -> the values of a neural field and its partial derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bayespde.core.errors import ConfigError
from bayespde.smooth.network.jets import MultiIndex, checked_index, index_factors, jet_table
from bayespde.smooth.network.taylor import taylor_derivatives

Activation = Literal["tanh", "sine"]


class Layer(NamedTuple):
    """Views of a network's parameters.

    Attributes:
        weight: `[*members, out, in]`.
        bias: `[*members, out]`.
    """

    weight: Tensor
    bias: Tensor


class NeuralField(nn.Module):
    """A fully connected network from coordinates to one value, or several members of one shape side by side.

    With `tanh` the weights start at Xavier's scale; with `sine` at the scale that keeps the distribution of the
    activations from layer to layer [sitzmann2020], `input_scale` being the frequency of the first layer. The
    parameters are `first`, `hidden` and `last`, each a matrix per layer whose last column is the bias.

    Args:
        dimensions: Number of coordinates.
        activation: `"tanh"` or `"sine"`.
        width: Units per hidden layer.
        depth: Hidden layers.
        input_scale: Factor on the coordinates, dimensionless; one for all axes, or one per axis.
        members: Networks side by side; every shape below then begins with this number.
        generator: Source of the first weights.
        dtype: `torch.float32` for training, `torch.float64` for checks.

    Raises:
        ConfigError: If the activation is unknown or a size is not positive.
    """

    def __init__(
        self,
        dimensions: int,
        *,
        activation: Activation = "tanh",
        width: int = 20,
        depth: int = 6,
        input_scale: float | Sequence[float] = 1.0,
        members: int | None = None,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_architecture(activation, width, depth, input_scale)
        self.activation: Activation = activation
        self.input_scale = _per_axis(input_scale, dimensions)
        lead = () if members is None else (members,)
        self.first = nn.Parameter(torch.empty(*lead, width, dimensions + 1, dtype=dtype))
        self.hidden = nn.Parameter(torch.empty(*lead, depth - 1, width, width + 1, dtype=dtype))
        self.last = nn.Parameter(torch.empty(*lead, 1, width + 1, dtype=dtype))
        with torch.no_grad():
            for position, layer in enumerate(self.layers):
                _initialise(layer, activation, first=position == 0, generator=generator)

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


def _per_axis(scale: float | Sequence[float], dimensions: int) -> tuple[float, ...]:
    scales = tuple(map(float, scale)) if isinstance(scale, Sequence) else (float(scale),) * dimensions
    if len(scales) != dimensions:
        raise ConfigError(
            "The input scales do not fit the coordinates.",
            got=scales,
            wanted=f"one number, or {dimensions}, time first",
            fix="input_scale=2.0",
        )
    return scales


def check_architecture(activation: str, width: int, depth: int, input_scale: float | Sequence[float]) -> None:
    """Raise a `ConfigError` unless a network of this kind can be built."""
    if activation not in ("tanh", "sine"):
        raise ConfigError(
            "The activation is unknown.",
            got=repr(activation),
            wanted="'tanh' or 'sine'",
            fix="activation='tanh'",
        )
    scales = input_scale if isinstance(input_scale, Sequence) else (input_scale,)
    if width < 1 or depth < 1 or not all(0 < scale < math.inf for scale in scales):
        raise ConfigError(
            "The size of the network is not usable.",
            got=f"width {width}, depth {depth}, input_scale {input_scale}",
            wanted="width and depth of at least 1, a positive and finite input_scale",
            fix="width=20, depth=6, input_scale=2.0",
        )


def derivatives(
    network: Callable[[Tensor], Tensor],
    points: Tensor,
    multi_indices: Sequence[MultiIndex],
    *,
    create_graph: bool = True,
) -> Tensor:
    """Compute partial derivatives of any order by nested reverse differentiation.

    One backward pass gives all derivatives one order above; every lower order is computed once.

    Args:
        network: A `NeuralField`, or any function from `[n, d]` to `[n]` that treats points independently.
        points: `[n, d]`.
        multi_indices: Orders per axis; all zeros is the value.
        create_graph: Keep the graph, so that the result can be differentiated in the weights.

    Returns:
        `[n, M]`, in the units of `points`.

    Raises:
        ConfigError: If a multi-index has not one non-negative order per axis.
    """
    wanted = [checked_index(index, points.shape[1]) for index in multi_indices]
    parents = _parents(wanted)
    with torch.enable_grad():
        inputs = points if points.requires_grad else points.detach().clone().requires_grad_(True)
        known = {(0,) * points.shape[1]: network(inputs)}
        for position, parent in enumerate(parents):
            last = position == len(parents) - 1
            gradient = _gradient(known[parent], inputs, create_graph=create_graph or not last)
            for axis in range(points.shape[1]):
                known.setdefault(_raised(parent, axis, 1), gradient[:, axis])
    result = torch.stack([known[index] for index in wanted], dim=1)
    return result if create_graph else result.detach()


def _gradient(values: Tensor, points: Tensor, *, create_graph: bool) -> Tensor:
    # A derivative that has become constant carries no graph, and its own derivatives vanish.
    if not values.requires_grad:
        return torch.zeros_like(points)
    return torch.autograd.grad(
        values.sum(), points, create_graph=create_graph, retain_graph=True, materialize_grads=True
    )[0]


def _raised(index: MultiIndex, axis: int, by: int) -> MultiIndex:
    return tuple(order + by * (position == axis) for position, order in enumerate(index))


def _parents(wanted: Sequence[MultiIndex]) -> list[MultiIndex]:
    """The fewest indices, found greedily from above, whose gradients contain all wanted ones; lowest order first."""
    parents: set[MultiIndex] = set()
    for order in range(max(map(sum, wanted), default=0), 0, -1):
        level = {index for index in {*wanted, *parents} if sum(index) == order}
        while level:
            candidates = sorted({_raised(i, axis, -1) for i in level for axis in range(len(i)) if i[axis]})
            best = max(candidates, key=lambda c: (len(level & _children(c)), c in wanted or c in parents))
            parents.add(best)
            level -= _children(best)
    return sorted(parents, key=lambda index: (sum(index), index))


def _children(index: MultiIndex) -> set[MultiIndex]:
    return {_raised(index, axis, 1) for axis in range(len(index))}


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
