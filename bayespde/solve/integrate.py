"""Equation + first frame -> all frames: an adaptive integrator that hits every output time."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
import torch
import xarray as xr

from bayespde.core.arrays import real_array
from bayespde.core.checked import validated
from bayespde.core.column import check_expressions
from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, FieldError, IntegrationError
from bayespde.core.field import check_one_grid
from bayespde.core.one_order import in_one_order
from bayespde.core.progress import Progress
from bayespde.solve.compiled.rkc import integrate_draws, is_diffusive
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.ensemble_problem import EnsembleProblem
from bayespde.solve.right_hand_side import needed_derivatives, right_hand_side
from bayespde.solve.time_stepping import evolve
from bayespde.solve.well_posed import check_well_posed


@overload
def integrate(
    equation: Equation,
    start: xr.DataArray,
    times: Any,
    *,
    method: SolverConfig | None = None,
    progress: bool | Progress = False,
) -> xr.DataArray: ...
@overload
def integrate(
    equation: CoupledEquations,
    start: xr.Dataset,
    times: Any,
    *,
    method: SolverConfig | None = None,
    progress: bool | Progress = False,
) -> xr.Dataset: ...
@validated
@in_one_order
def integrate(
    equation: Equation | CoupledEquations,
    start: xr.DataArray | xr.Dataset,
    times: Any,
    *,
    method: SolverConfig | None = None,
    progress: bool | Progress = False,
) -> xr.DataArray | xr.Dataset:
    """Integrate an equation, or a system, from a first frame.

    Args:
        equation: `u_t = ...`, coefficients in the physical units of `start` and `times`; or a `CoupledEquations`.
        start: The frame at `times[0]`: dims `("x",)`, `("y", "x")` or `("z", "y", "x")`, evenly spaced, finite. On a
            periodic grid the period is points times step: the last point is not the first again. For a system a Dataset
            with one such frame for each of its fields.
        times: Output times, 1-D, at least two, strictly increasing; units are taken from its `attrs` or from a scalar
            coordinate `time` of `start`.
        method: Discretisation in space and time; by default Fourier in space and adaptive in time.
        progress: Whether to show a bar.

    Returns:
        Frames with dims `("time", *start.dims)`, float64, named after the variable, the first one equal to `start`,
        with its units and coordinates; of a system a Dataset of these. Each passes `validate_field` if there are five
        or more evenly spaced times and it is not constant.

    Raises:
        ConfigError: If equation, times and method do not fit together.
        FieldError: If `start` is not usable.
        IllPosedError: If the equation is ill-posed, and rounding errors would outgrow the solution.
        IntegrationError: If the solution blows up, or needs too small or too many steps; it names the time.
    """
    chosen, output_times = method or SolverConfig(), checked_times(times)
    if isinstance(equation, CoupledEquations):
        frames = _of_each(equation, start)
        grid, values = Grid.of(frames[0]), np.stack([f.values for f in frames])
    else:
        frames = [_one_frame(equation, start)]
        grid, values = Grid.of(frames[0]), frames[0].values
    _check_equation(equation, grid, values, output_times, chosen)
    if chosen.scheme == "rkc":
        found = _by_chebyshev_steps(equation, grid, values, output_times, chosen)
    else:
        compiled = right_hand_side(equation, grid, method=chosen)
        first = torch.tensor(values, dtype=torch.float64)
        found = evolve(compiled, first, output_times, method=chosen, progress=progress).numpy()
    if isinstance(equation, CoupledEquations):
        each = zip(equation.variables, frames, range(len(frames)), strict=True)
        return xr.Dataset({name: _field(found[:, i], frame, times, name) for name, frame, i in each})
    return _field(found, frames[0], times, equation.variable)


def _one_frame(equation: Equation, start: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """The first frame of an equation."""
    check_expressions(equation.terms)
    if isinstance(start, xr.Dataset):
        raise FieldError(
            "One equation starts from one frame.",
            got=f"a Dataset of {', '.join(map(str, start.data_vars))}",
            wanted="a DataArray",
            fix="integrate(CoupledEquations(...), start, times), or start['u']",
        )
    if start.name not in (None, equation.variable):
        raise FieldError(
            "The start is another field than that of the equation.",
            got=f"{start.name!r} for an equation of {equation.variable!r}",
            wanted=f"a frame named {equation.variable!r}, or without a name",
            fix=f"start.rename({equation.variable!r})",
        )
    return start


def _check_equation(
    equation: Equation | CoupledEquations, grid: Grid, start: np.ndarray, times: np.ndarray, method: SolverConfig
) -> None:
    """Check that the derivatives can be taken on the grid, and that the equation is well-posed."""
    equations = equation.equations if isinstance(equation, CoupledEquations) else (equation,)
    needed_derivatives(equations, grid, method)
    coefficients = np.array([[c for e in equations for c in e.coefficients]])
    check_well_posed(EnsembleProblem(equation, grid, coefficients, start[None].astype(np.float64)), times, method)


def _of_each(system: CoupledEquations, start: xr.DataArray | xr.Dataset) -> list[xr.DataArray]:
    """The first frame of every field of a system, all on one grid."""
    if not isinstance(start, xr.Dataset) or not set(system.variables) <= set(start.data_vars):
        raise FieldError(
            "A system starts from one frame for each of its fields.",
            got=", ".join(map(str, start.data_vars)) if isinstance(start, xr.Dataset) else type(start).__name__,
            wanted="a Dataset with " + ", ".join(system.variables),
            fix="xarray.Dataset({'u': first_frame, 'v': first_frame_of_v})",
        )
    frames = [start[name] for name in system.variables]
    for one in frames:
        Grid.of(one)
    check_one_grid(frames)
    return frames


def _by_chebyshev_steps(
    equation: Equation | CoupledEquations, grid: Grid, start: np.ndarray, times: np.ndarray, method: SolverConfig
) -> np.ndarray:
    """Frames `[time, *points]` by compiled Runge-Kutta-Chebyshev steps."""
    if isinstance(equation, CoupledEquations):
        raise ConfigError(
            "Chebyshev steps are compiled for one equation.",
            got=f"a system of {', '.join(equation.variables)}",
            wanted="an Equation",
            fix="scheme='auto'",
        )
    problem = EnsembleProblem(equation, grid, np.array([equation.coefficients]), start[None].astype(np.float64))
    if not is_diffusive(problem, method):
        raise ConfigError(
            "Chebyshev steps do not suit this equation: advection dominates diffusion.",
            got=str(equation),
            wanted="second derivatives that outweigh first ones from point to point",
            fix="scheme='auto'",
        )
    (frames,), (ended,) = integrate_draws(problem, times, method=method, bound=math.inf)
    if ended <= times[-1]:
        error = IntegrationError(
            f"The integration stopped at time {ended:.6g}.",
            got=f"step vanishing, or more than {method.maximum_steps} steps",
            wanted="a bounded solution",
            fix="end earlier, check the signs of the coefficients, or use a coarser grid or looser rtol",
        )
        error.time = float(ended)
        raise error
    return frames


def checked_times(times: Any, *, least: int = 2) -> np.ndarray:
    """Return times as an array, `[time]`, float64.

    Raises:
        ConfigError: If they are not finite and strictly increasing, or too few.
    """
    array = real_array(times, "times", error=ConfigError)
    array = np.atleast_1d(array) if least == 1 else array
    if array.ndim != 1 or array.size < least or not np.isfinite(array).all() or not (np.diff(array) > 0).all():
        raise ConfigError(
            "The times are not usable.",
            got=f"shape {array.shape}",
            wanted=f"one axis, {least} or more finite, strictly increasing times",
            fix="times=numpy.linspace(0, 1, 51)",
        )
    return array


def _field(frames: np.ndarray, start: xr.DataArray, times: Any, name: str) -> xr.DataArray:
    """Frames with the coordinates and units of the first one."""
    attrs = getattr(times, "attrs", {}) or (start["time"].attrs if "time" in start.coords else {})
    time = xr.DataArray(np.asarray(times, dtype=np.float64), dims="time", attrs=attrs)
    axes = {d: start[d].astype(np.float64).reset_coords(drop=True) for d in start.dims}
    found = xr.DataArray(frames, dims=("time", *start.dims), name=name, attrs=start.attrs)
    found = found.assign_coords({"time": time, **axes})
    for part in (found, *(found[d] for d in found.dims)):
        part.attrs.setdefault("units", "1")
    return found
