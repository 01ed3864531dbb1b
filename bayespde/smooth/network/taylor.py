"""A network's layers + points -> its derivatives of any order in one pass: truncated Taylor series [griewank2008].

A linear layer maps every coefficient of the series; an activation is a recurrence over products of coefficients. Only
the coefficients that the wanted derivatives need are carried. For training, a layer keeps the coefficients that came
into it and computes the rest once more on the way back, so that memory grows as for plain values times the number of
coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bayespde.smooth.network.activation import value_and_slope
from bayespde.smooth.network.jet_kernels import compose, pull_back
from bayespde.smooth.network.jets import JetTable

# Columns (points times width) whose coefficients stay in the cache together.
BLOCK = 384


def taylor_derivatives(
    layers: Sequence[tuple[Tensor, Tensor]], points: Tensor, table: JetTable, *, activation: str
) -> Tensor:
    """Evaluate partial derivatives of a fully connected network with one output, or of several side by side.

    Args:
        layers: Weights `[out, in]` and biases `[out]` of its linear layers, at least two, with one more dimension in
            front for networks side by side; the activation stands between them.
        points: What the first one is given, `[n, d]`, or `[members, n, d]`.
        table: The derivatives.
        activation: `"tanh"` or `"sine"`.

    Returns:
        `[n, wanted]`, or `[members, n, wanted]`, in the units of `points`; differentiable in the weights, fastest the
        first time.
    """
    if points.dim() == 2:
        alone = [(weight[None], bias[None]) for weight, bias in layers]
        return taylor_derivatives(alone, points[None], table, activation=activation)[0]
    first, *rest = layers
    count, size = points.shape[1], max(1, BLOCK // first[0].shape[1])
    padded = nn.functional.pad(points, (0, 0, 0, -count % size)).unflatten(1, (-1, size))
    series = _first_layer(first, padded, table)
    for weight, bias in rest:
        series = _Layer.apply(series, weight, bias, table, activation)
    found = series[:, :, list(table.wanted), :, 0].transpose(2, 3).flatten(1, 2)[:, :count]
    return found * found.new_tensor(table.factorials)


def _first_layer(layer: tuple[Tensor, Tensor], points: Tensor, table: JetTable) -> Tensor:
    """Coefficients of a linear function: its value and its slopes, `[E, C, M, B, width]`."""
    weight, bias = layer
    base = points @ weight.mT[:, None] + bias[:, None, None]
    zero = torch.zeros_like(base)
    parts = [base, *[zero] * (len(table) - 1)]
    for axis, position in enumerate(table.first):
        if position > 0:
            parts[position] = weight[:, None, None, :, axis].expand_as(base)
    return torch.stack(parts, dim=2)


class _Layer(torch.autograd.Function):
    """Activation and the linear layer after it, on Taylor coefficients `[E, C, M, B, width]`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, bias: Tensor, table: JetTable, activation: str) -> Tensor:
        """Compose and map."""
        ctx.save_for_backward(z, weight, bias)
        ctx.table, ctx.activation = table, activation
        y = activated(z.flatten(0, 1), table, activation).unflatten(0, z.shape[:2])
        found = _mapped(y, weight.mT)
        found[:, :, 0] += bias[:, None, None]
        return found

    @staticmethod
    def backward(ctx: Any, sensitivity: Tensor) -> tuple[Tensor | None, ...]:
        """Compose once more, and pull back; in plain operations where the gradient is to be differentiated again."""
        z, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():
            y = _plain(z.flatten(0, 1), ctx.table, ctx.activation).unflatten(0, z.shape[:2])
            shift = nn.functional.pad(bias[:, None, None, None], (0, 0, 0, 0, 0, len(ctx.table) - 1))
            wanted = [t for t, needed in zip((z, weight, bias), ctx.needs_input_grad, strict=False) if needed]
            found = _mapped(y, weight.mT) + shift
            gradients = iter(torch.autograd.grad(found, wanted, sensitivity, create_graph=True))
            return tuple(next(gradients) if needed else None for needed in ctx.needs_input_grad)
        pulled = _mapped(sensitivity, weight).flatten(0, 1)
        y, z_bar = _pulled_back(z.flatten(0, 1), pulled, ctx.table, ctx.activation)
        of_weight = sensitivity.flatten(1, 3).mT @ y.view(len(z), -1, z.shape[-1])
        return z_bar.view_as(z), of_weight, sensitivity[:, :, 0].sum(dim=(1, 2)), None, None


def _mapped(series: Tensor, matrix: Tensor) -> Tensor:
    """Series `[E, C, M, B, in]` times one matrix `[in, out]` per member."""
    return (series.flatten(1, 3) @ matrix).view(*series.shape[:-1], matrix.shape[-1])


def _has_kernels(z: Tensor) -> bool:
    return z.device.type == "cpu" and z.dtype in (torch.float32, torch.float64)


def activated(z: Tensor, table: JetTable, activation: str) -> Tensor:
    """Taylor coefficients of the activation from those of its argument, both `[C, M, ...]`."""
    if not _has_kernels(z):
        return _plain(z, table, activation)
    given = _arguments(z, table, activation)
    found = torch.empty_like(z, memory_format=torch.contiguous_format)
    compose(*given, _blocks(found))
    return found


def _pulled_back(z: Tensor, sensitivity: Tensor, table: JetTable, activation: str) -> tuple[Tensor, Tensor]:
    """The coefficients once more, and the sensitivities of z from theirs, which are used up."""
    if not _has_kernels(z):
        with torch.enable_grad():
            given = z.detach().requires_grad_(True)
            found = _plain(given, table, activation)
        return found.detach(), torch.autograd.grad(found, given, sensitivity)[0]
    arguments = _arguments(z, table, activation)
    found, pulled = (torch.empty_like(z, memory_format=torch.contiguous_format) for _ in range(2))
    pull_back(*arguments, _blocks(sensitivity.contiguous()), _blocks(found), _blocks(pulled))
    return found, pulled


def _arguments(
    z: Tensor, table: JetTable, activation: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool, tuple[np.ndarray, ...]]:
    """What the kernels are given."""
    z, is_tanh = z.detach().contiguous(), activation == "tanh"
    value, slope = value_and_slope(z[:, 0], activation)
    tables = table.single if z.dtype == torch.float32 else table.double
    return _blocks(z), value.flatten(1).numpy(), slope.flatten(1).numpy(), is_tanh, tables


def _blocks(series: Tensor) -> np.ndarray:
    """A contiguous tensor `[C, M, ...]` as an array `[C, M, B]` on the same memory."""
    return np.asarray(series.detach().flatten(2).numpy())


def _plain(z: Tensor, table: JetTable, activation: str) -> Tensor:
    return torch.stack(series_of(z.unbind(1), table, activation), dim=1)


def series_of(z: Sequence[Tensor], table: JetTable, activation: str) -> list[Tensor]:
    """The recurrences of `jet_kernels` in plain operations, for any device; differentiable any number of times.

    tanh: y' = s z' with s = 1 - y^2. sin: y' = s z' and s' = -y z' with s = cos.
    """
    is_tanh = activation == "tanh"
    y = [torch.tanh(z[0]) if is_tanh else torch.sin(z[0])]
    s = [1 - y[0].square() if is_tanh else torch.cos(z[0])]
    for a in range(1, len(table)):
        products = range(table.start[a], table.start[a + 1])
        triples = [(int(table.left[p]), int(table.right[p]), float(table.share[p])) for p in products]
        y.append(sum((w * z[b] * s[c] for b, c, w in triples if w), torch.zeros_like(z[0])))
        if not table.is_slope[a]:
            s.append(y[0])  # never looked at
        elif is_tanh:
            s.append(-sum((y[b] * y[c] for b, c, _ in triples), torch.zeros_like(z[0])))
        else:
            s.append(-sum((w * z[b] * y[c] for b, c, w in triples if w), torch.zeros_like(z[0])))
    return y
