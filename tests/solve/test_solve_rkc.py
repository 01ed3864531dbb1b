"""Compiled Chebyshev steps: right-hand sides against differences of tensors, orders, boundaries, draws that blow up."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import bayespde as bp
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, IntegrationError
from bayespde.core.functions import FUNCTIONS
from bayespde.solve.compiled.compiled_rhs import compiled_rhs
from bayespde.solve.compiled.ghost_grid import GhostGrid, fill_ghost_cells
from bayespde.solve.compiled.rkc import integrate_draws, is_diffusive
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.ensemble_problem import EnsembleProblem
from bayespde.solve.right_hand_side import right_hand_side

DIMS = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
EQUATIONS = {
    1: "u_t = 0.3*u_xx - 0.5*u*u_x + u - u**3 + 0.1*u*u_xx",
    2: "u_t = 0.3*u_xx + 0.2*u_yy + 0.1*u_xy - 0.4*u*u_y + sin(u)",
    3: "u_t = 0.3*u_xx + 0.2*u_yy + 0.4*u_zz - 0.1*u_x + u - u**3",
}


def method(boundary="periodic", order=4, rtol=1e-6, **settings):
    return SolverConfig(
        space="difference", order=order, boundary=boundary, rtol=rtol, atol=rtol, scheme="rkc", **settings
    )


def grid_of(dims):
    return Grid(DIMS[dims], (9, 8, 11)[-dims:], (0.5, 0.3, 0.4)[-dims:])


def frame_of(values, length=1.0):
    axes = {d: length * np.arange(n) / n for d, n in zip(DIMS[values.ndim], values.shape, strict=True)}
    return xr.DataArray(values, dims=DIMS[values.ndim], coords=axes, name="u")


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("boundary", ["periodic", "neumann", "dirichlet"])
def test_the_compiled_right_hand_side_equals_the_one_of_tensors(rng, dims, order, boundary):
    calls = " + ".join(f"{name}(u)" for name in FUNCTIONS)
    equation, grid = Equation.from_string(f"{EQUATIONS[dims]} + {calls}"), grid_of(dims)
    compiled = compiled_rhs(equation.terms, grid.dims, order)
    layout = GhostGrid.of(grid, boundary, compiled.width, compiled.derivatives)
    values, weights = rng.standard_normal(grid.points), np.array(equation.coefficients)
    (flat,) = layout.enter(values[None])
    fill_ghost_cells(flat, *layout.ghosts[:3])
    out = np.zeros_like(flat)
    compiled.stage(weights, layout.rows, np.array([0.0, 0.0, 0.0, 1.0, 0.0]), flat, flat, flat, flat, out)
    out[layout.ghosts.fixed] = 0.0
    inside = (slice(compiled.width, -compiled.width),) * dims
    wanted = right_hand_side(equation, grid, method=SolverConfig(space="difference", order=order, boundary=boundary))
    np.testing.assert_allclose(
        out.reshape(layout.shape)[inside], wanted.full(torch.from_numpy(values)).numpy(), rtol=1e-10, atol=1e-10
    )


def test_the_radius_bounds_every_eigenvalue(rng):
    equation, grid = Equation.from_string(EQUATIONS[1]), grid_of(1)
    compiled = compiled_rhs(equation.terms, grid.dims, 4)
    layout = GhostGrid.of(grid, "periodic", compiled.width, compiled.derivatives)
    values = rng.standard_normal(grid.points)
    rate = right_hand_side(equation, grid, method=SolverConfig(space="difference", order=4)).full
    jacobian = torch.autograd.functional.jacobian(rate, torch.from_numpy(values)).numpy()
    flat = np.pad(values, compiled.width, mode="wrap")
    radius = compiled.radius(np.array(equation.coefficients), layout.rows, flat)
    assert np.abs(np.linalg.eigvals(jacobian)).max() <= radius
    assert radius == pytest.approx(np.abs(jacobian).sum(axis=1).max(), rel=1e-10)


@pytest.mark.parametrize(("dims", "boundary"), [(1, "neumann"), (2, "periodic"), (2, "dirichlet"), (3, "neumann")])
def test_frames_equal_those_of_another_scheme(rng, dims, boundary):
    equation = Equation.from_string(EQUATIONS[dims])
    start = frame_of(0.5 * rng.standard_normal((9, 8, 11)[-dims:]), length=4.0)
    times = np.array([0.0, 0.1, 0.25, 1.0])
    found, wanted = (
        bp.integrate(
            equation,
            start,
            times,
            method=SolverConfig(space="difference", order=4, boundary=boundary, scheme=scheme, rtol=rtol, atol=rtol),
        )
        for scheme, rtol in (("rkc", 1e-8), ("explicit", 1e-10))
    )
    np.testing.assert_allclose(found.values, wanted.values, atol=2e-5)


def test_errors_fall_with_the_tolerance_as_those_of_a_scheme_of_second_order():
    """The decay of one mode is known: u = exp(-k^2 t) cos(k x), with the k^2 of the differences."""
    points, step = 64, 2 * math.pi / 64
    symbol = (2 * math.cos(2 * step) * -1 / 12 + 2 * math.cos(step) * 16 / 12 - 30 / 12) / step**2
    start = frame_of(np.cos(step * np.arange(points)), length=2 * math.pi)
    equation, errors = Equation.from_string("u_t = 1.0*u_xx"), []
    for rtol in (1e-4, 1e-6, 1e-8):
        last = bp.integrate(equation, start, np.array([0.0, 1.0]), method=method(rtol=rtol)).values[-1]
        errors.append(np.abs(last - math.exp(symbol) * start.values).max())
    # The error of a step falls with its third power, that of all steps with the second.
    orders = 1.5 * np.diff(np.log(errors)) / math.log(1e-2)
    assert errors[-1] < 1e-6
    assert np.all((orders > 0.75) & (orders < 1.9))


def test_diffusion_under_neumann_conditions_conserves_the_sum(rng):
    start = frame_of(rng.random((12, 10)), length=3.0)
    equation = Equation.from_string("u_t = 0.5*u_xx + 0.5*u_yy")
    frames = bp.integrate(equation, start, np.linspace(0, 2, 5), method=method("neumann"))
    np.testing.assert_allclose(frames.sum(("y", "x")).values, float(start.sum()), rtol=1e-10)


def test_a_draw_that_blows_up_ends_at_its_time_and_the_others_continue(rng):
    equation = Equation.from_string("u_t = 0.1*u_xx + 1.0*u**2")
    grid = Grid(("x",), (32,), (0.2,))
    coefficients = np.array([[0.1, 0.0], [0.1, 1.0], [0.1, -1.0]])[
        :, [equation.names.index("u_xx"), equation.names.index("u**2")]
    ]
    starts, times = np.full((3, 32), 1.0), np.linspace(0, 2, 9)
    problem = EnsembleProblem(equation, grid, coefficients, starts)
    frames, ended = integrate_draws(problem, times, method=method(), bound=1e3)
    # u = 1 / (1 - t) diverges at 1; the other draw is u = 1 / (1 + t).
    assert 0.99 < ended[1] <= 1.25
    assert np.isinf(ended[[0, 2]]).all()
    assert np.isnan(frames[1, times >= ended[1]]).all()
    np.testing.assert_allclose(frames[1, 3], 1 / (1 - 0.75), rtol=1e-3)
    np.testing.assert_allclose(frames[2, -1], 1 / 3, rtol=1e-4)
    with pytest.raises(IntegrationError, match="stopped"):
        bp.integrate(equation, frame_of(np.ones(32)), times, method=method())


def test_equations_dominated_by_advection_are_refused():
    start = frame_of(np.cos(2 * np.pi * np.arange(32) / 32))
    equation = Equation.from_string("u_t = -5.0*u_x + 0.001*u_xx")
    problem = EnsembleProblem(equation, Grid.of(start), np.array([equation.coefficients]), start.values[None])
    assert not is_diffusive(problem, method())
    with pytest.raises(ConfigError, match="advection dominates"):
        bp.integrate(equation, start, np.array([0.0, 0.1]), method=method())
    with pytest.raises(ConfigError, match="differences only"):
        SolverConfig(scheme="rkc")
