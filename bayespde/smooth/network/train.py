"""Observed pixels -> a trained neural field, with its held-out residuals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm import tqdm

from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.noise.families import PixelNoise, evenly
from bayespde.smooth.network.batches import Batches, Pixels
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.fitted import CHUNK, NetworkFit, TrainingHistory, build
from bayespde.smooth.network.hold_out import check_mask, check_pixels, held_out_mask
from bayespde.smooth.network.network import NeuralField
from bayespde.smooth.network.objective_numba import CompiledObjective
from bayespde.smooth.network.objective_torch import AutomaticObjective, checked_device
from bayespde.smooth.network.program import DensityConfig
from bayespde.smooth.network.soap import Soap

MOST_MEASURED = 1_000_000


def train(
    coordinates: np.ndarray,
    values: np.ndarray,
    *,
    config: NetworkConfig,
    noise: PixelNoise,
    penalty_scales: Sequence[float] = (),
    held_out: np.ndarray | None = None,
    around: np.ndarray | None = None,
    device: str = "cpu",
    seed: int = 0,
    progress: bool = False,
) -> NetworkFit:
    """Fit neural fields to pixels by maximising the log density of `neural_field_program`, members side by side.

    Steps are taken by SOAP [vyas2024soap] on random batches of pixels and fresh uniform collocation points. Members
    start from weights of their own and see batches of their own; none of them changes if others are added.

    Args:
        coordinates: Observed pixels, `[n, d]`, time first, in [-1, 1].
        values: `[n]`, finite, mean 0 and standard deviation 1.
        config: Architecture, penalty and training.
        noise: Of the pixels, in units of `values`, from a pilot fit.
        penalty_scales: Typical size of every penalised derivative in unit coordinates; needed if the weight is not 0.
        held_out: `[n]`, bool; drawn from the seed if absent.
        around: `[n]`, bool: pixels that are neither trained on nor held out, as they share noise with both.
        device: Where networks and pixels are during training. On a CPU gradients are compiled, elsewhere automatic; the
            same seed gives the same result on the same kind of device.
        seed: Non-negative integer; the result is the same for the same seed.
        progress: Show a bar.

    Returns:
        The fit.

    Raises:
        FieldError: If the arrays do not fit together or hold values that are not finite.
        ConfigError: If the noise, the penalty's scales, the seed or the device are not usable.
    """
    place = checked_device(device)
    mask_seed, weight_seed, batch_seed = spawn_seeds(seed, 3)
    check_pixels(coordinates, values)
    mask = held_out_mask(coordinates, config=config, seed=mask_seed) if held_out is None else held_out
    check_mask(mask, values)
    trained = ~mask if around is None else ~(mask | around)
    density = DensityConfig(
        pixels=int(trained.sum()),
        noise_scale=noise.scale,
        freedom=noise.freedom,
        prior_scale=config.prior_scale,
        penalty=config.penalty,
        penalty_scales=tuple(map(float, penalty_scales)),
    )
    pixels = Pixels(coordinates, values, place)
    network = _side_by_side(coordinates.shape[1], config, weight_seed).to(place)
    batches = Batches(pixels, trained, mask, config, batch_seed)
    history = _optimise(network, batches, noise, density, progress)
    hidden, seen = np.flatnonzero(mask), evenly(np.flatnonzero(trained), MOST_MEASURED)
    whitened = noise.whitened(_residuals(network, pixels, seen))
    return NetworkFit(
        parameters={name: value.detach().cpu().clone() for name, value in network.named_parameters()},
        config=config,
        dimensions=coordinates.shape[1],
        noise=noise,
        history=history,
        held_out=np.array(mask),
        residuals=_residuals(network, pixels, hidden),
        training_rmse=np.sqrt(np.mean(whitened**2, axis=1)),
    )


class _Best:
    """The weights with the lowest held-out error so far, member by member."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = {name: value.detach().clone() for name, value in parameters.items()}
        members = len(next(iter(parameters.values())))
        self.error, self.step = np.full(members, np.inf), np.zeros(members, dtype=int)

    def look(self, parameters: Mapping[str, Tensor], error: np.ndarray, step: int) -> None:
        better = error < self.error
        self.error[better], self.step[better] = error[better], step
        for name, value in parameters.items():
            self.parameters[name][better] = value.detach()[better]


def _optimise(
    network: NeuralField, batches: Batches, noise: PixelNoise, density: DensityConfig, progress: bool
) -> TrainingHistory:
    config, pixels, looked_at = batches.config, batches.pixels, batches.looked_at.cpu().numpy()
    parameters, objective = dict(network.named_parameters()), _objective(network, density)
    optimiser, best = Soap(list(parameters.values())), _Best(parameters)
    records: list[tuple[int, np.ndarray, np.ndarray]] = []
    total = torch.zeros(config.members, dtype=torch.float64)
    # The matrices are too small to be shared between threads; members are not.
    workers = min(config.members, torch.get_num_threads())
    with threadpool_limits(limits=1), ThreadPoolExecutor(workers) as pool:
        for step in tqdm(range(1, config.steps + 1), desc="neural field", leave=False, disable=not progress):
            values, gradients = objective(parameters, batches.draw(), each=pool.map)
            optimiser.step(gradients, config.learning_rate * (1 + math.cos(math.pi * (step - 1) / config.steps)) / 2)
            total += values
            if step % config.check_every and step != config.steps:
                continue
            error = np.sqrt(np.mean(noise.misfit(_residuals(network, pixels, looked_at)), axis=1))
            records.append((step, total.numpy() / (step - (records[-1][0] if records else 0)), error))
            total = torch.zeros_like(total)
            best.look(parameters, error, step)
            if (step - best.step >= config.patience).all() or not np.isfinite(error).any():
                break
    network.load_state_dict(best.parameters)
    return TrainingHistory(*map(np.array, zip(*records, strict=True)))


def _objective(network: NeuralField, density: DensityConfig) -> CompiledObjective | AutomaticObjective:
    on_cpu = network.first.device.type == "cpu"
    return CompiledObjective(network, density) if on_cpu else AutomaticObjective(network, density)


def _side_by_side(dimensions: int, config: NetworkConfig, seed: int) -> NeuralField:
    """Members side by side, each with the weights that it would have alone."""
    alone = [build(dimensions, config, torch_generator(s)).state_dict() for s in spawn_seeds(seed, config.members)]
    network = build(dimensions, config, torch_generator(0), config.members)
    network.load_state_dict({name: torch.stack([a[name] for a in alone]) for name in alone[0]})
    return network


def _residuals(network: NeuralField, pixels: Pixels, rows: np.ndarray) -> np.ndarray:
    """Observed minus fitted at some of the pixels, `[E, k]`, float64."""
    parts, members = [], len(network.first)
    with torch.no_grad():
        for some in torch.from_numpy(rows).to(pixels.values.device).split(CHUNK):
            coordinates, values = pixels.take(some)
            parts.append(values - network(coordinates.expand(members, -1, -1)))
    return torch.cat(parts, dim=1).cpu().numpy().astype(np.float64)
