"""Published equations on fields of moderate size, periodic in one dimension, for what the pixels say at best."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import smoothing_sets
import xarray as xr

import bayespde as bp


def _start(values: np.ndarray, x: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims="x", coords={"x": x}, name="u")


def burgers() -> tuple[str, xr.DataArray, np.ndarray]:
    """A pulse that steepens: 101 frames of 256 pixels."""
    text, start, times, _ = smoothing_sets.burgers()
    return text, start, times


def kdv() -> tuple[str, xr.DataArray, np.ndarray]:
    """Two solitons, the fast one behind: 101 frames of 256 pixels."""
    x = -15 + 30 * np.arange(256) / 256

    def soliton(speed: float, centre: float) -> np.ndarray:
        return np.asarray(0.5 * speed / np.cosh(0.5 * np.sqrt(speed) * (x - centre)) ** 2)

    return "u_t = -6*u*u_x - u_xxx", _start(soliton(3.0, -8.0) + soliton(1.0, 0.0), x), np.linspace(0, 5, 101)


def fisher() -> tuple[str, xr.DataArray, np.ndarray]:
    """Two patches that grow into each other: 101 frames of 200 pixels."""
    x = 40 * np.arange(200) / 200
    return (
        "u_t = u_xx + u - u**2",
        _start(0.6 * np.exp(-((x - 12) ** 2) / 4) + 0.3 * np.exp(-((x - 28) ** 2)), x),
        (np.linspace(0, 8, 101)),
    )


def swift_hohenberg() -> tuple[str, xr.DataArray, np.ndarray]:
    """Rolls that form from random waves: 121 frames of 200 pixels."""
    x = 50 * np.arange(200) / 200
    rng = np.random.default_rng(3)
    waves = sum(
        rng.standard_normal() * np.cos(2 * np.pi * k * x / 50 + rng.uniform(0, 2 * np.pi)) for k in range(1, 13)
    )
    return "u_t = -0.7*u - 2*u_xx - u_xxxx - u**3", _start(0.3 * np.asarray(waves), x), np.linspace(0, 12, 121)


SETS = {f.__name__: f for f in (burgers, kdv, fisher, swift_hohenberg)}


@lru_cache(maxsize=4)
def clean(name: str) -> tuple[xr.DataArray, dict[str, float]]:
    """A field without noise, and the coefficient of every true term."""
    text, start, times = SETS[name]()
    equation = bp.Equation.from_string(text)
    frames = bp.integrate(equation, start, times, method=smoothing_sets.TOLERANCE)
    return bp.make_field(frames.values, t=times, x=start["x"].values), dict(equation.as_dict())
