"""Physical coordinates <-> the unit cube; units of derivatives and coefficients."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import sympy
import xarray as xr

from bayespde.core.field import AXIS_LETTER
from bayespde.core.terms import Term, derivative_orders, symbol


@dataclass(frozen=True)
class Scales:
    """Affine maps between physical and dimensionless numbers.

    Attributes:
        dims: Dimension names, in field order.
        origin: First coordinate per dimension, physical units.
        extent: Length per dimension, physical units.
        offset: Mean of the field.
        amplitude: Standard deviation of the field.
    """

    dims: tuple[str, ...]
    origin: tuple[float, ...]
    extent: tuple[float, ...]
    offset: float
    amplitude: float

    @classmethod
    def of(cls, field: xr.DataArray) -> Scales:
        """The scales of a checked field."""
        ends = [(float(field[d][0]), float(field[d][-1])) for d in field.dims]
        return cls(
            dims=tuple(map(str, field.dims)),
            origin=tuple(a for a, _ in ends),
            extent=tuple(b - a for a, b in ends),
            offset=float(field.mean()),
            amplitude=float(field.std()),
        )

    def to_unit(self, dim: str, coordinate: np.ndarray) -> np.ndarray:
        """Map physical coordinates along `dim` to `[0, 1]` (float64, same shape)."""
        i = self.dims.index(dim)
        return (np.asarray(coordinate, dtype=np.float64) - self.origin[i]) / self.extent[i]

    def derivative_factor(self, orders: tuple[int, ...]) -> float:
        """Factor that turns a derivative in unit coordinates into physical coordinates (amplitude not included)."""
        return float(np.prod([e ** -float(o) for e, o in zip(self.extent, orders, strict=True)]))


def units_of(field: xr.DataArray) -> dict[str, str]:
    """Units of a checked field under its name, and of its coordinates under their dims."""
    return {str(field.name): str(field.attrs["units"])} | {str(d): str(field[d].attrs["units"]) for d in field.dims}


def derivative_unit(name: str, field: xr.DataArray) -> str:
    """Unit of the derivative `name` (such as `u_xx`) of a checked field."""
    return coefficient_unit(Term("1", sympy.Integer(1)), Term(name, symbol(name)), units_of(field))


def coefficient_unit(term: Term, target: Term, field_units: dict[str, str]) -> str:
    """Unit of the coefficient of `term` in the equation for `target`, such as `nm^2 s^-1`.

    Args:
        term: The term; for expressions that are not monomials the unit is unknown.
        target: The left-hand side.
        field_units: Units of the variable (under its name) and of the dims `time`, `x`, ...

    Returns:
        A product of powers, "1" if dimensionless, "unknown" if the term is not a monomial.
    """
    exponents: dict[str, float] = {}

    def multiply(unit: str, power: float) -> None:
        for base, exponent in _unit_powers(unit):
            exponents[base] = exponents.get(base, 0) + exponent * power

    for part, sign in ((target, 1), (term, -1)):
        powers = part.monomial_powers()
        if powers is None:
            return "unknown"
        for name, power in powers.items():
            multiply(field_units.get(name.split("_")[0], "1"), sign * power)
            for dim, order in zip(AXIS_LETTER, derivative_orders(name, tuple(AXIS_LETTER)), strict=True):
                multiply(field_units.get(dim, "1"), -sign * power * order)
    # Positive powers come first.
    ordered = sorted(exponents.items(), key=lambda factor: factor[1] < 0)
    parts = [u if p == 1 else f"{u}^{p:g}" for u, p in ordered if p and u not in ("1", "")]
    return " ".join(parts) or "1"


def _unit_powers(unit: str) -> list[tuple[str, float]]:
    """Factors of a unit such as `m s^-1` with their powers; a unit in another notation is one factor."""
    factors = [re.fullmatch(r"([^\s^*/().]+)(?:\^(-?\d+(?:\.\d+)?))?", f) for f in unit.split()]
    if not all(factors):
        return [(f"({unit})", 1.0)]
    return [(f[1], float(f[2] or 1)) for f in factors if f is not None]
