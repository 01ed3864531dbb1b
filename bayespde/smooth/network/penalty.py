"""DERIVATIVES -> PENALTY: the total variation of a field, one dimensionless number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

import torch
from torch import Tensor

from bayespde.core.annotations import NonNegative, Range
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError
from bayespde.smooth.network.jets import MultiIndex, checked_index

MAXIMUM_ORDER = 3
ROUNDING = 1e-3


@dataclass(frozen=True)
class Penalty(Checked):
    """How derivatives are penalised, as in the total variation of neural fields [luo2024neurtv].

    Attributes:
        order: Order of the penalised derivatives, 1 to 3.
        weight: Factor on the penalty in units of the variance of the data; 0 switches it off. One for all networks side
            by side, or one for each.
        kind: `"l1"` lets derivatives be large in few places, `"l2"` does not.
        axis_weights: Relative weight per axis, or None for one each.
        mixed: Penalise mixed derivatives of the order as well.
        isotropic: For `"l1"`, take the length of the vector of scaled derivatives at a point, not the sum of sizes;
            with `mixed`, and where all axes have one scale, that length does not change if the axes are turned.
        chosen: Multi-indices of the penalised derivatives, time first, orders 1 to 3, in place of those given by
            `order` and `mixed`.
    """

    order: Annotated[int, Range(1, MAXIMUM_ORDER)] = 3
    weight: NonNegative | tuple[NonNegative, ...] = 0.0
    kind: Literal["l1", "l2"] = "l1"
    axis_weights: tuple[NonNegative, ...] | None = None
    mixed: bool = False
    isotropic: bool = False
    chosen: tuple[tuple[Annotated[int, Range(0, MAXIMUM_ORDER)], ...], ...] | None = None

    def __post_init__(self) -> None:
        if self.chosen is not None:
            self._check_chosen()
            object.__setattr__(self, "chosen", tuple(map(tuple, self.chosen)))
        super().__post_init__()
        if not self.weights:
            raise ConfigError(
                "The penalty has no weight.", got=self.weight, wanted="one number or more", fix="weight=0.0"
            )
        if self.axis_weights is not None and not any(self.axis_weights):
            raise ConfigError(
                "All axis weights of the penalty are 0.",
                got=self.axis_weights,
                wanted="one of them above 0",
                fix="axis_weights=None",
            )

    def _check_chosen(self) -> None:
        chosen = self.chosen
        is_list = isinstance(chosen, list | tuple) and len(chosen) > 0
        if not is_list or not all(_is_multi_index(index) for index in chosen or ()):
            raise ConfigError(
                "The derivatives to penalise are not usable.",
                got=chosen,
                wanted=f"multi-indices with one order per axis, time first, that add up to 1-{MAXIMUM_ORDER}",
                fix="chosen=((0, 2),)",
            )

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight, or the weights of the networks side by side."""
        return self.weight if isinstance(self.weight, tuple) else (self.weight,)

    def indices(self, dimensions: int) -> tuple[MultiIndex, ...]:
        """Multi-indices of the penalised derivatives.

        Raises:
            ConfigError: If chosen ones do not fit the dimensions.
        """
        if self.chosen is None:
            return penalty_indices(self.order, dimensions, mixed=self.mixed)
        return tuple(checked_index(index, dimensions) for index in self.chosen)

    def index_weights(self, dimensions: int) -> tuple[float, ...]:
        """Weight per multi-index: the axis weights' geometric mean, each axis with the order of its differentiation.

        If isotropic, times the root of the multinomial coefficient, for mixed derivatives occur repeatedly in the norm.

        Raises:
            ConfigError: If there is not one axis weight per dimension.
        """
        weights = self.axis_weights or (1.0,) * dimensions
        if len(weights) != dimensions:
            raise ConfigError(
                "The axis weights do not fit the field.",
                got=weights,
                wanted=f"{dimensions} numbers, time first",
                fix="axis_weights=None",
            )
        found = []
        for index in self.indices(dimensions):
            weight = math.prod(w ** (orders / sum(index)) for w, orders in zip(weights, index, strict=True))
            times = math.factorial(sum(index)) / math.prod(map(math.factorial, index))
            found.append(weight * math.sqrt(times) if self.isotropic else weight)
        return tuple(found)


def _is_multi_index(index: object) -> bool:
    """Whether this is a sequence of orders that add up to 1-3."""
    if not isinstance(index, list | tuple):
        return False
    return all(type(k) is int and k >= 0 for k in index) and 1 <= sum(index) <= MAXIMUM_ORDER


def penalty_indices(order: int, dimensions: int, *, mixed: bool = False) -> tuple[MultiIndex, ...]:
    """List the derivatives of an order.

    Args:
        order: Total order.
        dimensions: Number of axes.
        mixed: Include mixed derivatives; otherwise one multi-index per axis.

    Returns:
        Multi-indices, for pure derivatives in the order of the axes.
    """
    if not mixed:
        return tuple(tuple(order * (i == axis) for i in range(dimensions)) for axis in range(dimensions))
    return tuple(index for index in product(range(order, -1, -1), repeat=dimensions) if sum(index) == order)


def penalty_value(
    derivatives: Tensor, scales: Tensor, *, kind: str = "l1", weights: Tensor | None = None, isotropic: bool = False
) -> Tensor:
    """Average the size of scaled derivatives over points and add over derivatives.

    Args:
        derivatives: `[*E, n, M]`.
        scales: Typical size of each derivative, `[M]`, positive, in the same units.
        kind: `"l1"`: sqrt(d^2 + e^2) - e with e = 0.001, for d the derivative over its scale; `"l2"`: d^2.
        weights: `[M]`, one each if absent.
        isotropic: Add the squares, each with the square of its weight, under one root [rudin1992]; for `"l1"`.

    Returns:
        `[*E]`, dimensionless; about M, or its root if isotropic, for a field like the one that gave the scales.
    """
    scaled = derivatives / scales
    weights = torch.ones_like(scales) if weights is None else weights
    if kind == "l2":
        return scaled.square().mean(dim=-2) @ weights
    if isotropic:
        lengths = torch.sqrt((weights * scaled).square().sum(dim=-1) + ROUNDING**2) - ROUNDING
        return lengths.mean(dim=-1)
    return (torch.sqrt(scaled.square() + ROUNDING**2) - ROUNDING).mean(dim=-2) @ weights
