"""Taylor coefficients through a whole network and back: compiled, for a CPU.

An array of coefficients is `[units, M, n]`: a unit's coefficients at all points lie together, and a linear layer is one
product of matrices. One more unit that is always 1 carries the biases. Plain values are the case M = 1.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bayespde.smooth.network.activation import activate
from bayespde.smooth.network.jet_kernels import adjoint, series

Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@njit(cache=True, nogil=True, error_model="numpy")
def _mapped(matrix: np.ndarray, given: np.ndarray, found: np.ndarray) -> None:
    np.dot(matrix, given.reshape(given.shape[0], -1), found.reshape(found.shape[0], -1))


@njit(cache=True, nogil=True, error_model="numpy")
def _moment(sensitivity: np.ndarray, given: np.ndarray, found: np.ndarray) -> None:
    np.dot(sensitivity.reshape(sensitivity.shape[0], -1), given.reshape(given.shape[0], -1).T, found)


@njit(cache=True, nogil=True, error_model="numpy")
def forward(
    parameters: tuple[np.ndarray, np.ndarray, np.ndarray],
    given: np.ndarray,
    is_tanh: bool,
    is_exact: bool,
    tables: Tables,
    kept: tuple[np.ndarray, np.ndarray, np.ndarray],
    found: np.ndarray,
) -> None:
    """Coefficients of the network's output.

    Args:
        parameters: First layer `[width, d + 1]`, hidden ones `[layers, width, width + 1]`, last `[1, width + 1]`.
        given: Coefficients of the input, with the unit that is 1, `[d + 1, M, n]`.
        is_tanh: Which activation.
        is_exact: Whether it is computed exactly, in any precision, or fast, in single precision.
        tables: `start`, `left`, `right`, `share`, `is_slope` of a `JetTable`, in the precision of the parameters.
        kept: Before the activations `[depth, width, M, n]`, after them `[depth, width + 1, M, n]` with the last unit
            already 1, and their slopes `[depth, width, M, n]`; written.
        found: Of the output, `[1, M, n]`; written.
    """
    first, hidden, last = parameters
    before, after, slopes = kept
    for layer in range(len(before)):
        z, y, s = before[layer], after[layer], slopes[layer]
        if layer == 0:
            _mapped(first, given, z)
        else:
            _mapped(hidden[layer - 1], after[layer - 1], z)
        for unit in range(len(z)):
            activate(z[unit, 0], is_tanh, is_exact, y[unit, 0], s[unit, 0])
            series(z[unit], is_tanh, tables, y[unit], s[unit])
    _mapped(last, after[-1], found)


@njit(cache=True, nogil=True, error_model="numpy")
def backward(
    parameters: tuple[np.ndarray, np.ndarray, np.ndarray],
    given: np.ndarray,
    is_tanh: bool,
    tables: Tables,
    kept: tuple[np.ndarray, np.ndarray, np.ndarray],
    sensitivity: np.ndarray,
    work: tuple[np.ndarray, np.ndarray, np.ndarray],
    gradients: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Gradient in the parameters, from the sensitivity of the output's coefficients.

    Args:
        parameters: As for `forward`.
        given: As there.
        is_tanh: As there.
        tables: As there.
        kept: As `forward` left them.
        sensitivity: `[1, M, n]`.
        work: Room for sensitivities: `[width, M, n]`, `[width + 1, M, n]`, `[M, n]`.
        gradients: In the shapes of the parameters; written.
    """
    _, hidden, last = parameters
    before, after, slopes = kept
    of_z, of_y, of_slope = work
    _moment(sensitivity, after[-1], gradients[2])
    _mapped(last.T, sensitivity, of_y)
    for layer in range(len(before) - 1, -1, -1):
        for unit in range(len(of_z)):
            bars = of_z[unit], of_y[unit], of_slope
            adjoint(before[layer, unit], after[layer, unit], slopes[layer, unit], is_tanh, tables, bars)
        if layer == 0:
            _moment(of_z, given, gradients[0])
        else:
            _moment(of_z, after[layer - 1], gradients[1][layer - 1])
            _mapped(hidden[layer - 1].T, of_z, of_y)


@njit(cache=True, nogil=True, error_model="numpy")
def jacobian(
    parameters: tuple[np.ndarray, np.ndarray, np.ndarray],
    given: np.ndarray,
    is_tanh: bool,
    tables: Tables,
    kept: tuple[np.ndarray, np.ndarray, np.ndarray],
    wanted: np.ndarray,
    work: tuple[np.ndarray, np.ndarray, np.ndarray],
    gradients: tuple[np.ndarray, np.ndarray, np.ndarray],
    found: np.ndarray,
) -> None:
    """Gradients in the parameters of coefficients of the output, point by point, exactly.

    Args:
        parameters: As for `forward`.
        given: Of all points, `[n, d + 1, M, 1]`.
        is_tanh: As for `forward`.
        tables: As there.
        kept: Room as there, for one point.
        wanted: Positions of the coefficients, `[W]`, int64.
        work: Room as for `backward`, for one point.
        gradients: Room in the shapes of the parameters.
        found: `[n, W, p]`, the parameters one after the other; written.
    """
    output = np.empty((1, given.shape[2], 1), dtype=found.dtype)
    sensitivity = np.zeros_like(output)
    for point in range(len(given)):
        forward(parameters, given[point], is_tanh, True, tables, kept, output)
        for column, position in enumerate(wanted):
            sensitivity[:] = 0
            sensitivity[0, position, 0] = 1
            backward(parameters, given[point], is_tanh, tables, kept, sensitivity, work, gradients)
            first, last = gradients[0].size, found.shape[2] - gradients[2].size
            found[point, column, :first] = gradients[0].ravel()
            found[point, column, first:last] = gradients[1].ravel()
            found[point, column, last:] = gradients[2].ravel()
