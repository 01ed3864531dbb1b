"""NETWORK + POINTS -> DERIVATIVES, AND THEIR GRADIENTS IN THE WEIGHTS: compiled, in double precision, for a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from bayespde.smooth.network.jets import JetTable, MultiIndex, index_factors, jet_table
from bayespde.smooth.network.mlp_kernels import Parameters, Rule, Workspace, forward, jacobian
from bayespde.smooth.network.network import NeuralField

# Points whose coefficients stay in the cache together.
BLOCK = 128
PARAMETERS = ("first", "hidden", "last")


def network_derivatives(network: NeuralField, points: np.ndarray, multi_indices: Sequence[MultiIndex]) -> np.ndarray:
    """Derivatives of one network, as `NeuralField.forward`, in double precision and on all threads of torch.

    Args:
        network: One network, not members side by side; of any precision.
        points: `[n, d]`, in [-1, 1].
        multi_indices: Orders per axis of each derivative.

    Returns:
        `[n, M]`, float64.
    """
    table, parameters, units = _in_double(network, multi_indices)
    found, wanted, scale = np.empty((len(points), len(units))), list(table.wanted), np.array(network.input_scale)
    rule, threads = _exact(network, table), torch.get_num_threads()

    def part(turn: int) -> None:
        given, room = workspace(network, table, BLOCK, np.float64)
        output = np.zeros((1, len(table), BLOCK))
        for start in range(turn * BLOCK, len(points), threads * BLOCK):
            block = points[start : start + BLOCK]
            given[:-1, 0, : len(block)] = (block * scale).T
            forward(parameters, given, rule, room, output)
            found[start : start + BLOCK] = (output[0, wanted, : len(block)]).T * units

    with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, range(threads)))
    return found


def parameter_gradients(network: NeuralField, points: np.ndarray, multi_indices: Sequence[MultiIndex]) -> np.ndarray:
    """Gradients of derivatives of one network in its parameters, in double precision.

    Args:
        network: One network, not members side by side; of any precision.
        points: `[n, d]`, in [-1, 1].
        multi_indices: Orders per axis of each derivative.

    Returns:
        `[n, M, p]`, float64, for the parameters `first`, `hidden` and `last`, one after the other.
    """
    table, parameters, units = _in_double(network, multi_indices)
    first, room = workspace(network, table, 1, np.float64)
    given = np.repeat(first[None], len(points), axis=0)
    given[:, :-1, 0, 0] = points * np.array(network.input_scale)
    found = np.empty((len(points), len(table.wanted), sum(p.size for p in parameters)))
    jacobian(parameters, given, _exact(network, table), room, np.array(table.wanted), found)
    return found * units[:, None]


def workspace(network: NeuralField, table: JetTable, points: int, dtype: type) -> tuple[np.ndarray, Workspace]:
    """Coefficients of the input, whose values are still to be filled in, and the arrays that the kernels write."""
    width, depth = network.first.shape[-2], network.hidden.shape[-3] + 1

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((*shape, len(table), points), dtype=dtype)

    given, after = zeros(len(table.first) + 1), zeros(depth, width + 1)
    given[-1, 0], after[:, -1, 0] = 1, 1
    for axis, position in enumerate(table.first):
        if position > 0:
            given[axis, position] = 1
    kept = zeros(depth, width), after, zeros(depth, width)
    return given, Workspace(*kept, zeros(width), zeros(width + 1), zeros())


def _exact(network: NeuralField, table: JetTable) -> Rule:
    return Rule(network.activation == "tanh", True, table.double)


def _in_double(network: NeuralField, multi_indices: Sequence[MultiIndex]) -> tuple[JetTable, Parameters, np.ndarray]:
    """The coefficients to carry, the parameters, and the factors from coefficients to derivatives, `[M]`."""
    table = jet_table(multi_indices, len(network.input_scale))
    first, hidden, last = (getattr(network, name).detach().double().numpy() for name in PARAMETERS)
    units = np.array(table.factorials) * index_factors(multi_indices, network.input_scale)
    return table, (first, hidden, last), units
