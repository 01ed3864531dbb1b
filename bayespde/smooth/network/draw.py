"""LINEARISED NETWORKS + SEED -> ONE DRAW: the change of their mean by one draw of the noise, at any points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bayespde.core.random import checked_seed
from bayespde.smooth.network.ensemble import EnsemblePosterior
from bayespde.smooth.network.evaluate_numba import network_derivatives
from bayespde.smooth.network.jets import MultiIndex
from bayespde.smooth.network.network import NeuralField

# Of the weights, relative to their size: central differences in double precision are good to its square.
STEP = 1e-4


class NetworkDraw:
    """The change of the mean of linearised networks by one draw of the noise, as in `EnsemblePosterior.draws`.

    The gradients of a whole grid would take too long: the change is the slope of the networks along a change of their
    weights, by a central difference.

    Args:
        posterior: Of the networks.
        seed: Non-negative integer.
    """

    def __init__(self, posterior: EnsemblePosterior, seed: int) -> None:
        noise = np.random.default_rng(checked_seed(seed)).standard_normal((len(posterior.parts[0].rows), 1))
        self._sides: list[tuple[float, NeuralField, NeuralField]] = []
        for part, along in zip(posterior.parts, posterior.response_along(noise), strict=True):
            weights = torch.nn.utils.parameters_to_vector(part.fit.network(0).parameters()).detach()
            change = torch.from_numpy(part.eigenvectors @ along[:, 0])
            step = STEP * float(weights.norm() / change.norm())
            before, after = (_with_weights(part.fit.network(0), weights + s * change) for s in (-step, step))
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
