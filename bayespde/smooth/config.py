"""SETTINGS -> one checked record of how a field is made smooth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from bayespde.core.annotations import Count, NonNegative, OneOf, Range
from bayespde.core.checked import Checked, validated
from bayespde.noise.families import FAMILIES
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.spline.basis import SplineConfig

SMOOTHERS = ("spline", "network", "auto")
Smoother = Annotated[str, OneOf(SMOOTHERS)]
HOLD_OUT = ("auto", "pixels", "frames", "blocks")


@dataclass(frozen=True)
class SmoothingConfig(Checked):
    """How a field is made smooth.

    Attributes:
        smoother: `spline`, within seconds; `network`: the spline, and neural fields that are used in its place, within
            minutes; or `auto`: both, of which the one with the lower held-out error is used.
        order: Order of the derivatives whose total variation the neural field is penalised for, 1 to 3.
        weight: Weight of that penalty, dimensionless, or `auto`: networks with and without it are trained side by side,
            and those are kept whose loss at the held-out pixels is within 1 %, or one standard error, of the smallest.
        penalty: Kind, axis weights, mixed derivatives and isotropy of that penalty; order and weight are those above.
        hold_out: `pixels`, `frames`, `blocks`, or `auto`: frames where the residuals of a frame are correlated in
            space, blocks of space and time where noise is correlated otherwise, pixels elsewhere.
        noise: Family of the noise, a name in `bayespde.noise.families.FAMILIES` (`gaussian`, `student_t`, `poisson`,
            `logit`), or `auto`: the one under which held-out pixels have the highest density, `gaussian` if in doubt or
            if frames or blocks are held out. The mean depends on it for `student_t` only, the others change intervals
            of networks. With the smoother `spline`, `auto` is `gaussian`.
        uncertainty: Whether networks, if they are used, get standard deviations and draws. The networks are then
            trained a second time, on data simulated from their mean, which takes one to three times as long as the fit.
        steps: Most optimiser steps per network; those of the networks' settings if absent.
        spline: Settings of the spline.
        networks: Architectures to try; a tanh and a sine network by default.
        device: Where networks are trained: `cpu`, or a device that torch finds, such as `cuda`.
    """

    smoother: Smoother = "spline"
    order: Annotated[int, Range(1, 3)] = 3
    weight: NonNegative | Annotated[str, OneOf(("auto",))] = "auto"
    penalty: Penalty = field(default_factory=Penalty)
    hold_out: Annotated[str, OneOf(HOLD_OUT)] = "auto"
    noise: Annotated[str, OneOf(lambda: ("auto", *FAMILIES))] = "auto"
    uncertainty: bool = True
    steps: Count | None = None
    spline: SplineConfig = field(default_factory=SplineConfig)
    networks: tuple[NetworkConfig, ...] = ()
    device: str = "cpu"

    @validated
    def total_variation(self, weight: NonNegative | tuple[NonNegative, ...] = 0.0) -> Penalty:
        """The penalty of neural fields, with this weight."""
        return replace(self.penalty, order=self.order, weight=weight)
