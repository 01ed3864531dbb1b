"""Terms and units as plain text -> text that Matplotlib typesets."""

from __future__ import annotations

import re
from collections.abc import Hashable

import xarray as xr

from bayespde.core.scales import derivative_unit


def math_text(text: str) -> str:
    """Typeset a term or an equation such as `u_t = 0.1 u_xx - u**2*u_x`."""
    typeset = re.sub(r"([A-Za-z]+)_([a-z]+)", r"\1_{\2}", text)
    typeset = re.sub(r"\*\*(\d+)", r"^{\1}", typeset)
    typeset = re.sub(r"(\d)e([+-]\d+)", lambda m: rf"{m[1]}{{\times}}10^{{{int(m[2])}}}", typeset)
    return "$" + typeset.replace("*", r"\,").replace(" ", r"\ ") + "$"


def unit_text(unit: str) -> str:
    """A unit such as `nm s^-1` with raised exponents and a leading space; empty for `1`."""
    literal = unit.replace("$", r"\$")  # a dollar would begin a formula
    return "" if unit in ("1", "") else " " + re.sub(r"\^(-?[\d.]+)", r"$^{\1}$", literal)


def axis_title(field: xr.DataArray, dim: Hashable) -> str:
    """Name and unit of a dimension, such as `x (nm)`."""
    return f"{dim} ({unit_text(str(field[dim].attrs.get('units', '1'))).strip() or 'dimensionless'})"


def map_unit(values: xr.DataArray, field: xr.DataArray) -> str:
    """Unit of a derivative of `field`, from its own attributes or from those of the field; `(1)` if it has none."""
    variable, name = str(field.name), str(values.name)
    known = values.attrs.get("units") if name != variable else field.attrs["units"]
    if known is None:
        known = derivative_unit(name, field)
    return unit_text(str(known)).strip() or "(1)"
