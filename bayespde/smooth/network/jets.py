"""MULTI-INDICES -> JET TABLE: the Taylor coefficients that a set of derivatives needs, and their recurrences."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from bayespde.core.errors import ConfigError

MultiIndex = tuple[int, ...]


class Tables(NamedTuple):
    """The recurrences as the compiled kernels take them; attributes as those of `JetTable`."""

    start: np.ndarray
    left: np.ndarray
    right: np.ndarray
    share: np.ndarray
    is_slope: np.ndarray


@dataclass(frozen=True, eq=False)
class JetTable:
    """Taylor coefficients D^a u / a! that are carried through a network, and how they combine.

    A product of two series has the coefficients (p q)_a = sum over b + c = a of p_b q_c. A function y = f(z) with
    s = f'(z) has a_i y_a = sum over b + c = a of b_i z_b s_c, for any axis i with a_i > 0 [griewank2008].

    Attributes:
        indices: Multi-indices, by total order; each with all that are smaller in every axis.
        wanted: Positions of the requested derivatives, in their order.
        factorials: a! of each of these.
        first: Position of the first derivative along each axis; -1 where none is requested.
        start: The products of coefficient k are `start[k]` to `start[k + 1]`, `[M + 1]`, int64.
        left: Position of b, `[P]`, int64.
        right: Position of c, `[P]`, int64.
        share: b_i / a_i, `[P]`, float64.
        is_slope: Whether the slope s is needed at a coefficient, `[M]`, bool; not at the highest orders.
    """

    indices: tuple[MultiIndex, ...]
    wanted: tuple[int, ...]
    factorials: tuple[float, ...]
    first: tuple[int, ...]
    start: np.ndarray
    left: np.ndarray
    right: np.ndarray
    share: np.ndarray
    is_slope: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def single(self) -> Tables:
        """The recurrences in single precision."""
        return Tables(self.start, self.left, self.right, self.share.astype(np.float32), self.is_slope)

    @cached_property
    def double(self) -> Tables:
        """The recurrences in double precision."""
        return Tables(self.start, self.left, self.right, self.share, self.is_slope)


def jet_table(multi_indices: Sequence[MultiIndex], dimensions: int) -> JetTable:
    """Find the coefficients that some derivatives need.

    Args:
        multi_indices: Orders per axis of each derivative; all zeros is the value.
        dimensions: Number of axes.

    Raises:
        ConfigError: If a multi-index has not one non-negative order per axis.
    """
    return _table(tuple(checked_index(index, dimensions) for index in multi_indices), dimensions)


def index_factors(multi_indices: Sequence[MultiIndex], scale: Sequence[float]) -> list[float]:
    """The factor of every derivative if the coordinates were multiplied by these scales."""
    return [math.prod(f**k for f, k in zip(scale, index, strict=True)) for index in multi_indices]


def checked_index(index: MultiIndex, dimensions: int) -> MultiIndex:
    """A multi-index as plain integers; a `ConfigError` unless it has one non-negative order per axis."""
    try:
        orders = tuple(operator.index(k) for k in index)
    except TypeError:
        orders = ()
    if not orders or len(orders) != dimensions or min(orders) < 0:
        raise ConfigError(
            "A multi-index does not fit the points.",
            got=index,
            wanted=f"{dimensions} non-negative integers",
            fix="one order per axis, for example (0, 2)",
        )
    return orders


@lru_cache(maxsize=64)
def _table(wanted: tuple[MultiIndex, ...], dimensions: int) -> JetTable:
    below = {b for a in wanted for b in product(*(range(k + 1) for k in a))} | {(0,) * dimensions}
    indices = tuple(sorted(below, key=lambda a: (sum(a), a)))
    position = {a: k for k, a in enumerate(indices)}
    start, left, right, share = [0], [], [], []
    for a in indices:
        # The axis of lowest order leaves the fewest products.
        axis = min((i for i, k in enumerate(a) if k), key=lambda i: a[i], default=0)
        for b in product(*(range(k + 1) for k in a)):
            left.append(position[b])
            right.append(position[tuple(k - m for k, m in zip(a, b, strict=True))])
            share.append(b[axis] / a[axis] if any(a) else 0.0)
        start.append(len(left))
    is_slope = np.zeros(len(indices), dtype=bool)
    is_slope[[c for c, w in zip(right, share, strict=True) if w]] = True
    units = [tuple(int(i == axis) for i in range(dimensions)) for axis in range(dimensions)]
    return JetTable(
        indices=indices,
        wanted=tuple(position[a] for a in wanted),
        factorials=tuple(float(math.prod(map(math.factorial, a))) for a in wanted),
        first=tuple(position.get(unit, -1) for unit in units),
        start=np.array(start),
        left=np.array(left),
        right=np.array(right),
        share=np.array(share),
        is_slope=is_slope,
    )
