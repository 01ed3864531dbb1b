"""The posterior of a smooth field -> one field of it, of which derivatives can be taken wherever they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from bayespde.core.random import checked_seed
from bayespde.smooth.network.ensemble import EnsemblePosterior
from bayespde.smooth.network.jets import MultiIndex
from bayespde.smooth.network.network import NeuralField
from bayespde.smooth.network.objective_numba import network_derivatives

# Of the weights, relative to their size: differences of networks in double precision are good to its square.
STEP = 1e-4


@dataclass(frozen=True, eq=False)
class FieldDraw:
    """One field of the posterior of a smooth field; all its derivatives belong together.

    Attributes:
        field: The raw field.
        evaluate_all: Several derivatives on its grid, by orders per dimension: `[len(orders), *field shape]`.
    """

    field: xr.DataArray
    evaluate_all: Callable[[Sequence[tuple[int, ...]]], np.ndarray]

    def evaluate(self, orders: tuple[int, ...]) -> np.ndarray:
        """One derivative on the grid of the data: field shape, float64, physical units."""
        return self.evaluate_all([orders])[0]


class NetworkDraw:
    """What one draw of the noise does to the mean of linearised networks, the same as in `EnsemblePosterior.draws`.

    The gradients of a whole grid would take too long: the change is the slope of the networks along a change of their
    weights, from networks a little to both sides.

    Args:
        posterior: Of the networks.
        seed: Non-negative integer.
    """

    def __init__(self, posterior: EnsemblePosterior, seed: int) -> None:
        noise = np.random.default_rng(checked_seed(seed)).standard_normal((len(posterior.parts[0].rows), 1))
        self._sides: list[tuple[float, NeuralField, NeuralField]] = []
        for part, along in zip(posterior.parts, posterior.response_along(noise), strict=True):
            network = part.fit.network(part.member)
            weights = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
            change = torch.zeros_like(weights)
            change[torch.from_numpy(part.columns)] = torch.from_numpy(part.eigenvectors @ along[:, 0])
            step = STEP * float(weights.norm() / change.norm())
            before, after = (_with_weights(part.fit.network(part.member), weights + s * change) for s in (-step, step))
            self._sides.append((step, before, after))

    def __call__(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex]) -> np.ndarray:
        """The change at points `[n, d]` in [-1, 1]: `[n, M]`, float64, standardised units per unit coordinates."""
        total = np.zeros((len(coordinates), len(multi_indices)))
        for step, before, after in self._sides:
            ahead, behind = (network_derivatives(side, coordinates, multi_indices) for side in (after, before))
            total += (ahead - behind) / (2 * step)
        return total


def _with_weights(network: NeuralField, weights: torch.Tensor) -> NeuralField:
    torch.nn.utils.vector_to_parameters(weights, network.parameters())
    return network
