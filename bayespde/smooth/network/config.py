"""SETTINGS -> one checked record of architecture, penalty and training of a neural field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from bayespde.core.annotations import Count, Positive, Range
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError
from bayespde.smooth.network.network import Activation, Architecture
from bayespde.smooth.network.penalty import Penalty

INPUT_SCALE = 2.0


@dataclass(frozen=True)
class NetworkConfig(Checked):
    """Architecture, penalty and training of a neural field.

    Attributes:
        activation: `"tanh"` for fields of moving fronts, `"sine"` for oscillating ones.
        width: Units per hidden layer.
        depth: Hidden layers.
        input_scale: Factor on the coordinates, dimensionless; one for all axes, or one per axis, time first. If absent,
            `fit_field` derives it from the wave numbers of the field, and `train` uses 2.
        members: Networks trained side by side, each from its own start; their mean is the field.
        prior_scale: Prior standard deviation of every weight and bias.
        penalty: Total-variation term.
        steps: Most optimiser steps.
        batch: Pixels per step.
        collocation: Points per step at which derivatives are penalised.
        learning_rate: First rate, annealed to zero along a cosine.
        hold_out_fraction: Share of the pixels or frames that are held out of training.
        hold_out: What is held out: single `"pixels"`, or whole `"frames"` where noise is correlated within frames.
        patience: Steps without a better held-out error after which training stops.
        check_every: Steps between evaluations of the held-out error.
    """

    activation: Activation = "tanh"
    width: Count = 20
    depth: Count = 6
    input_scale: Positive | tuple[Positive, ...] | None = None
    members: Count = 2
    prior_scale: Positive = 1.0
    penalty: Penalty = field(default_factory=Penalty)
    steps: Count = 1250
    batch: Count = 2048
    collocation: Count = 64
    learning_rate: Positive = 3e-3
    hold_out_fraction: Annotated[float, Range(above=0, below=0.5)] = 0.1
    hold_out: Literal["pixels", "frames"] = "pixels"
    patience: Count = 1000
    check_every: Count = 50

    @property
    def label(self) -> str:
        """Activation, depth and width."""
        return f"{self.activation} {self.depth}x{self.width}"

    @property
    def architecture(self) -> Architecture:
        """What the network is built from."""
        scale = INPUT_SCALE if self.input_scale is None else self.input_scale
        return Architecture(self.activation, self.width, self.depth, scale)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.penalty.weights) not in (1, self.members):
            raise ConfigError(
                "The weights of the penalty do not fit the networks side by side.",
                got=f"{len(self.penalty.weights)} weights, {self.members} members",
                wanted="one weight, or one per member",
                fix=f"members={len(self.penalty.weights)}",
            )
