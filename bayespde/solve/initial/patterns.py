"""Axes + positions and widths -> first frames with interfaces: nuclei, fronts and spirals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayespde.solve.initial.axes import Axes, dimension_names, frame, logistic, periodic_offset


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
        dx, dy = (periodic_offset(axes[d], c) for d, c in (("x", disc.x), ("y", disc.y)))
        edge = (np.hypot(dy[:, None], dx[None, :]) - disc.radius) / disc.width
        disordered = disordered * (1 - disc.order * logistic(-edge))
    return frame(axes, 1 - disordered)


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
    share = logistic(-2 * (axes["x"] - position) / width)
    if back_position is not None:
        share = share + logistic(2 * (axes["x"] - back_position) / width)
    points = [len(axes[d]) for d in dimension_names(axes)]
    return frame(axes, np.broadcast_to(right + (left - right) * share, points))


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
    return frame(axes, np.tanh(radius / core) * np.cos(angle - 2 * np.pi * radius / pitch - phase))
