"""TRAINING DATA -> RANDOM BATCHES for networks side by side, gathered when they are needed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.program import Batch
from bayespde.smooth.network.training_data import TrainingData

# Held-out pixels at which the error is monitored.
MAX_MONITORED = 8192


class Pixels:
    """Observed pixels in single precision.

    Args:
        coordinates: `[n, d]`, in [-1, 1].
        values: `[n]`, standardised.
        device: Where they are kept, and batches drawn.
    """

    def __init__(self, coordinates: np.ndarray, values: np.ndarray, device: torch.device) -> None:
        self.coordinates, self.values = (
            torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=device)
            for array in (coordinates, values)
        )

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates `[*E, k, d]` and values `[*E, k]` of some of them."""
        return self.coordinates[rows], self.values[rows]


class Batches:
    """Random batches for every member: each pixel of its training set once, then all again in a new order.

    Args:
        data: The pixels, and those held out.
        config: Gives the size of a batch, the number of steps and of members, and the penalty.
        device: Where pixels are kept, and batches drawn.
        seed: Non-negative integer.

    Attributes:
        pixels: All observed pixels.
        monitored: Some of the held-out pixels, `[m]`, int64, at which the error is monitored.
    """

    def __init__(self, data: TrainingData, config: NetworkConfig, device: torch.device, seed: int) -> None:
        self.pixels, self.config, self._device = Pixels(data.coordinates, data.values, device), config, device
        *seeds, monitor_seed = spawn_seeds(seed, config.members + 1)
        self._generators = [torch_generator(s, str(device)) for s in seeds]
        masks = data.trained, data.held_out.scored
        self._trained, hidden = (torch.as_tensor(np.flatnonzero(m), device=device) for m in masks)
        self._size = min(config.batch, len(self._trained))
        # Of a long video no more pixels are permuted than will be used.
        self._most = min(len(self._trained), self._size * config.steps)
        self._orders, self._taken = self._trained[None, :0], self._most
        self.monitored = hidden[self._order(len(hidden), torch_generator(monitor_seed, str(device)))[:MAX_MONITORED]]

    def draw(self) -> Batch:
        """Pixels `[E, n, d]`, their values, and collocation points."""
        if self._taken + self._size > self._most:
            orders = [self._order(len(self._trained), g)[: self._most] for g in self._generators]
            self._orders, self._taken = torch.stack([self._trained[order] for order in orders]), 0
        rows = self._orders[:, self._taken : self._taken + self._size]
        self._taken += self._size
        coordinates, values = self.pixels.take(rows)
        penalised = self.config.collocation if any(self.config.penalty.weights) else 0
        shape = (penalised, coordinates.shape[-1])
        drawn = [torch.rand(shape, generator=g, device=self._device) for g in self._generators]
        return Batch(coordinates, values, 2 * torch.stack(drawn) - 1)

    def _order(self, size: int, generator: torch.Generator) -> Tensor:
        return torch.randperm(size, generator=generator, device=self._device)
