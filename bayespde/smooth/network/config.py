"""SETTINGS -> one checked record of architecture, penalty and training of a neural field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from bayespde.core.errors import ConfigError
from bayespde.core.settings import check_choice, check_number
from bayespde.smooth.network.network import Activation, Architecture
from bayespde.smooth.network.penalty import Penalty

INPUT_SCALE = 2.0


@dataclass(frozen=True)
class NetworkConfig:
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
    width: int = 20
    depth: int = 6
    input_scale: float | tuple[float, ...] | None = None
    members: int = 2
    prior_scale: float = 1.0
    penalty: Penalty = field(default_factory=Penalty)
    steps: int = 1250
    batch: int = 2048
    collocation: int = 64
    learning_rate: float = 3e-3
    hold_out_fraction: float = 0.1
    hold_out: Literal["pixels", "frames"] = "pixels"
    patience: int = 1000
    check_every: int = 50

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
        if isinstance(self.input_scale, list):
            object.__setattr__(self, "input_scale", tuple(self.input_scale))
        self.architecture  # noqa: B018  raises if no network can be built
        for name in ("members", "steps", "batch", "collocation", "patience", "check_every"):
            check_number(name, getattr(self, name), lowest=1, integer=True)
        for name, below in (("learning_rate", math.inf), ("prior_scale", math.inf), ("hold_out_fraction", 0.5)):
            check_number(name, getattr(self, name), above=0, below=below)
        check_choice("hold_out", self.hold_out, ("pixels", "frames"))
        if len(self.penalty.weights) not in (1, self.members):
            raise ConfigError(
                "The weights of the penalty do not fit the networks side by side.",
                got=f"{len(self.penalty.weights)} weights, {self.members} members",
                wanted="one weight, or one per member",
                fix=f"members={len(self.penalty.weights)}",
            )
