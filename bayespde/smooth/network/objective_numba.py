"""Networks -> gradients in their parameters, written out by hand: of the objective of training, and of derivatives.

Small networks spend more time on the bookkeeping of automatic differentiation than on arithmetic; here there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from bayespde.noise.families import misfit_and_slope, student_scale
from bayespde.smooth.network.jets import JetTable, MultiIndex, index_factors, jet_table
from bayespde.smooth.network.mlp_kernels import backward, forward, jacobian
from bayespde.smooth.network.network import NeuralField
from bayespde.smooth.network.penalty import ROUNDING, Penalty
from bayespde.smooth.network.program import Batch, DensityConfig

Arrays = tuple[np.ndarray, ...]
HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2
# Points whose coefficients stay in the cache together.
BLOCK = 128
_NAMES = ("first", "hidden", "last")


class CompiledObjective:
    """Minus the log density per pixel of networks side by side, and its gradient.

    The same as `program.log_density` to the rounding of single precision.

    Args:
        network: Members side by side; gives the architecture.
        density: Everything else in the objective.
    """

    def __init__(self, network: NeuralField, density: DensityConfig) -> None:
        penalty, dimensions, members = density.penalty, len(network.input_scale), len(network.first)
        self._density = density
        self._weights = penalty.weights * (members if len(penalty.weights) == 1 else 1)
        self._values = [Passes(network, jet_table([(0,) * dimensions], dimensions)) for _ in range(members)]
        self._normaliser = _log_normaliser(density.noise_scale, density.freedom)
        if any(self._weights):
            indices = penalty.indices(dimensions)
            table = jet_table(indices, dimensions)
            self._derivatives = [Passes(network, table) for _ in range(members)]
            units = np.array(table.factorials) * index_factors(indices, network.input_scale)
            self._factors = (units / density.penalty_scales)[:, None]
            self._index_weights = np.array(penalty.index_weights(dimensions))[:, None]

    def __call__(
        self, parameters: Mapping[str, Tensor], batch: Batch, *, each: Callable[..., Iterable[float]] = map
    ) -> tuple[Tensor, list[Tensor]]:
        """The objective `[E]`, and its gradients in the order of the parameters.

        Args:
            parameters: Weights by name, members first.
            batch: As for `program.log_density`.
            each: A function like `map`, which may work on several members at once.
        """
        matrices = [parameters[name].detach() for name in _NAMES]
        gradients = [torch.empty_like(m) for m in matrices]

        def one(member: int) -> float:
            given, found = (tuple(m[member].numpy() for m in group) for group in (matrices, gradients))
            loss = self._misfit(member, given, batch, found)
            weight = self._weights[member]
            return loss + weight * self._penalty(member, given, batch, found) if weight else loss

        losses = torch.tensor(list(each(one, range(len(self._weights)))), dtype=torch.float64)
        return self._with_prior(matrices, gradients, losses)

    def _with_prior(
        self, matrices: list[Tensor], gradients: list[Tensor], losses: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        density = self._density
        precision = 1 / (2 * density.noise_scale**2)
        shrinkage = 1 / (2 * density.prior_scale**2 * density.pixels)
        squares = sum(torch.linalg.vecdot(m.flatten(1), m.flatten(1)) for m in matrices).double()
        count = sum(m[0].numel() for m in matrices)
        constant = density.pixels * self._normaliser + count * (math.log(density.prior_scale) + HALF_LOG_TWO_PI)
        for gradient, matrix in zip(gradients, matrices, strict=True):
            gradient.mul_(precision).add_(matrix, alpha=2 * shrinkage)
        return precision * losses + shrinkage * squares + constant / density.pixels, gradients

    def _misfit(self, member: int, parameters: Arrays, batch: Batch, gradients: Arrays) -> float:
        """Mean misfit, which is the squared residual for normal noise; writes its gradient."""
        run, values, density = self._values[member], batch.values[member].numpy(), self._density
        residual = run.forward(parameters, batch.coordinates[member].numpy())[0, 0] - values
        misfit, slope = misfit_and_slope(residual, density.noise_scale, density.freedom)
        run.sensitivity[0, 0] = slope / np.float32(len(values))
        run.backward(parameters, gradients)
        return float(np.mean(misfit))

    def _penalty(self, member: int, parameters: Arrays, batch: Batch, gradients: Arrays) -> float:
        """Size of the derivatives; adds its weighted gradient."""
        run, points = self._derivatives[member], batch.collocation[member].numpy()
        wanted = list(run.table.wanted)
        scaled = self._factors * run.forward(parameters, points)[0, wanted]
        size, slope = _size_and_slope(scaled, self._index_weights, self._density.penalty)
        run.sensitivity[:] = 0
        run.sensitivity[0, wanted] = self._weights[member] / len(points) * self._factors * slope
        for gradient, more in zip(gradients, run.backward(parameters), strict=True):
            gradient += more
        return float(size.sum() / len(points))


def _log_normaliser(scale: float, freedom: float) -> float:
    """Minus the log density at the mean of one pixel."""
    if math.isinf(freedom):
        return math.log(scale) + HALF_LOG_TWO_PI
    own = math.log(student_scale(scale, freedom)) + math.log(freedom * math.pi) / 2
    return own + math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)


def _size_and_slope(scaled: np.ndarray, weights: np.ndarray, penalty: Penalty) -> tuple[np.ndarray, np.ndarray]:
    """What `penalty_value` averages over the points, of scaled derivatives `[M, n]`, and its slope in each of them."""
    if penalty.kind == "l2":
        return weights * scaled**2, 2 * weights * scaled
    if penalty.isotropic:
        root = np.sqrt(np.sum((weights * scaled) ** 2, axis=0) + ROUNDING**2)
        return root - ROUNDING, weights**2 * scaled / root
    root = np.sqrt(scaled * scaled + ROUNDING**2)
    return weights * (root - ROUNDING), weights * scaled / root


class Passes:
    """Passes of Taylor series through one network and back, with room that is used again at every step.

    Args:
        network: Gives the architecture; may hold members side by side.
        table: The coefficients that are carried.
    """

    def __init__(self, network: NeuralField, table: JetTable) -> None:
        self.table, self._network, self._points = table, network, 0
        self._is_tanh, self._scale = network.activation == "tanh", np.array(network.input_scale, dtype=np.float32)

    @property
    def room(self) -> list[np.ndarray]:
        """All that is kept from one step to the next."""
        return [self._given, *self._kept, *self._work, self._found, self.sensitivity]

    def make_room(self, points: int) -> None:
        """Prepare for this number of points."""
        self._given, self._kept, self._work = _room(self._network, self.table, points, np.float32)
        self._found, self.sensitivity = (np.zeros((1, len(self.table), points), dtype=np.float32) for _ in range(2))
        self._points = points

    def forward(self, parameters: Arrays, points: np.ndarray) -> np.ndarray:
        """Coefficients of the output at points `[n, d]` in [-1, 1]: `[1, M, n]`."""
        if len(points) != self._points:
            self.make_room(len(points))
        self._given[:-1, 0] = points.T * self._scale[:, None]
        forward(parameters, self._given, self._is_tanh, False, self.table.single, self._kept, self._found)
        return self._found

    def backward(self, parameters: Arrays, gradients: Arrays | None = None) -> Arrays:
        """The gradient that belongs to `sensitivity`, in these arrays or in new ones."""
        found = tuple(np.empty_like(p) for p in parameters) if gradients is None else gradients
        given = self._given, self._is_tanh, self.table.single, self._kept, self.sensitivity, self._work
        backward(parameters, *given, found)
        return found


def network_derivatives(network: NeuralField, points: np.ndarray, multi_indices: Sequence[MultiIndex]) -> np.ndarray:
    """Derivatives of one network, in double precision, as `NeuralField.forward` on as many threads as torch has.

    Args:
        network: One network, not members side by side; of any precision.
        points: `[n, d]`, in [-1, 1].
        multi_indices: Orders per axis of each derivative.

    Returns:
        `[n, M]`, float64.
    """
    table, parameters, units = _in_double(network, multi_indices)
    found, wanted, scale = np.empty((len(points), len(units))), list(table.wanted), np.array(network.input_scale)
    is_tanh, threads = network.activation == "tanh", torch.get_num_threads()

    def part(turn: int) -> None:
        given, kept, _ = _room(network, table, BLOCK, np.float64)
        output = np.zeros((1, len(table), BLOCK))
        for start in range(turn * BLOCK, len(points), threads * BLOCK):
            block = points[start : start + BLOCK]
            given[:-1, 0, : len(block)] = (block * scale).T
            forward(parameters, given, is_tanh, True, table.double, kept, output)
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
    first, kept, work = _room(network, table, 1, np.float64)
    given = np.repeat(first[None], len(points), axis=0)
    given[:, :-1, 0, 0] = points * np.array(network.input_scale)
    gradients = tuple(np.empty_like(p) for p in parameters)
    found = np.empty((len(points), len(table.wanted), sum(p.size for p in parameters)))
    wanted = np.array(table.wanted)
    jacobian(parameters, given, network.activation == "tanh", table.double, kept, wanted, work, gradients, found)
    return found * units[:, None]


def _in_double(network: NeuralField, multi_indices: Sequence[MultiIndex]) -> tuple[JetTable, Arrays, np.ndarray]:
    """What is carried, the parameters, and what turns coefficients into the derivatives `[M]`."""
    table = jet_table(multi_indices, len(network.input_scale))
    parameters = tuple(getattr(network, name).detach().double().numpy() for name in _NAMES)
    return table, parameters, np.array(table.factorials) * index_factors(multi_indices, network.input_scale)


def _room(network: NeuralField, table: JetTable, points: int, dtype: type) -> tuple[np.ndarray, Arrays, Arrays]:
    """Coefficients of the input, values still to be filled in, and what the kernels call `kept` and `work`."""
    width, depth = network.first.shape[-2], network.hidden.shape[-3] + 1

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((*shape, len(table), points), dtype=dtype)

    given, after = zeros(len(table.first) + 1), zeros(depth, width + 1)
    given[-1, 0], after[:, -1, 0] = 1, 1
    for axis, position in enumerate(table.first):
        if position > 0:
            given[axis, position] = 1
    return given, (zeros(depth, width), after, zeros(depth, width)), (zeros(width), zeros(width + 1), zeros())
