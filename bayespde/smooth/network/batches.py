"""Observed pixels -> random batches for networks side by side, gathered as they are needed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.program import Batch

LOOK = 8192


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
    """Random batches for every member: each pixel that it sees once, then all again in a new order.

    Args:
        pixels: All observed pixels.
        seen: Which of them members see, `[n]`, bool.
        held_out: Which tell how well they do, `[n]`, bool.
        config: Gives the size of a batch, the number of steps and of members, and the penalty.
        seed: Non-negative integer.

    Attributes:
        looked_at: Some of the pixels held out, `[m]`, int64: a look at the error does not need all of them.
    """

    def __init__(
        self, pixels: Pixels, seen: np.ndarray, held_out: np.ndarray, config: NetworkConfig, seed: int
    ) -> None:
        self.pixels, self.config = pixels, config
        *seeds, look_seed = spawn_seeds(seed, config.members + 1)
        self._device = device = pixels.values.device
        self._generators = [torch_generator(s, str(device)) for s in seeds]
        self._seen, hidden = (torch.as_tensor(np.flatnonzero(m), device=device) for m in (seen, held_out))
        self._size = min(config.batch, len(self._seen))
        # Of a long video no more is put in order than will be looked at.
        self._most = min(len(self._seen), self._size * config.steps)
        self._orders, self._taken = self._seen[None, :0], self._most
        self.looked_at = hidden[self._order(len(hidden), torch_generator(look_seed, str(device)))[:LOOK]]

    def draw(self) -> Batch:
        """Pixels `[E, n, d]`, their values, and collocation points."""
        if self._taken + self._size > self._most:
            orders = [self._order(len(self._seen), g)[: self._most] for g in self._generators]
            self._orders, self._taken = torch.stack([self._seen[order] for order in orders]), 0
        rows = self._orders[:, self._taken : self._taken + self._size]
        self._taken += self._size
        coordinates, values = self.pixels.take(rows)
        penalised = self.config.collocation if any(self.config.penalty.weights) else 0
        shape = (penalised, coordinates.shape[-1])
        drawn = [torch.rand(shape, generator=g, device=self._device) for g in self._generators]
        return Batch(coordinates, values, 2 * torch.stack(drawn) - 1)

    def _order(self, size: int, generator: torch.Generator) -> Tensor:
        return torch.randperm(size, generator=generator, device=self._device)
