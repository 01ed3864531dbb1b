"""TRAINED WEIGHTS -> VALUES, DERIVATIVES of neural fields of one architecture, and their training history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bayespde.core.random import torch_generator
from bayespde.noise.pixel_noise import PixelNoise
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.evaluate_numba import network_derivatives
from bayespde.smooth.network.jets import MultiIndex
from bayespde.smooth.network.network import NeuralField


class TrainingHistory(NamedTuple):
    """Objective and error at every evaluation of the held-out error.

    Attributes:
        step: Steps done, `[L]`, int.
        objective: Minus the log density per pixel of every member, mean over the steps since the last one, `[L, E]`.
        held_out_rmse: `[L, E]`.
    """

    step: np.ndarray
    objective: np.ndarray
    held_out_rmse: np.ndarray


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """Trained neural fields of one architecture: of every member the weights with its lowest held-out error.

    Attributes:
        parameters: Weights by name, float32, members first.
        config: Settings.
        dimensions: Number of coordinates.
        noise: The noise of all given pixels that training assumed, standardised units.
        history: Objective and held-out error during training.
        held_out: Which of the given pixels were held out and scored, `[n]`, bool.
        residuals: Observed minus fitted at those pixels, in their order, `[E, held out]`, float64.
        training_rmse: Root mean square of the whitened residuals of the training pixels, `[E]`.
    """

    parameters: Mapping[str, Tensor]
    config: NetworkConfig
    dimensions: int
    noise: PixelNoise
    history: TrainingHistory
    held_out: np.ndarray
    residuals: np.ndarray
    training_rmse: np.ndarray

    @property
    def members(self) -> int:
        """Number of networks, E."""
        return len(self.residuals)

    @property
    def held_out_rmse(self) -> float:
        """Root mean misfit of the mean of the members at the held-out pixels; rmse where noise is normal."""
        return float(np.sqrt(np.mean(self.noise.misfit(self.residuals.mean(axis=0)))))

    @property
    def cut_short(self) -> bool:
        """Whether training ended before its last step, though the held-out error may have fallen further."""
        last = int(self.history.step[-1])
        waited = last - self._best_steps < self.config.patience
        return last < self.config.steps and bool((waited & np.isfinite(self.history.held_out_rmse[-1])).any())

    def subset(self, members: np.ndarray) -> NetworkFit:
        """A fit of some of the members only, by position."""
        weight = self.config.penalty.weight
        if isinstance(weight, tuple):
            penalty = replace(self.config.penalty, weight=tuple(weight[k] for k in members))
        else:
            penalty = self.config.penalty
        step, *series = self.history
        return replace(
            self,
            parameters={name: value[members] for name, value in self.parameters.items()},
            config=replace(self.config, members=len(members), penalty=penalty),
            history=TrainingHistory(step, *(values[:, members] for values in series)),
            residuals=self.residuals[members],
            training_rmse=self.training_rmse[members],
        )

    def describe(self) -> str:
        """Architecture, scales and weights in one line."""
        scale = self.config.architecture.input_scale
        scales = scale if isinstance(scale, tuple) else (scale,)
        penalty = self.config.penalty
        weights = ", ".join(f"{weight:g}" for weight in penalty.weights)
        return (
            f"{self.config.label}, {self.members} of them; input scale {', '.join(f'{s:.3g}' for s in scales)}; "
            f"weight {weights} on derivatives of order {penalty.order}; best after {self.best_steps} steps"
        )

    @property
    def best_steps(self) -> str:
        """Step at which the weights that are kept were reached, member by member."""
        return ", ".join(str(int(step)) for step in self._best_steps)

    @property
    def _best_steps(self) -> np.ndarray:
        errors = self.history.held_out_rmse
        return self.history.step[np.where(np.isfinite(errors), errors, np.inf).argmin(axis=0)]

    def network(self, member: int, dtype: torch.dtype = torch.float64) -> NeuralField:
        """Rebuild one of the trained networks, in double precision unless said."""
        network = NeuralField(self.dimensions, self.config.architecture, generator=torch_generator(0)).to(dtype)
        network.load_state_dict({name: value[member].to(dtype) for name, value in self.parameters.items()})
        return network

    def each(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None) -> np.ndarray:
        """Evaluate the members and their derivatives.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.

        Returns:
            `[E, n, M]`, float64, standardised units per unit coordinates.

        Raises:
            ConfigError: If a multi-index does not fit the coordinates.
        """
        indices = [(0,) * self.dimensions] if multi_indices is None else list(multi_indices)
        points = np.asarray(coordinates, dtype=np.float64)
        return np.stack([network_derivatives(self.network(k), points, indices) for k in range(self.members)])

    def evaluate(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None) -> np.ndarray:
        """As `each`, the mean of the members: `[n, M]`."""
        return self.each(coordinates, multi_indices).mean(axis=0)
