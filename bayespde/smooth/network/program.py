"""NETWORK + PIXELS + COLLOCATION POINTS -> JOINT LOG DENSITY, as a Pyro program and in closed form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import pyro
import torch
from pyro.distributions import Normal, StudentT, TorchDistribution
from torch import Tensor
from torch.func import functional_call

from bayespde.core.annotations import Count, OneOf, Positive
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError
from bayespde.noise.pixel_noise import student_scale
from bayespde.smooth.network.network import NeuralField
from bayespde.smooth.network.penalty import Penalty, penalty_value


class Batch(NamedTuple):
    """Pixels and points of one evaluation.

    Attributes:
        coordinates: Pixels, `[n, d]`, in [-1, 1].
        values: Observed values, `[n]`, standardised.
        collocation: Points at which derivatives are penalised, `[m, d]`; may be empty if the penalty's weight is 0.
    """

    coordinates: Tensor
    values: Tensor
    collocation: Tensor


@dataclass(frozen=True)
class DensityConfig(Checked):
    """The settings of the joint density: everything but weights and data.

    Attributes:
        pixels: Number of all pixels, to which a batch is scaled up.
        noise_scale: Standard deviation of the noise, in units of the standardised values, as in `PixelNoise`.
        freedom: Degrees of freedom of the noise, which is Student's t; infinite for normal noise.
        prior_scale: Prior standard deviation of every weight and bias.
        penalty: The total-variation term.
        penalty_scales: Typical size of each penalised derivative, in unit coordinates.
    """

    pixels: Count
    noise_scale: Positive
    prior_scale: Positive = 1.0
    penalty: Penalty = field(default_factory=Penalty)
    penalty_scales: tuple[Positive, ...] = ()
    freedom: Positive | Annotated[float, OneOf((math.inf,))] = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(self.penalty.weights) and not self.penalty_scales:
            raise ConfigError(
                "The penalty has no scales.",
                got=self.penalty_scales,
                wanted="a positive, finite number per penalised derivative",
                fix="take the mean absolute derivatives of a preliminary fit, or set weight=0",
            )


def pixel_density(mean: Tensor, config: DensityConfig) -> TorchDistribution:
    """The density of observed pixels, given the field at them."""
    scale = student_scale(config.noise_scale, config.freedom)
    return Normal(mean, scale) if math.isinf(config.freedom) else StudentT(config.freedom, mean, scale)


def neural_field_program(network: NeuralField, batch: Batch, config: DensityConfig) -> Tensor:
    """Total-variation-penalised regression on a neural field, as a Pyro program [bingham2019pyro].

    Sites: `parameter.<name>` for every tensor of weights, `observations`, and the factor `total_variation`, which
    is `-pixels weight penalty / (2 noise_scale^2)`, so that the most probable weights minimise
    mean squared error + weight * penalty (and the prior). The factor has no known normaliser: the density cannot
    compare penalty weights.

    Args:
        network: Gives the architecture; its own weights are not used.
        batch: All pixels, or a random part of them.
        config: Size of the data, noise, prior and penalty.

    Returns:
        The field at the pixels, `[n]`.

    Raises:
        ConfigError: If the penalty has a weight for each of several networks.
    """
    if len(config.penalty.weights) > 1:
        raise ConfigError(
            "The program is that of one network.",
            got=f"{len(config.penalty.weights)} penalty weights",
            wanted="one weight",
            fix="replace(penalty, weight=penalty.weight[0])",
        )
    parameters = {
        name: pyro.sample(
            f"parameter.{name}",
            Normal(torch.zeros_like(value), config.prior_scale).to_event(value.dim()),
        )
        for name, value in network.named_parameters()
    }
    mean = functional_call(network, parameters, (batch.coordinates,))
    with pyro.plate("pixels", size=config.pixels, subsample=torch.arange(len(batch.values))):
        pyro.sample("observations", pixel_density(mean, config), obs=batch.values)
    weight = config.penalty.weights[0]
    if weight:
        strength = config.pixels * weight / (2 * config.noise_scale**2)
        penalty = field_penalty(network, parameters, batch.collocation, config)
        pyro.factor("total_variation", -strength * penalty)
    return mean


def log_density(network: NeuralField, parameters: Mapping[str, Tensor], batch: Batch, config: DensityConfig) -> Tensor:
    """The log density of `neural_field_program` at given weights, in closed form.

    Args:
        network: Gives the architecture; its own weights are not used.
        parameters: Weights by name.
        batch: All pixels, or a random part of them, whose log likelihood is then scaled up to all.
        config: Size of the data, noise, prior and penalty.

    Returns:
        Scalar, differentiable in the parameters; `[E]` for members side by side, of weights and batches of their own.
    """
    mean = functional_call(network, dict(parameters), (batch.coordinates,))
    fit = pixel_density(mean, config).log_prob(batch.values).mean(dim=-1)
    if any(config.penalty.weights):
        penalty = _weighted_penalty(network, parameters, batch.collocation, config)
        fit = fit - penalty / (2 * config.noise_scale**2)
    weights = torch.cat([value.reshape(*fit.shape, -1) for value in parameters.values()], dim=-1)
    constant = weights.shape[-1] * (math.log(config.prior_scale) + math.log(2 * math.pi) / 2)
    return config.pixels * fit - weights.square().sum(dim=-1) / (2 * config.prior_scale**2) - constant


def _weighted_penalty(
    network: NeuralField, parameters: Mapping[str, Tensor], points: Tensor, config: DensityConfig
) -> Tensor:
    """Weight times penalty, `[*E]`; networks side by side with weight 0 are not differentiated."""
    weights = points.new_tensor(config.penalty.weights)
    if len(weights) == 1:
        return weights[0] * field_penalty(network, parameters, points, config)
    heavy = weights.nonzero().flatten()
    some = {name: value[heavy] for name, value in parameters.items()}
    found = field_penalty(network, some, points[heavy], config)
    return torch.zeros_like(weights).index_add(0, heavy, weights[heavy] * found)


def field_penalty(
    network: NeuralField, parameters: Mapping[str, Tensor], points: Tensor, config: DensityConfig
) -> Tensor:
    """The penalty of the field with the given weights, averaged over `points` (`[*E, m, d]`): `[*E]`, dimensionless."""
    penalty, dimensions = config.penalty, points.shape[-1]
    found = functional_call(network, dict(parameters), (points, penalty.indices(dimensions)))
    return penalty_value(
        found,
        found.new_tensor(config.penalty_scales),
        kind=penalty.kind,
        isotropic=penalty.isotropic,
        weights=found.new_tensor(penalty.index_weights(dimensions)),
    )
