"""Observed pixels -> a trained neural field, with its held-out residuals."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from pytorch_optimizer import SOAP
from torch import Tensor
from tqdm import tqdm

from bayespde.core.errors import ConfigError, FieldError
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smooth.network import Activation, MultiIndex, NeuralField, check_architecture, derivatives
from bayespde.smooth.penalty import Penalty
from bayespde.smooth.program import Batch, DensityConfig, log_density

CHUNK = 8192
CANDIDATE_WEIGHTS = (0.0, 1e-4, 3e-4, 1e-3)


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture, penalty and training of a neural field.

    Attributes:
        activation: `"tanh"` for fields of moving fronts, `"sine"` for oscillating ones.
        width: Units per hidden layer.
        depth: Hidden layers.
        input_scale: Factor on the coordinates, dimensionless.
        prior_scale: Prior standard deviation of every weight and bias.
        penalty: Total-variation term.
        steps: Most optimiser steps.
        batch: Pixels per step.
        collocation: Points per step at which derivatives are penalised.
        learning_rate: First rate, annealed to zero along a cosine.
        hold_out_fraction: Share of the pixels or frames that training does not see.
        hold_out: What is held out: single `"pixels"`, or whole `"frames"` where noise is correlated within frames.
        patience: Steps without a better held-out error after which training stops.
        check_every: Steps between looks at the held-out error.
    """

    activation: Activation = "tanh"
    width: int = 20
    depth: int = 6
    input_scale: float = 2.0
    prior_scale: float = 1.0
    penalty: Penalty = field(default_factory=Penalty)
    steps: int = 2000
    batch: int = 2048
    collocation: int = 512
    learning_rate: float = 3e-3
    hold_out_fraction: float = 0.1
    hold_out: Literal["pixels", "frames"] = "pixels"
    patience: int = 1000
    check_every: int = 50

    def __post_init__(self) -> None:
        check_architecture(self.activation, self.width, self.depth, self.input_scale)
        for name in ("steps", "batch", "collocation", "patience", "check_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(
                    f"The setting {name!r} must be a positive integer.",
                    got=repr(value),
                    wanted="an int >= 1",
                    fix=f"{name}={type(self).__dataclass_fields__[name].default}",
                )
        for name, top in (("learning_rate", math.inf), ("prior_scale", math.inf), ("hold_out_fraction", 0.5)):
            if not 0 < getattr(self, name) < top:
                raise ConfigError(
                    f"The setting {name!r} is out of range.",
                    got=getattr(self, name),
                    wanted=f"above 0 and below {top}",
                    fix=f"{name}={type(self).__dataclass_fields__[name].default}",
                )
        if self.hold_out not in ("pixels", "frames"):
            raise ConfigError(
                "What is to be held out is unknown.",
                got=repr(self.hold_out),
                wanted="'pixels' or 'frames'",
                fix="hold_out='pixels'",
            )


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

    def evaluate(
        self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None
    ) -> np.ndarray:
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
        parts = [derivatives(network, part, indices, create_graph=False) for part in points.split(CHUNK)]
        return torch.cat(parts).numpy()


class WeightChoice(NamedTuple):
    """Fits over a ladder of penalty weights.

    Attributes:
        weight: The chosen weight.
        fit: Its fit.
        weights: The ladder, `[W]`.
        held_out_rmse: Held-out error per weight, `[W]`.
    """

    weight: float
    fit: NetworkFit
    weights: np.ndarray
    held_out_rmse: np.ndarray


def candidate_configs(dimensions: int) -> tuple[NetworkConfig, ...]:
    """The configurations that an automatic choice tries, the front-following one first.

    Args:
        dimensions: Number of coordinates, time included.

    Returns:
        A tanh network and a sine network, wider where there are more dimensions.
    """
    if dimensions == 2:
        return (NetworkConfig(), NetworkConfig(activation="sine", width=32, depth=4, input_scale=6.0))
    return (
        NetworkConfig(width=32, depth=4, batch=4096),
        NetworkConfig(activation="sine", width=48, depth=4, input_scale=6.0, batch=4096),
    )


def held_out_mask(coordinates: np.ndarray, *, config: NetworkConfig, seed: int) -> np.ndarray:
    """Draw the pixels that no smoother may see.

    Args:
        coordinates: `[n, d]`, time first.
        config: Gives the share, and whether pixels or frames are drawn; the first and last frame are never drawn.
        seed: Non-negative integer.

    Returns:
        `[n]`, bool, with at least one and not all True.

    Raises:
        FieldError: If there are too few pixels or frames to hold any out.
    """
    rng = np.random.default_rng(seed)
    times, frame = np.unique(coordinates[:, 0], return_inverse=True)
    size = len(coordinates) if config.hold_out == "pixels" else len(times)
    eligible = np.arange(size) if config.hold_out == "pixels" else np.arange(1, size - 1)
    if len(eligible) < 2:
        raise FieldError(
            f"There are too few {config.hold_out} to hold some out.",
            got=f"{size} {config.hold_out}",
            wanted="at least 2 pixels, or 4 frames",
            fix="hold_out='pixels'" if config.hold_out == "frames" else "record more data",
        )
    count = min(max(1, round(config.hold_out_fraction * size)), len(eligible) - 1)
    drawn = np.zeros(size, dtype=bool)
    drawn[rng.choice(eligible, count, replace=False)] = True
    return drawn if config.hold_out == "pixels" else drawn[frame.ravel()]


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
    _check_pixels(coordinates, values)
    mask = held_out_mask(coordinates, config=config, seed=mask_seed) if held_out is None else held_out
    _check_mask(mask, values)
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
    history = _optimise(network, seen, unseen, density, config, torch_generator(batch_seed), progress)
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


def choose_weight(
    coordinates: np.ndarray,
    values: np.ndarray,
    *,
    config: NetworkConfig,
    noise_scale: float,
    penalty_scales: Sequence[float],
    held_out: np.ndarray | None = None,
    weights: Sequence[float] = CANDIDATE_WEIGHTS,
    tolerance: float = 5e-4,
    seed: int = 0,
    progress: bool = False,
) -> WeightChoice:
    """Train with each penalty weight and take the largest that predicts held-out pixels as well as any.

    The held-out error is nearly flat where high derivatives still improve, hence the largest weight within the
    tolerance. All fits share seed, batches and held-out pixels, so that their errors compare in pairs.

    Args:
        coordinates: As for `train`.
        values: As for `train`.
        config: As for `train`; the weight of its penalty is replaced.
        noise_scale: As for `train`.
        penalty_scales: As for `train`.
        held_out: As for `train`.
        weights: The ladder.
        tolerance: Largest accepted excess of the held-out error over the smallest, relative.
        seed: As for `train`.
        progress: As for `train`.

    Returns:
        The chosen weight, its fit, and the held-out error of all.

    Raises:
        FieldError: As for `train`.
        ConfigError: As for `train`, and if the ladder is empty.
    """
    ladder = sorted(set(map(float, weights)))
    if not ladder:
        raise ConfigError("There is no penalty weight to try.", got="none", wanted="numbers", fix="weights=(0.0,)")
    fits = [
        train(
            coordinates,
            values,
            config=replace(config, penalty=replace(config.penalty, weight=weight)),
            noise_scale=noise_scale,
            penalty_scales=penalty_scales,
            held_out=held_out,
            seed=seed,
            progress=progress,
        )
        for weight in ladder
    ]
    errors = np.array([fit.held_out_rmse for fit in fits])
    best = int(np.flatnonzero(errors <= errors.min() * (1 + tolerance))[-1])
    return WeightChoice(ladder[best], fits[best], np.array(ladder), errors)


def _optimise(
    network: NeuralField,
    seen: Batch,
    unseen: Batch,
    density: DensityConfig,
    config: NetworkConfig,
    generator: torch.Generator,
    progress: bool,
) -> TrainingHistory:
    parameters = dict(network.named_parameters())
    # The prior already shrinks the weights.
    optimiser = SOAP(parameters.values(), lr=config.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    records: list[tuple[int, float, float]] = []
    best, kept, total = math.inf, copy.deepcopy(network.state_dict()), 0.0
    best_step = 0
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
    step_, objective_, error_ = zip(*records, strict=True)
    return TrainingHistory(np.array(step_), np.array(objective_), np.array(error_))


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


def _check_pixels(coordinates: np.ndarray, values: np.ndarray) -> None:
    if coordinates.ndim != 2 or values.shape != coordinates.shape[:1] or len(values) < 2:
        raise FieldError(
            "The pixels do not fit together.",
            got=f"coordinates {coordinates.shape}, values {values.shape}",
            wanted="coordinates [n, d] and values [n]",
            fix="pass one row of coordinates per observed pixel",
        )
    if not (np.isfinite(values).all() and np.isfinite(coordinates).all()):
        raise FieldError(
            "The pixels hold values that are not finite.",
            got=f"{int((~np.isfinite(values)).sum())} of {len(values)} values",
            wanted="observed pixels only",
            fix="drop missing pixels before training",
        )
    if np.abs(coordinates).max() > 1 + 1e-6:
        raise FieldError(
            "The coordinates are outside the unit range.",
            got=f"up to {np.abs(coordinates).max():g}",
            wanted="every axis in [-1, 1]",
            fix="2 * (c - c.min()) / (c.max() - c.min()) - 1",
        )


def _check_mask(mask: np.ndarray, values: np.ndarray) -> None:
    if mask.shape != values.shape or mask.dtype != bool or not mask.any() or mask.all():
        raise FieldError(
            "The held-out mask does not fit the pixels.",
            got=f"{mask.dtype} {mask.shape}, {int(np.sum(mask))} held out",
            wanted=f"bool {values.shape}, some True and some False",
            fix="held_out=None, or held_out_mask(coordinates, config=config, seed=0)",
        )
