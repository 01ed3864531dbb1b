"""Observed pixels -> a trained neural field, with its held-out residuals."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from pytorch_optimizer import SOAP
from torch import Tensor
from tqdm import tqdm

from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smooth.hold_out import check_mask, check_pixels, held_out_mask
from bayespde.smooth.jets import MultiIndex
from bayespde.smooth.network import NeuralField
from bayespde.smooth.network_config import NetworkConfig
from bayespde.smooth.program import Batch, DensityConfig, log_density

CHUNK = 8192


class TrainingHistory(NamedTuple):
    """What happened at every look at the held-out error.

    Attributes:
        step: Steps done, `[L]`, int.
        objective: Minus the log density per pixel, mean over the steps since the last look, `[L]`.
        held_out_rmse: `[L]`.
    """

    step: np.ndarray
    objective: np.ndarray
    held_out_rmse: np.ndarray


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """A trained neural field: the weights with the lowest held-out error.

    Attributes:
        parameters: Weights by name, float32.
        config: Settings.
        dimensions: Number of coordinates.
        noise_scale: Noise that training assumed, standardised units.
        history: Objective and held-out error along the way.
        held_out: Which of the given pixels were held out, `[n]`, bool.
        held_out_residuals: Observed minus fitted at those pixels, in their order, float64.
        held_out_rmse: Root mean square of these.
        training_rmse: Root mean square over the other pixels.
    """

    parameters: Mapping[str, Tensor]
    config: NetworkConfig
    dimensions: int
    noise_scale: float
    history: TrainingHistory
    held_out: np.ndarray
    held_out_residuals: np.ndarray
    held_out_rmse: float
    training_rmse: float

    def network(self, dtype: torch.dtype = torch.float64) -> NeuralField:
        """Rebuild the trained network, in double precision unless said."""
        network = _build(self.dimensions, self.config, 0).to(dtype)
        network.load_state_dict({name: value.to(dtype) for name, value in self.parameters.items()})
        return network

    def evaluate(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None) -> np.ndarray:
        """Evaluate the field and its derivatives.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.

        Returns:
            `[n, M]`, float64, standardised units per unit coordinates.

        Raises:
            ConfigError: If a multi-index does not fit the coordinates.
        """
        indices = [(0,) * self.dimensions] if multi_indices is None else list(multi_indices)
        network = self.network().requires_grad_(False)
        points = torch.as_tensor(np.asarray(coordinates, dtype=np.float64))
        parts = [network(part, indices) for part in points.split(CHUNK)]
        return torch.cat(parts).numpy()


def candidate_configs(dimensions: int) -> tuple[NetworkConfig, ...]:
    """The configurations that an automatic choice tries, the front-following one first.

    Args:
        dimensions: Number of coordinates, time included.

    Returns:
        A tanh network, which follows moving fronts best, and a sine network, which follows fine structure.
    """
    front = NetworkConfig() if dimensions == 2 else NetworkConfig(width=32, depth=4, batch=4096, learning_rate=6e-3)
    wave = NetworkConfig(activation="sine", width=48, depth=4, input_scale=12.0, learning_rate=1e-2)
    return (front, wave if dimensions == 2 else replace(wave, input_scale=6.0, batch=4096))


def train(
    coordinates: np.ndarray,
    values: np.ndarray,
    *,
    config: NetworkConfig,
    noise_scale: float,
    penalty_scales: Sequence[float] = (),
    held_out: np.ndarray | None = None,
    seed: int = 0,
    progress: bool = False,
) -> NetworkFit:
    """Fit a neural field to pixels by maximising the log density of `neural_field_program`.

    Steps are taken by SOAP [vyas2024soap] on random batches of pixels and fresh uniform collocation points; the
    weights with the lowest held-out error are kept.

    Args:
        coordinates: Observed pixels, `[n, d]`, time first, in [-1, 1].
        values: `[n]`, finite, mean 0 and standard deviation 1.
        config: Architecture, penalty and training.
        noise_scale: Standard deviation of the noise in units of `values`, from a pilot fit.
        penalty_scales: Typical size of every penalised derivative in unit coordinates; needed if the weight is not 0.
        held_out: `[n]`, bool; drawn from the seed if absent.
        seed: Non-negative integer; the result is the same for the same seed.
        progress: Show a bar.

    Returns:
        The fit.

    Raises:
        FieldError: If the arrays do not fit together or hold values that are not finite.
        ConfigError: If the noise, the penalty's scales or the seed are not usable.
    """
    mask_seed, weight_seed, batch_seed = spawn_seeds(seed, 3)
    check_pixels(coordinates, values)
    mask = held_out_mask(coordinates, config=config, seed=mask_seed) if held_out is None else held_out
    check_mask(mask, values)
    density = DensityConfig(
        pixels=int((~mask).sum()),
        noise_scale=noise_scale,
        prior_scale=config.prior_scale,
        penalty=config.penalty,
        penalty_scales=tuple(map(float, penalty_scales)),
    )
    seen = Batch(_tensor(coordinates[~mask]), _tensor(values[~mask]), torch.empty(0, coordinates.shape[1]))
    unseen = seen._replace(coordinates=_tensor(coordinates[mask]), values=_tensor(values[mask]))
    network = _build(coordinates.shape[1], config, weight_seed)
    history = _optimise(network, (seen, unseen), density, config, torch_generator(batch_seed), progress)
    residuals = _residuals(network, unseen)
    return NetworkFit(
        parameters={name: value.detach().clone() for name, value in network.named_parameters()},
        config=config,
        dimensions=coordinates.shape[1],
        noise_scale=float(noise_scale),
        history=history,
        held_out=np.array(mask),
        held_out_residuals=residuals,
        held_out_rmse=_rms(residuals),
        training_rmse=_rms(_residuals(network, seen)),
    )


def _optimise(
    network: NeuralField,
    pixels: tuple[Batch, Batch],
    density: DensityConfig,
    config: NetworkConfig,
    generator: torch.Generator,
    progress: bool,
) -> TrainingHistory:
    seen, unseen = pixels
    parameters = dict(network.named_parameters())
    # The prior already shrinks the weights.
    optimiser = SOAP(parameters.values(), lr=config.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    records: list[tuple[int, float, float]] = []
    best, best_step, total, kept = math.inf, 0, 0.0, copy.deepcopy(network.state_dict())
    for step in tqdm(range(1, config.steps + 1), desc="neural field", disable=not progress):
        optimiser.zero_grad()
        batch = _draw(seen, config, generator)
        objective = -log_density(network, parameters, batch, density) / density.pixels
        objective.backward()
        optimiser.step()
        schedule.step()
        total += float(objective.detach())
        if step % config.check_every and step != config.steps:
            continue
        error = _rms(_residuals(network, unseen))
        records.append((step, total / (step - (records[-1][0] if records else 0)), error))
        total = 0.0
        if error < best:
            best, best_step, kept = error, step, copy.deepcopy(network.state_dict())
        elif step - best_step >= config.patience or not math.isfinite(error):
            break
    network.load_state_dict(kept)
    return TrainingHistory(*map(np.array, zip(*records, strict=True)))


def _draw(seen: Batch, config: NetworkConfig, generator: torch.Generator) -> Batch:
    if config.penalty.weight:
        shape = (config.collocation, seen.coordinates.shape[1])
        seen = seen._replace(collocation=2 * torch.rand(shape, generator=generator) - 1)
    if config.batch >= len(seen.values):
        return seen
    rows = torch.randint(len(seen.values), (config.batch,), generator=generator)
    return seen._replace(coordinates=seen.coordinates[rows], values=seen.values[rows])


def _build(dimensions: int, config: NetworkConfig, seed: int) -> NeuralField:
    return NeuralField(
        dimensions,
        activation=config.activation,
        width=config.width,
        depth=config.depth,
        input_scale=config.input_scale,
        generator=torch_generator(seed),
    )


def _residuals(network: NeuralField, pixels: Batch) -> np.ndarray:
    with torch.no_grad():
        fitted = torch.cat([network(part) for part in pixels.coordinates.split(CHUNK)])
    return (pixels.values - fitted).numpy().astype(np.float64)


def _rms(residuals: np.ndarray) -> float:
    return float(np.sqrt(np.mean(residuals**2)))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32))
