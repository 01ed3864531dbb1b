"""Grid + values -> derivatives by differences, and transforms in which derivatives are products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import sympy
import torch
import xarray as xr

from bayespde.core.arrays import check_real
from bayespde.core.errors import FieldError
from bayespde.core.field import ALLOWED_DIMS
from bayespde.core.field_values import MINIMUM_SAMPLES
from bayespde.solve.config import SolverConfig

SPACE_DIMS = tuple(dims[1:] for dims in ALLOWED_DIMS)
MAXIMUM_DIFFERENCE_ORDER = 4


@dataclass(frozen=True)
class Grid:
    """An evenly spaced grid.

    Attributes:
        dims: `("x",)`, `("y", "x")` or `("z", "y", "x")`.
        points: Number of points per dimension.
        steps: Grid step per dimension, physical units.
    """

    dims: tuple[str, ...]
    points: tuple[int, ...]
    steps: tuple[float, ...]

    @classmethod
    def of(cls, frame: Any) -> Grid:
        """The grid of one frame, a DataArray whose dims are in the order of `dims`.

        Raises:
            FieldError: If dims, coordinates, length or values are not usable.
        """
        dims = next((d for d in SPACE_DIMS if isinstance(frame, xr.DataArray) and frame.dims == d), None)
        if dims is None:
            raise FieldError(
                "The start must be one frame.",
                got=getattr(frame, "dims", type(frame).__name__),
                wanted="a DataArray with dims " + " or ".join(map(str, SPACE_DIMS)),
                fix="field.isel(time=0).transpose('y', 'x')",
            )
        for array in (frame, *(frame[d] for d in dims if d in frame.coords)):
            check_real(array, "start" if array is frame else f"start.{array.name}")
        for dim in dims:
            gaps = np.diff(frame[dim].values) if dim in frame.coords else np.zeros(0)
            even = gaps.size + 1 >= MINIMUM_SAMPLES and gaps.min() > 0 and np.ptp(gaps) <= 1e-3 * gaps.mean()
            if not even:
                raise FieldError(
                    f"The coordinate {dim!r} of the start is not usable.",
                    got=f"{frame.sizes[dim]} points, " + ("uneven steps" if gaps.size else "no coordinate"),
                    wanted=f"at least {MINIMUM_SAMPLES} increasing, evenly spaced positions",
                    fix=f"start.assign_coords({dim}=step * numpy.arange(points))",
                )
        if not np.isfinite(frame.values.astype(np.float64)).all():
            raise FieldError(
                "The start must be finite.",
                got=f"{frame.dtype} with {int(frame.isnull().sum())} missing",
                wanted="a finite value at every point",
                fix="fill the gaps, for example from the smoothed field",
            )
        ends = [(float(frame[d][0]), float(frame[d][-1])) for d in dims]
        points = tuple(frame.sizes[d] for d in dims)
        return cls(dims, points, tuple((b - a) / (n - 1) for (a, b), n in zip(ends, points, strict=True)))


class Transform(NamedTuple):
    """A linear map over the trailing space axes and its inverse; leading axes (draws) pass through.

    Attributes:
        forward: Values `[..., *points]`, float64, to modes.
        inverse: Modes to values.
    """

    forward: Callable[[torch.Tensor], torch.Tensor]
    inverse: Callable[[torch.Tensor], torch.Tensor]


def transform(grid: Grid, *, boundary: str) -> Transform:
    """The transform of a boundary condition: Fourier, cosine (neumann), or sine and the boundary values (dirichlet)."""
    axes = tuple(range(-len(grid.dims), 0))
    if boundary == "periodic":
        return Transform(
            lambda values: torch.fft.rfftn(values, dim=axes),
            lambda modes: torch.fft.irfftn(modes, s=grid.points, dim=axes),
        )
    matrices = [torch.as_tensor(_orthogonal_matrix(n, boundary)) for n in grid.points]

    def apply(values: torch.Tensor, transpose: bool) -> torch.Tensor:
        for axis, exact in zip(axes, matrices, strict=True):
            matrix = exact.to(values.dtype)
            values = (values.movedim(axis, -1) @ (matrix if transpose else matrix.T)).movedim(-1, axis)
        return values

    return Transform(lambda values: apply(values, False), lambda modes: apply(modes, True))


def _orthogonal_matrix(points: int, boundary: str) -> np.ndarray:
    if boundary == "neumann":
        return scipy.fft.dct(np.eye(points), type=2, norm="ortho", axis=0)
    matrix = np.eye(points)
    matrix[1:-1, 1:-1] = scipy.fft.dst(np.eye(points - 2), type=1, norm="ortho", axis=0)
    return matrix


def symbol_of(grid: Grid, orders: tuple[int, ...], *, method: SolverConfig) -> torch.Tensor | None:
    """The symbol of a derivative: the factor by which it multiplies each mode.

    Args:
        grid: The grid.
        orders: Order of differentiation per dimension.
        method: Space discretisation, order of accuracy and boundary.

    Returns:
        `[*modes]`, complex for a periodic grid and real otherwise; None if the derivative is not diagonal in the modes
        (odd orders without a periodic boundary). It is zero for boundary values under Dirichlet conditions.
    """
    if method.boundary != "periodic" and any(o % 2 for o in orders):
        return None
    total = torch.ones((), dtype=torch.float64)
    for axis, (points, step, order) in enumerate(zip(grid.points, grid.steps, orders, strict=True)):
        angles = _mode_angles(points, half=axis == len(orders) - 1, boundary=method.boundary)
        if method.space == "fourier":
            factor = np.asarray((1j * angles / step) ** order)
            factor[np.isclose(np.abs(angles), np.pi)] *= (order + 1) % 2
        else:
            offsets, weights = difference_weights(order, method.order)
            factor = np.exp(1j * angles[:, None] * offsets) @ weights / step**order
        if method.boundary == "dirichlet":
            factor[[0, -1]] = 0.0
        total = total[..., None] * torch.as_tensor(factor if method.boundary == "periodic" else factor.real)
    return total


def _mode_angles(points: int, *, half: bool, boundary: str) -> np.ndarray:
    """Wavenumber of each mode times the grid step, in radians."""
    if boundary == "periodic":
        return 2 * np.pi * (np.fft.rfftfreq(points) if half else np.fft.fftfreq(points))
    return np.pi * np.arange(points) / (points if boundary == "neumann" else points - 1)


def dealias_mask(grid: Grid) -> torch.Tensor:
    """One for wavenumbers below two thirds of the largest along every axis, else zero: `[*modes]`."""
    mask = torch.ones((), dtype=torch.float64)
    for axis, points in enumerate(grid.points):
        angles = _mode_angles(points, half=axis == len(grid.points) - 1, boundary="periodic")
        mask = mask[..., None] * torch.as_tensor((np.abs(angles) < 2 * np.pi / 3).astype(np.float64))
    return mask


@lru_cache
def difference_weights(derivative: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and weights (unit step) of the central difference for a derivative, accurate to `order`."""
    if derivative == 0:
        return np.zeros(1), np.ones(1)
    half = (derivative + 1) // 2 + order // 2 - 1
    offsets = list(range(-half, half + 1))
    weights = sympy.finite_diff_weights(derivative, offsets, 0)[derivative][-1]
    return np.array(offsets, dtype=np.float64), np.array([float(w) for w in weights])


def difference(values: torch.Tensor, grid: Grid, orders: tuple[int, ...], *, method: SolverConfig) -> torch.Tensor:
    """Central difference of `values` (`[..., *points]`), one axis after the other, in the same shape."""
    for axis, (points, step, order) in enumerate(zip(grid.points, grid.steps, orders, strict=True)):
        if order:
            offsets, weights = difference_weights(order, method.order)
            dim, half = axis - len(orders), len(offsets) // 2
            wide = _extended(values, dim, half, method.boundary)
            parts = ((w / step**order, i) for i, w in enumerate(weights) if w)
            values = sum(  # type: ignore[assignment]
                (w * wide.narrow(dim, i, points) for w, i in parts), start=torch.zeros(())
            )
    return values


def _extended(values: torch.Tensor, dim: int, width: int, boundary: str) -> torch.Tensor:
    """Values with `width` ghost points beyond both ends."""
    points = values.shape[dim]
    if boundary == "periodic":
        before, after = values.narrow(dim, points - width, width), values.narrow(dim, 0, width)
    elif boundary == "neumann":
        before, after = (
            values.narrow(dim, 0, width).flip(dim),
            values.narrow(dim, points - width, width).flip(dim),
        )
    else:
        first, last = values.narrow(dim, 0, 1), values.narrow(dim, points - 1, 1)
        before = 2 * first - values.narrow(dim, 1, width).flip(dim)
        after = 2 * last - values.narrow(dim, points - 1 - width, width).flip(dim)
    return torch.cat([before, values, after], dim=dim)
