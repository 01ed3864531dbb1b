"""Axes + a few numbers -> a first frame: nuclei, pulses, waves and fronts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.solve.derivatives import SPACE_DIMS

Axes = Mapping[str, np.ndarray]
_IMAGES = np.arange(-3, 4)


class Nucleus(NamedTuple):
    """One partly ordered disc.

    Attributes:
        x: Centre, physical units.
        y: Centre, physical units.
        radius: Where the order has fallen to half, physical units.
        order: Order deep inside, 0 to 1.
        width: Length of the logistic edge, physical units.
    """

    x: float
    y: float
    radius: float
    order: float
    width: float


def initial_state(kind: str, axes: Axes, **parameters: Any) -> xr.DataArray:
    """Build a first frame by name, from plain values as read from a declaration.

    Args:
        kind: "nuclei", "gaussian_pulses", "solitons", "random_waves", "planar_front", "sine_modes" or
            "spiral".
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


def nuclei(axes: Axes, *, nuclei: Sequence[Nucleus | Mapping[str, float] | Sequence[float]]) -> xr.DataArray:
    """Partly ordered discs, periodic: `1 - prod_k (1 - order_k / (1 + exp((r_k - radius_k) / width_k)))`.

    Args:
        axes: `y` and `x`; distances `r_k` are to the nearest periodic image.
        nuclei: The discs; each a `Nucleus`, a mapping with its field names, or five numbers in their order.

    Returns:
        A frame `(y, x)`, between 0 and 1.
    """
    if not nuclei or set(axes) != {"x", "y"}:
        raise ValueError("nuclei need the axes x and y, and one nucleus or more")
    disordered = np.ones((1, 1))
    for entry in nuclei:
        disc = Nucleus(**entry) if isinstance(entry, Mapping) else Nucleus(*entry)
        dx, dy = (_periodic_offset(axes[d], c) for d, c in (("x", disc.x), ("y", disc.y)))
        edge = (np.hypot(dy[:, None], dx[None, :]) - disc.radius) / disc.width
        disordered = disordered * (1 - disc.order * _logistic(-edge))
    return _frame(axes, 1 - disordered)


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
    names, points = _names(axes), [len(axes[d]) for d in _names(axes)]
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
    return _frame(axes, offset + amplitude * field / field.std())


def planar_front(
    axes: Axes,
    *,
    position: float,
    width: float,
    left: float = 1.0,
    right: float = 0.0,
    back_position: float | None = None,
) -> xr.DataArray:
    """A front `right + (left - right) (1 - tanh((x - position) / width)) / 2`, the same for all y and z.

    Args:
        axes: One to three, `x` among them.
        position: Of the middle of the front, physical units.
        width: Physical units, positive.
        left: Value far to the left, units of u.
        right: Value far to the right, units of u.
        back_position: Of a second front, right of the first, that leads back to `left`, for periodic axes.

    Returns:
        A frame over `axes`.
    """
    if width <= 0 or (back_position is not None and back_position <= position):
        raise ValueError("the width must be positive, and the second front right of the first")
    share = _logistic(-2 * (axes["x"] - position) / width)
    if back_position is not None:
        share = share + _logistic(2 * (axes["x"] - back_position) / width)
    points = [len(axes[d]) for d in _names(axes)]
    return _frame(axes, np.broadcast_to(right + (left - right) * share, points))


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
    names = _names(axes)
    grids = np.meshgrid(*(axes[d] / _period(axes[d]) for d in names), indexing="ij")[::-1]
    total = np.full(grids[0].shape, float(offset))
    shifts = phases if phases is not None else [0.0] * len(amplitudes)
    for amplitude, numbers, phase in zip(amplitudes, wavenumbers, shifts, strict=True):
        vector = [numbers] if isinstance(numbers, int) else list(numbers)
        if not 1 <= len(vector) <= len(names) or any(int(k) != k for k in vector):
            raise ValueError("a wavenumber is an integer, or one integer per axis")
        turns = sum(k * g for k, g in zip(vector, grids, strict=False))
        total = total + amplitude * np.sin(2 * np.pi * turns + phase)
    return _frame(axes, total)


def spiral(axes: Axes, *, x: float, y: float, core: float, pitch: float, phase: float = 0.0) -> xr.DataArray:
    """One arm that winds around a centre: `tanh(r / core) cos(angle - 2 pi r / pitch - phase)`.

    Two fields a quarter turn apart in `phase` are the start of a rotating spiral.

    Args:
        axes: `y` and `x`.
        x: Of the centre, physical units.
        y: Of the centre, physical units.
        core: Radius within which the amplitude falls to zero, physical units.
        pitch: Distance between turns of the arm, physical units.
        phase: Radians.

    Returns:
        A frame `(y, x)`, between -1 and 1.
    """
    if set(axes) != {"x", "y"}:
        raise ValueError("a spiral needs the axes x and y")
    across, along = np.asarray(axes["x"])[None, :] - x, np.asarray(axes["y"])[:, None] - y
    radius, angle = np.hypot(along, across), np.arctan2(along, across)
    return _frame(axes, np.tanh(radius / core) * np.cos(angle - 2 * np.pi * radius / pitch - phase))


KINDS: dict[str, Callable[..., xr.DataArray]] = {
    f.__name__: f for f in (nuclei, gaussian_pulses, solitons, random_waves, planar_front, sine_modes, spiral)
}


def _pulses(
    axes: Axes,
    shape: Callable[[np.ndarray], np.ndarray],
    centres: Sequence[float],
    heights: Sequence[float],
    widths: Sequence[float],
    offset: float,
) -> xr.DataArray:
    """Pulses along x of a shape that is a function of distance over width, with their periodic images."""
    period = _period(axes["x"])
    if len(axes) != 1 or not centres or max(widths) > period / 2 or min(widths) <= 0:
        raise ValueError("pulses need one axis, one centre or more, and widths up to half the period")
    total = np.full(len(axes["x"]), float(offset))
    for centre, height, width in zip(centres, heights, widths, strict=True):
        distance = axes["x"][:, None] - centre
        distance = distance - period * (np.round(distance / period) + _IMAGES)
        total = total + height * shape(distance / width).sum(axis=1)
    return _frame(axes, total)


def _names(axes: Axes) -> tuple[str, ...]:
    """The dimensions in the order z, y, x."""
    names = next((dims for dims in SPACE_DIMS if set(dims) == set(axes)), None)
    if names is None:
        raise ValueError(f"axes must be x, or y and x, or z, y and x, not {sorted(axes)}")
    return names


def _period(axis: np.ndarray) -> float:
    return float((axis[-1] - axis[0]) * len(axis) / (len(axis) - 1))


def _periodic_offset(axis: np.ndarray, centre: float) -> np.ndarray:
    offset, period = axis - centre, _period(axis)
    return offset - period * np.round(offset / period)


def _logistic(argument: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(argument / 2))


def _frame(axes: Axes, values: np.ndarray) -> xr.DataArray:
    names = _names(axes)
    return xr.DataArray(
        np.array(values, dtype=np.float64),
        dims=names,
        coords={d: np.asarray(axes[d], dtype=np.float64) for d in names},
        name="u",
    )
