"""Half-widths and a grid -> test functions: where they stand, and their derivatives as one small matrix per axis."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from bayespde.core.errors import ConfigError

MINIMUM_HALF_WIDTH = {"time": 6, "space": 8}


@dataclass(frozen=True, eq=False)
class TestFunctions:
    """Test functions of one axis: bumps (1 - s^2)^p with s = (position - centre) / half-width.

    Attributes:
        centres: Sample index of every centre, `[c]`.
        half_width: In samples.
        power: Exponent p; the bump has p - 1 continuous derivatives.
        samples: Length of the axis.
        spacing: Physical distance of samples.
    """

    centres: np.ndarray
    half_width: int
    power: int
    samples: int
    spacing: float
    _kept: dict[int, np.ndarray] = field(init=False, repr=False, default_factory=dict)

    def matrix(self, order: int) -> np.ndarray:
        """The `order`-th derivative of every bump on the grid, times the quadrature weight: `[c, samples]`, kept."""
        if order not in self._kept:
            self._kept[order] = self._matrix(order)
            self._kept[order].setflags(write=False)
        return self._kept[order]

    def _matrix(self, order: int) -> np.ndarray:
        s = (np.arange(self.samples) - self.centres[:, None]) / self.half_width
        polynomial = np.polynomial.Polynomial(_bump(self.power)).deriv(order)
        values = np.where(np.abs(s) < 1, polynomial(np.clip(s, -1, 1)), 0.0)
        return values / (self.half_width * self.spacing) ** order * self.spacing

    def local(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """The nonzero part of `matrix`: sample indices and weights, `[c, 2 half_width - 1]` each."""
        index = self.centres[:, None] + np.arange(1 - self.half_width, self.half_width)
        return index, np.take_along_axis(self.matrix(order), index, axis=1)


@lru_cache(maxsize=16)
def _bump(power: int) -> tuple[float, ...]:
    return tuple((np.polynomial.Polynomial([1.0, 0.0, -1.0]) ** power).coef)


def place(
    samples: tuple[int, ...], support_radius: tuple[int, ...], rows: int, *, closest: float = 0.15
) -> list[np.ndarray]:
    """Spread centres evenly over every axis so that their product is at most `rows`.

    The distance between centres, in half-widths, is the same on every axis up to rounding and at least `closest`.

    Raises:
        ConfigError: If a window does not fit into the field.
    """
    room = [n - 1 - 2 * r for n, r in zip(samples, support_radius, strict=True)]
    if min(room) < 0 or min(support_radius) < 2:
        raise ConfigError(
            "A test function does not fit into the field.",
            got=f"half-widths {support_radius} on {samples} samples",
            wanted="at least 2, and 2 * half-width + 1 <= samples",
            fix="WeakForm(support_radius=...) with smaller values",
        )
    step = closest
    while (
        np.prod(counts := [1 + int(space / (step * r)) for space, r in zip(room, support_radius, strict=True)]) > rows
    ):
        step *= 1.02
    return [
        np.linspace(r, n - 1 - r, c).round().astype(int) if c > 1 else np.array([(n - 1) // 2])
        for n, r, c in zip(samples, support_radius, counts, strict=True)
    ]
