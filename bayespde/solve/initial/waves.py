"""Axes + amplitudes, positions and wavenumbers -> periodic first frames: pulses, solitons and waves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from bayespde.solve.initial.axes import Axes, dimension_names, frame, period

# Periodic images of a pulse that are added up, in periods.
_IMAGES = np.arange(-3, 4)


def gaussian_pulses(
    axes: Axes,
    *,
    centres: Sequence[float],
    heights: Sequence[float],
    widths: Sequence[float],
    offset: float = 0.0,
) -> xr.DataArray:
    """Periodic Gaussians `height exp(-(x - centre)^2 / (2 width^2))` along x on a constant `offset`, 1-D.

    Args:
        axes: `x`.
        centres: Physical units.
        heights: Units of u.
        widths: Standard deviations, physical units; at most half the period.
        offset: Units of u.

    Returns:
        A frame `(x,)`.
    """
    return _pulses(axes, lambda r: np.exp(-(r**2) / 2), centres, heights, widths, offset)


def solitons(
    axes: Axes,
    *,
    centres: Sequence[float],
    heights: Sequence[float],
    widths: Sequence[float],
    offset: float = 0.0,
) -> xr.DataArray:
    """Periodic pulses `height sech^2((x - centre) / width)` along x on a constant `offset`, 1-D.

    On `u_t = -a*u*u_x - b*u_xxx` a pulse of width `sqrt(12 b / (a height))` is a soliton, of speed `a height / 3`.

    Args:
        axes: `x`.
        centres: Physical units.
        heights: Units of u.
        widths: Physical units; at most half the period.
        offset: Units of u.

    Returns:
        A frame `(x,)`.
    """
    # 4 e / (1 + e)^2 with e = exp(-2 |r|) is sech^2(r), and does not overflow.
    return _pulses(
        axes, lambda r: 4 * np.exp(-2 * abs(r)) / (1 + np.exp(-2 * abs(r))) ** 2, centres, heights, widths, offset
    )


def random_waves(axes: Axes, *, seed: int, modes: int = 4, amplitude: float = 1.0, offset: float = 0.0) -> xr.DataArray:
    """A smooth periodic random field: all waves of up to `modes` periods, independent normal coefficients.

    Args:
        axes: One to three.
        seed: Non-negative integer.
        modes: Largest length of the integer wavevector, below a third of the points of every axis.
        amplitude: Standard deviation over the frame, units of u.
        offset: Mean over the frame, units of u.

    Returns:
        A frame over `axes`.
    """
    names, points = dimension_names(axes), [len(axes[d]) for d in dimension_names(axes)]
    if not 1 <= modes < min(points) / 3:
        raise ValueError("modes must be at least 1 and below a third of the points of every axis")
    indices = np.meshgrid(*[np.arange(-modes, modes + 1)] * len(names), indexing="ij")
    vectors = np.stack([i.ravel() for i in indices], axis=1)
    length = np.sum(vectors**2, axis=1)
    vectors = vectors[(length > 0) & (length <= modes**2)]
    coefficients = np.random.default_rng(seed).standard_normal((len(vectors), 2)) @ np.array([1, 1j])
    spectrum = np.zeros(points, dtype=np.complex128)
    spectrum[tuple(vectors.T)] = coefficients
    field = np.fft.ifftn(spectrum).real
    return frame(axes, offset + amplitude * field / field.std())


def sine_modes(
    axes: Axes,
    *,
    amplitudes: Sequence[float],
    wavenumbers: Sequence[int | Sequence[int]],
    phases: Sequence[float] | None = None,
    offset: float = 0.0,
) -> xr.DataArray:
    """A sum of `amplitude sin(2 pi (k_x x / period_x + k_y y / period_y + ...) + phase)`, periodic.

    Args:
        axes: One to three.
        amplitudes: Units of u.
        wavenumbers: Whole periods per wave: an integer (along x), or one per axis in the order x, y, z.
        phases: Radians; zero by default.
        offset: Units of u.

    Returns:
        A frame over `axes`.
    """
    names = dimension_names(axes)
    grids = np.meshgrid(*(axes[d] / period(axes[d]) for d in names), indexing="ij")[::-1]
    total = np.full(grids[0].shape, float(offset))
    shifts = phases if phases is not None else [0.0] * len(amplitudes)
    for amplitude, numbers, phase in zip(amplitudes, wavenumbers, shifts, strict=True):
        vector = [numbers] if isinstance(numbers, int) else list(numbers)
        if not 1 <= len(vector) <= len(names) or any(int(k) != k for k in vector):
            raise ValueError("a wavenumber is an integer, or one integer per axis")
        turns = sum(k * g for k, g in zip(vector, grids, strict=False))
        total = total + amplitude * np.sin(2 * np.pi * turns + phase)
    return frame(axes, total)


def _pulses(
    axes: Axes,
    shape: Callable[[np.ndarray], np.ndarray],
    centres: Sequence[float],
    heights: Sequence[float],
    widths: Sequence[float],
    offset: float,
) -> xr.DataArray:
    """Pulses along x of a shape that is a function of distance over width, with their periodic images."""
    length = period(axes["x"])
    if len(axes) != 1 or not centres or max(widths) > length / 2 or min(widths) <= 0:
        raise ValueError("pulses need one axis, one centre or more, and widths up to half the period")
    total = np.full(len(axes["x"]), float(offset))
    for centre, height, width in zip(centres, heights, widths, strict=True):
        distance = axes["x"][:, None] - centre
        distance = distance - length * (np.round(distance / length) + _IMAGES)
        total = total + height * shape(distance / width).sum(axis=1)
    return frame(axes, total)
