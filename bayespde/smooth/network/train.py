"""TRAINING DATA -> NETWORK FIT: neural fields trained by SOAP, with their held-out residuals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from time import process_time

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.noise.families import thinned
from bayespde.noise.pixel_noise import PixelNoise
from bayespde.smooth.network.batches import Batches, Pixels
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.fitted import NetworkFit, TrainingHistory
from bayespde.smooth.network.network import NeuralField
from bayespde.smooth.network.objective_numba import CompiledObjective
from bayespde.smooth.network.objective_torch import AutomaticObjective, checked_device
from bayespde.smooth.network.program import DensityConfig
from bayespde.smooth.network.soap import Soap
from bayespde.smooth.network.training_data import TrainingData

CHUNK = 8192
# Pixels at which the training error is evaluated.
MAX_MEASURED = 1_000_000


def train(
    data: TrainingData, *, config: NetworkConfig, device: str = "cpu", seed: int = 0, progress: bool | Progress = False
) -> NetworkFit:
    """Fit neural fields to pixels by maximising the log density of `neural_field_program`, members side by side.

    Steps are taken by SOAP [vyas2024soap] on random batches of pixels and fresh uniform collocation points. Members
    have their own initial weights and batches; none of them changes if others are added.

    Args:
        data: The pixels, those held out, and their noise.
        config: Architecture, penalty and training.
        device: Where networks and pixels are during training. On a CPU gradients are compiled, elsewhere automatic; the
            same seed gives the same result on the same kind of device.
        seed: Non-negative integer; the result is the same for the same seed.
        progress: Show a bar. If it sets a limit, training takes fewer steps where that is needed, `check_every` at
            least, and the learning rate falls over those.

    Returns:
        The fit.

    Raises:
        ConfigError: If the noise, the penalty's scales, the seed or the device are not usable.
    """
    place = checked_device(device)
    # The first of the three seeds is unused, so that a seed keeps its result.
    weight_seed, batch_seed = spawn_seeds(seed, 3)[1:]
    trained, hidden = data.trained, data.held_out.scored
    density = DensityConfig(
        pixels=int(trained.sum()),
        noise_scale=data.noise.scale,
        freedom=data.noise.freedom,
        prior_scale=config.prior_scale,
        penalty=config.penalty,
        penalty_scales=tuple(map(float, data.penalty_scales)),
    )
    network = _side_by_side(data.coordinates.shape[1], config, weight_seed).to(place)
    batches = Batches(data, config, place, batch_seed)
    history = _optimise(network, batches, data.noise, density, progress)
    measured = thinned(np.flatnonzero(trained), MAX_MEASURED)
    whitened = data.noise.whitened(_residuals(network, batches.pixels, measured))
    return NetworkFit(
        parameters={name: value.detach().cpu().clone() for name, value in network.named_parameters()},
        config=config,
        dimensions=data.coordinates.shape[1],
        noise=data.noise,
        history=history,
        held_out=np.array(hidden),
        residuals=_residuals(network, batches.pixels, np.flatnonzero(hidden)),
        training_rmse=np.sqrt(np.mean(whitened**2, axis=1)),
    )


class _Best:
    """The weights with the lowest held-out error so far, member by member."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = {name: value.detach().clone() for name, value in parameters.items()}
        members = len(next(iter(parameters.values())))
        self.error, self.step = np.full(members, np.inf), np.zeros(members, dtype=int)

    def update(self, parameters: Mapping[str, Tensor], error: np.ndarray, step: int) -> None:
        better = error < self.error
        self.error[better], self.step[better] = error[better], step
        for name, value in parameters.items():
            self.parameters[name][better] = value.detach()[better]


def _optimise(
    network: NeuralField, batches: Batches, noise: PixelNoise, density: DensityConfig, progress: bool | Progress
) -> TrainingHistory:
    config, pixels, monitored = batches.config, batches.pixels, batches.monitored.cpu().numpy()
    parameters, objective = dict(network.named_parameters()), _objective(network, density)
    optimiser, best = Soap(list(parameters.values())), _Best(parameters)
    records: list[tuple[int, np.ndarray, np.ndarray]] = []
    total, watch = torch.zeros(config.members, dtype=torch.float64), Progress.of(progress)
    steps, started = config.steps, process_time()
    # The matrices are too small to be shared between threads; members are not.
    workers = min(config.members, torch.get_num_threads())
    with threadpool_limits(limits=1), ThreadPoolExecutor(workers) as pool:
        for step in watch.bar(range(1, steps + 1), desc="neural field", leave=False):
            values, gradients = objective(parameters, batches.draw(), each=pool.map)
            optimiser.step(gradients, config.learning_rate * (1 + math.cos(math.pi * (step - 1) / steps)) / 2)
            total += values
            if step % config.check_every and step != steps:
                continue
            error = np.sqrt(np.mean(noise.misfit(_residuals(network, pixels, monitored)), axis=1))
            records.append((step, total.numpy() / (step - (records[-1][0] if records else 0)), error))
            total = torch.zeros_like(total)
            best.update(parameters, error, step)
            steps = _affordable(steps, step, process_time() - started, watch.left)
            if step >= steps or (step - best.step >= config.patience).all() or not np.isfinite(error).any():
                break
    network.load_state_dict(best.parameters)
    return TrainingHistory(*map(np.array, zip(*records, strict=True)))


def _affordable(steps: int, done: int, spent: float, left: float) -> int:
    """Steps in all, as many as are wanted or the time that is left allows; those that are done at least."""
    return steps if (steps - done) * spent <= done * left else done + int(done * left / spent)


def _objective(network: NeuralField, density: DensityConfig) -> CompiledObjective | AutomaticObjective:
    on_cpu = network.first.device.type == "cpu"
    return CompiledObjective(network, density) if on_cpu else AutomaticObjective(network, density)


def _side_by_side(dimensions: int, config: NetworkConfig, seed: int) -> NeuralField:
    """Members side by side, each with the weights that it would have alone."""

    def build(seed: int, members: int | None = None) -> NeuralField:
        return NeuralField(dimensions, config.architecture, members=members, generator=torch_generator(seed))

    alone = [build(s).state_dict() for s in spawn_seeds(seed, config.members)]
    network = build(0, config.members)
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
