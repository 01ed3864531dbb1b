"""NETWORKS + BATCH -> OBJECTIVE, GRADIENT: the log density of training, differentiated by hand and compiled.

In small networks the overhead of automatic differentiation exceeds the arithmetic; here there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from bayespde.noise.pixel_noise import misfit_and_slope, student_scale
from bayespde.smooth.network.evaluate_numba import PARAMETERS, workspace
from bayespde.smooth.network.jets import JetTable, index_factors, jet_table
from bayespde.smooth.network.mlp_kernels import Parameters, Rule, backward, forward
from bayespde.smooth.network.network import NeuralField
from bayespde.smooth.network.penalty import ROUNDING, Penalty
from bayespde.smooth.network.program import Batch, DensityConfig

HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2


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
        matrices = [parameters[name].detach() for name in PARAMETERS]
        gradients = [torch.empty_like(m) for m in matrices]

        def one(member: int) -> float:
            given, found = (_of_member(group, member) for group in (matrices, gradients))
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

    def _misfit(self, member: int, parameters: Parameters, batch: Batch, gradients: Parameters) -> float:
        """Mean misfit, which is the squared residual for normal noise; writes its gradient."""
        run, values, density = self._values[member], batch.values[member].numpy(), self._density
        residual = run.forward(parameters, batch.coordinates[member].numpy())[0, 0] - values
        misfit, slope = misfit_and_slope(residual, density.noise_scale, density.freedom)
        run.sensitivity[0, 0] = slope / np.float32(len(values))
        run.backward(parameters, gradients)
        return float(np.mean(misfit))

    def _penalty(self, member: int, parameters: Parameters, batch: Batch, gradients: Parameters) -> float:
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


def _of_member(matrices: list[Tensor], member: int) -> Parameters:
    first, hidden, last = (m[member].numpy() for m in matrices)
    return first, hidden, last


def _log_normaliser(scale: float, freedom: float) -> float:
    """Minus the log density at the mean of one pixel."""
    if math.isinf(freedom):
        return math.log(scale) + HALF_LOG_TWO_PI
    own = math.log(student_scale(scale, freedom)) + math.log(freedom * math.pi) / 2
    return own + math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)


def _size_and_slope(scaled: np.ndarray, weights: np.ndarray, penalty: Penalty) -> tuple[np.ndarray, np.ndarray]:
    """The terms that `penalty_value` averages over points, of scaled derivatives `[M, n]`, and their slopes."""
    if penalty.kind == "l2":
        return weights * scaled**2, 2 * weights * scaled
    if penalty.isotropic:
        root = np.sqrt(np.sum((weights * scaled) ** 2, axis=0) + ROUNDING**2)
        return root - ROUNDING, weights**2 * scaled / root
    root = np.sqrt(scaled * scaled + ROUNDING**2)
    return weights * (root - ROUNDING), weights * scaled / root


class Passes:
    """Forward and backward passes of Taylor series through one network, in arrays that are reused at every step.

    Args:
        network: Gives the architecture; may hold members side by side.
        table: The coefficients that are carried.
    """

    def __init__(self, network: NeuralField, table: JetTable) -> None:
        self.table, self._network, self._points = table, network, 0
        self._rule = Rule(network.activation == "tanh", False, table.single)
        self._scale = np.array(network.input_scale, dtype=np.float32)

    @property
    def room(self) -> list[np.ndarray]:
        """All arrays that are kept from one step to the next."""
        return [self._given, *self._room, self._found, self.sensitivity]

    def make_room(self, points: int) -> None:
        """Allocate the arrays for this number of points."""
        self._given, self._room = workspace(self._network, self.table, points, np.float32)
        self._found, self.sensitivity = (np.zeros((1, len(self.table), points), dtype=np.float32) for _ in range(2))
        self._points = points

    def forward(self, parameters: Parameters, points: np.ndarray) -> np.ndarray:
        """Coefficients of the output at points `[n, d]` in [-1, 1]: `[1, M, n]`."""
        if len(points) != self._points:
            self.make_room(len(points))
        self._given[:-1, 0] = points.T * self._scale[:, None]
        forward(parameters, self._given, self._rule, self._room, self._found)
        return self._found

    def backward(self, parameters: Parameters, gradients: Parameters | None = None) -> Parameters:
        """The gradient that belongs to `sensitivity`, in these arrays or in new ones."""
        first, hidden, last = parameters
        found = gradients or (np.empty_like(first), np.empty_like(hidden), np.empty_like(last))
        backward(parameters, self._given, self._rule, self._room, self.sensitivity, found)
        return found
