"""Name of an initial state + its parameters -> a first frame, or an error that lists the parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.solve.initial.axes import Axes
from bayespde.solve.initial.patterns import nuclei, planar_front, spiral
from bayespde.solve.initial.waves import gaussian_pulses, random_waves, sine_modes, solitons

KINDS: dict[str, Callable[..., xr.DataArray]] = {
    f.__name__: f for f in (nuclei, gaussian_pulses, solitons, random_waves, planar_front, sine_modes, spiral)
}


def initial_state(kind: str, axes: Axes, **parameters: Any) -> xr.DataArray:
    """Build a first frame by name, from plain values as read from a declaration.

    Args:
        kind: A name among `KINDS`.
        axes: Positions per dimension (x, or x and y, or x, y and z), evenly spaced, physical units.
        **parameters: Those of the function of that name.

    Returns:
        A frame, float64, dims in the order z, y, x.

    Raises:
        ConfigError: If the kind or a parameter is unknown, missing or unusable.
    """
    if kind not in KINDS:
        raise ConfigError(
            "The kind of initial state is unknown.",
            got=repr(kind)[:60],
            wanted="one of " + ", ".join(KINDS),
            fix="change 'kind'",
        )
    build = KINDS[kind]
    try:
        inspect.signature(build).bind(axes, **parameters)
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            frame = build(axes, **parameters)
        if not np.isfinite(frame.values).all():
            raise ValueError("the frame is not finite")
        return frame
    except (TypeError, ValueError, LookupError, ArithmeticError, MemoryError) as error:
        wanted = inspect.signature(build).parameters
        raise ConfigError(
            f"The parameters of the initial state {kind!r} are not usable.",
            got=str(error)[:120],
            wanted=", ".join(str(p) for name, p in wanted.items() if name != "axes"),
            fix="add, remove or change a parameter",
        ) from error
