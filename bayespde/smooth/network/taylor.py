"""LAYERS + POINTS -> DERIVATIVES of any order in one pass: truncated Taylor series [griewank2008], by torch.

A linear layer maps every coefficient of the series; an activation is a recurrence over products of coefficients. Only
the coefficients that the wanted derivatives need are carried. For training, a layer keeps its input coefficients and
recomputes the rest in the backward pass, so that memory grows as for plain values times the number of coefficients.
On a CPU, `objective_numba` and `evaluate_numba` compute the same compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bayespde.smooth.network.jets import JetTable


def taylor_derivatives(
    layers: Sequence[tuple[Tensor, Tensor]], points: Tensor, table: JetTable, *, activation: str
) -> Tensor:
    """Evaluate partial derivatives of a fully connected network with one output, or of several side by side.

    Args:
        layers: Weights `[out, in]` and biases `[out]` of its linear layers, at least two, with one more dimension in
            front for networks side by side; the activation stands between them.
        points: Input of the first layer, `[n, d]`, or `[members, n, d]`.
        table: The derivatives.
        activation: `"tanh"` or `"sine"`.

    Returns:
        `[n, wanted]`, or `[members, n, wanted]`, in the units of `points`; differentiable in the weights any number of
        times.
    """
    if points.dim() == 2:
        alone = [(weight[None], bias[None]) for weight, bias in layers]
        return taylor_derivatives(alone, points[None], table, activation=activation)[0]
    first, *rest = layers
    series = _first_layer(first, points, table)
    for weight, bias in rest:
        series = _Layer.apply(series, weight, bias, table, activation)  # type: ignore[no-untyped-call]
    found = series[:, list(table.wanted), :, 0].transpose(1, 2)
    return found * found.new_tensor(table.factorials)


def _first_layer(layer: tuple[Tensor, Tensor], points: Tensor, table: JetTable) -> Tensor:
    """Coefficients of a linear function: its value and its slopes, `[E, M, n, width]`."""
    weight, bias = layer
    base = points @ weight.mT + bias[:, None]
    zero = torch.zeros_like(base)
    parts = [base, *[zero] * (len(table) - 1)]
    for axis, position in enumerate(table.first):
        if position > 0:
            parts[position] = weight[:, None, :, axis].expand_as(base)
    return torch.stack(parts, dim=1)


class _Layer(torch.autograd.Function):
    """Activation and the linear layer after it, on Taylor coefficients `[E, M, n, width]`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, bias: Tensor, table: JetTable, activation: str) -> Tensor:
        """Compose and map."""
        ctx.save_for_backward(z, weight, bias)
        ctx.table, ctx.activation = table, activation
        found = _mapped(activated(z, table, activation), weight.mT)
        found[:, 0] += bias[:, None]
        return found

    @staticmethod
    def backward(ctx: Any, sensitivity: Tensor) -> tuple[Tensor | None, ...]:
        """Compose again, and differentiate that; with a graph where the gradient is to be differentiated again."""
        z, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():
            y = activated(z, ctx.table, ctx.activation)
            shift = nn.functional.pad(bias[:, None, None], (0, 0, 0, 0, 0, len(ctx.table) - 1))
            wanted = [t for t, needed in zip((z, weight, bias), ctx.needs_input_grad, strict=False) if needed]
            found = _mapped(y, weight.mT) + shift
            gradients = iter(torch.autograd.grad(found, wanted, sensitivity, create_graph=True))
            return tuple(next(gradients) if needed else None for needed in ctx.needs_input_grad)
        with torch.enable_grad():
            given = z.detach().requires_grad_(True)
            y = activated(given, ctx.table, ctx.activation)
        (z_bar,) = torch.autograd.grad(y, given, _mapped(sensitivity, weight))
        of_weight = sensitivity.flatten(1, 2).mT @ y.detach().flatten(1, 2)
        return z_bar, of_weight, sensitivity[:, 0].sum(dim=1), None, None


def _mapped(series: Tensor, matrix: Tensor) -> Tensor:
    """Series `[E, M, n, in]` times one matrix `[in, out]` per member."""
    return (series.flatten(1, 2) @ matrix).view(*series.shape[:-1], matrix.shape[-1])


def activated(z: Tensor, table: JetTable, activation: str) -> Tensor:
    """Taylor coefficients of the activation from those of its argument, both `[E, M, ...]`.

    The recurrences of `jet_kernels`. For tanh: y' = s z' with s = 1 - y^2. For sin: y' = s z' and s' = -y z'.
    """
    is_tanh, z_of = activation == "tanh", z.unbind(1)
    y = [torch.tanh(z_of[0]) if is_tanh else torch.sin(z_of[0])]
    s = [1 - y[0].square() if is_tanh else torch.cos(z_of[0])]
    zero = torch.zeros_like(z_of[0])
    for a in range(1, len(table)):
        products = range(table.start[a], table.start[a + 1])
        triples = [(int(table.left[p]), int(table.right[p]), float(table.share[p])) for p in products]
        y.append(sum((w * z_of[b] * s[c] for b, c, w in triples if w), zero))
        if not table.is_slope[a]:
            s.append(zero)  # a placeholder that no product reads
        elif is_tanh:
            s.append(-sum((y[b] * y[c] for b, c, _ in triples), zero))
        else:
            s.append(-sum((w * z_of[b] * y[c] for b, c, w in triples if w), zero))
    return torch.stack(y, dim=1)
