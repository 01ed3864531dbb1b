"""A field -> one line that shows how it was read."""

from __future__ import annotations

import xarray as xr


def describe_field(field: xr.DataArray) -> str:
    """Name, units, ranges and lengths of the axes of a checked field."""
    units = {str(name): str(array.attrs["units"]) for name, array in ((field.name, field), *field.coords.items())}
    shown = {name: "" if unit == "1" else f" {unit}" for name, unit in units.items()}
    axes = [
        f"{d} {field[d].values[0]:g} to {field[d].values[-1]:g}{shown[str(d)]} ({field.sizes[d]})" for d in field.dims
    ]
    unit = f" in{shown[str(field.name)]}" if shown[str(field.name)] else ""
    return f"{field.name}{unit} over {', '.join(axes)}{'' if any(shown.values()) else '; no units'}"
