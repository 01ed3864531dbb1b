"""PARAMETERS + INPUT COEFFICIENTS -> OUTPUT COEFFICIENTS, GRADIENTS: passes through a whole network, for a CPU.

An array of coefficients is `[units, M, n]`: the coefficients of a unit at all points are contiguous, and a linear layer
is one matrix product. One more unit that is always 1 carries the biases. Plain values are the case M = 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smooth.network.activation import activate
from bayespde.smooth.network.jet_kernels import adjoint, series
from bayespde.smooth.network.jets import Tables

Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]


class Rule(NamedTuple):
    """How an activation maps Taylor coefficients.

    Attributes:
        is_tanh: Whether it is tanh; else sin.
        is_exact: Whether it is computed exactly, in any precision, or fast, in single precision.
        tables: The recurrences, in the precision of the parameters.
    """

    is_tanh: bool
    is_exact: bool
    tables: Tables


class Workspace(NamedTuple):
    """Arrays that the kernels write.

    Attributes:
        before: Coefficients before the activations, `[depth, width, M, n]`.
        after: After them, `[depth, width + 1, M, n]`, with the last unit already 1.
        slopes: Of the slopes, `[depth, width, M, n]`.
        of_z: Sensitivities before an activation, `[width, M, n]`.
        of_y: After it, `[width + 1, M, n]`.
        of_slope: Of a slope, `[M, n]`.
    """

    before: np.ndarray
    after: np.ndarray
    slopes: np.ndarray
    of_z: np.ndarray
    of_y: np.ndarray
    of_slope: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def _mapped(matrix: np.ndarray, given: np.ndarray, found: np.ndarray) -> None:
    np.dot(matrix, given.reshape(given.shape[0], -1), found.reshape(found.shape[0], -1))


@njit(cache=True, nogil=True, error_model="numpy")
def _moment(sensitivity: np.ndarray, given: np.ndarray, found: np.ndarray) -> None:
    np.dot(sensitivity.reshape(sensitivity.shape[0], -1), given.reshape(given.shape[0], -1).T, found)


@njit(cache=True, nogil=True, error_model="numpy")
def forward(parameters: Parameters, given: np.ndarray, rule: Rule, room: Workspace, found: np.ndarray) -> None:
    """Coefficients of the network's output.

    Args:
        parameters: First layer `[width, d + 1]`, hidden ones `[layers, width, width + 1]`, last `[1, width + 1]`.
        given: Coefficients of the input, with the unit that is 1, `[d + 1, M, n]`.
        rule: The activation.
        room: `before`, `after` and `slopes` are written, and kept for `backward`.
        found: Of the output, `[1, M, n]`; written.
    """
    first, hidden, last = parameters
    before, after, slopes = room.before, room.after, room.slopes
    for layer in range(len(before)):
        z, y, s = before[layer], after[layer], slopes[layer]
        if layer == 0:
            _mapped(first, given, z)
        else:
            _mapped(hidden[layer - 1], after[layer - 1], z)
        for unit in range(len(z)):
            activate(z[unit, 0], rule.is_tanh, rule.is_exact, y[unit, 0], s[unit, 0])
            series(z[unit], rule.is_tanh, rule.tables, y[unit], s[unit])
    _mapped(last, after[-1], found)


@njit(cache=True, nogil=True, error_model="numpy")
def backward(
    parameters: Parameters,
    given: np.ndarray,
    rule: Rule,
    room: Workspace,
    sensitivity: np.ndarray,
    gradients: Parameters,
) -> None:
    """Gradient in the parameters, from the sensitivity of the output's coefficients.

    Args:
        parameters: As for `forward`.
        given: As there.
        rule: As there.
        room: As `forward` left it.
        sensitivity: `[1, M, n]`.
        gradients: In the shapes of the parameters; written.
    """
    _, hidden, last = parameters
    before, after, slopes = room.before, room.after, room.slopes
    of_z, of_y, of_slope = room.of_z, room.of_y, room.of_slope
    _moment(sensitivity, after[-1], gradients[2])
    _mapped(last.T, sensitivity, of_y)
    for layer in range(len(before) - 1, -1, -1):
        for unit in range(len(of_z)):
            bars = of_z[unit], of_y[unit], of_slope
            adjoint(before[layer, unit], after[layer, unit], slopes[layer, unit], rule.is_tanh, rule.tables, bars)
        if layer == 0:
            _moment(of_z, given, gradients[0])
        else:
            _moment(of_z, after[layer - 1], gradients[1][layer - 1])
            _mapped(hidden[layer - 1].T, of_z, of_y)


@njit(cache=True, nogil=True, error_model="numpy")
def jacobian(
    parameters: Parameters, given: np.ndarray, rule: Rule, room: Workspace, wanted: np.ndarray, found: np.ndarray
) -> None:
    """Gradients in the parameters of coefficients of the output, point by point.

    Args:
        parameters: As for `forward`.
        given: Of all points, `[n, d + 1, M, 1]`.
        rule: As for `forward`.
        room: For one point.
        wanted: Positions of the coefficients, `[W]`, int64.
        found: `[n, W, p]`, the parameters one after the other; written.
    """
    output = np.empty((1, given.shape[2], 1), dtype=found.dtype)
    sensitivity = np.zeros_like(output)
    gradients = np.empty_like(parameters[0]), np.empty_like(parameters[1]), np.empty_like(parameters[2])
    for point in range(len(given)):
        forward(parameters, given[point], rule, room, output)
        for column, position in enumerate(wanted):
            sensitivity[:] = 0
            sensitivity[0, position, 0] = 1
            backward(parameters, given[point], rule, room, sensitivity, gradients)
            first, last = gradients[0].size, found.shape[2] - gradients[2].size
            found[point, column, :first] = gradients[0].ravel()
            found[point, column, first:last] = gradients[1].ravel()
            found[point, column, last:] = gradients[2].ravel()
