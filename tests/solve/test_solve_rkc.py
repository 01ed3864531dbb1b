"""Compiled Chebyshev steps: right-hand sides against tensors of differences, orders, boundaries, draws that end."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import bayespde as bp
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, IntegrationError
from bayespde.solve.compiled.compiled_rhs import GhostGrid, compiled_rhs
from bayespde.solve.compiled.rkc import follow_draws, is_diffusive
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.stencils import right_hand_side

DIMS = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
LAWS = {
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
def test_one_pass_is_the_right_hand_side_by_tensors(rng, dims, order, boundary):
    from bayespde.solve.compiled.rkc import _fill_ghost_cells

    law, grid = Equation.from_string(LAWS[dims]), grid_of(dims)
    compiled = compiled_rhs(law.terms, grid.dims, order)
    layout = GhostGrid.of(grid, boundary, compiled)
    values, weights = rng.standard_normal(grid.points), np.array(law.coefficients)
    (flat,) = layout.enter(values[None])
    _fill_ghost_cells(flat, *layout.edges[:3])
    out = np.zeros_like(flat)
    compiled.stage(weights, layout.rows, np.array([0.0, 0.0, 0.0, 1.0, 0.0]), flat, flat, flat, flat, out)
    out[layout.edges.held] = 0.0
    inside = (slice(compiled.width, -compiled.width),) * dims
    wanted = right_hand_side(law, grid, method=SolverConfig(space="difference", order=order, boundary=boundary))
    np.testing.assert_allclose(
        out.reshape(layout.shape)[inside], wanted.full(torch.from_numpy(values)).numpy(), rtol=1e-10, atol=1e-10
    )


def test_the_radius_bounds_every_eigenvalue(rng):
    law, grid = Equation.from_string(LAWS[1]), grid_of(1)
    compiled = compiled_rhs(law.terms, grid.dims, 4)
    layout = GhostGrid.of(grid, "periodic", compiled)
    values = rng.standard_normal(grid.points)
    rate = right_hand_side(law, grid, method=SolverConfig(space="difference", order=4)).full
    jacobian = torch.autograd.functional.jacobian(rate, torch.from_numpy(values)).numpy()
    flat = np.pad(values, compiled.width, mode="wrap")
    radius = compiled.radius(np.array(law.coefficients), layout.rows, flat)
    assert np.abs(np.linalg.eigvals(jacobian)).max() <= radius
    assert radius == pytest.approx(np.abs(jacobian).sum(axis=1).max(), rel=1e-10)


@pytest.mark.parametrize(("dims", "boundary"), [(1, "neumann"), (2, "periodic"), (2, "dirichlet"), (3, "neumann")])
def test_frames_are_those_of_other_steps(rng, dims, boundary):
    law = Equation.from_string(LAWS[dims])
    start = frame_of(0.5 * rng.standard_normal((9, 8, 11)[-dims:]), length=4.0)
    times = np.array([0.0, 0.1, 0.25, 1.0])
    found, wanted = (
        bp.integrate(
            law,
            start,
            times,
            method=SolverConfig(space="difference", order=4, boundary=boundary, scheme=scheme, rtol=rtol, atol=rtol),
        )
        for scheme, rtol in (("rkc", 1e-8), ("explicit", 1e-10))
    )
    np.testing.assert_allclose(found.values, wanted.values, atol=2e-5)


def test_errors_fall_with_the_tolerance_as_a_scheme_of_second_order_has_it():
    """Decay of one mode is known: u = exp(-k^2 t) cos(k x), k^2 that of the differences."""
    points, step = 64, 2 * math.pi / 64
    symbol = (2 * math.cos(2 * step) * -1 / 12 + 2 * math.cos(step) * 16 / 12 - 30 / 12) / step**2
    start = frame_of(np.cos(step * np.arange(points)), length=2 * math.pi)
    law, errors = Equation.from_string("u_t = 1.0*u_xx"), []
    for rtol in (1e-4, 1e-6, 1e-8):
        last = bp.integrate(law, start, np.array([0.0, 1.0]), method=method(rtol=rtol)).values[-1]
        errors.append(np.abs(last - math.exp(symbol) * start.values).max())
    # The error of a step falls with its third power, that of all steps with the second.
    orders = 1.5 * np.diff(np.log(errors)) / math.log(1e-2)
    assert errors[-1] < 1e-6
    assert np.all((orders > 0.75) & (orders < 1.9))


def test_what_diffuses_between_walls_is_conserved(rng):
    start = frame_of(rng.random((12, 10)), length=3.0)
    law = Equation.from_string("u_t = 0.5*u_xx + 0.5*u_yy")
    frames = bp.integrate(law, start, np.linspace(0, 2, 5), method=method("neumann"))
    np.testing.assert_allclose(frames.sum(("y", "x")).values, float(start.sum()), rtol=1e-10)


def test_a_draw_that_blows_up_ends_alone_and_says_when(rng):
    law = Equation.from_string("u_t = 0.1*u_xx + 1.0*u**2")
    grid = Grid(("x",), (32,), (0.2,))
    coefficients = np.array([[0.1, 0.0], [0.1, 1.0], [0.1, -1.0]])[
        :, [law.names.index("u_xx"), law.names.index("u**2")]
    ]
    starts, times = np.full((3, 32), 1.0), np.linspace(0, 2, 9)
    frames, ended = follow_draws(law, grid, coefficients, starts, times, method=method(), bound=1e3)
    # u = 1 / (1 - t): gone at 1; u = 1 / (1 + t).
    assert 0.99 < ended[1] <= 1.25
    assert np.isinf(ended[[0, 2]]).all()
    assert np.isnan(frames[1, times >= ended[1]]).all()
    np.testing.assert_allclose(frames[1, 3], 1 / (1 - 0.75), rtol=1e-3)
    np.testing.assert_allclose(frames[2, -1], 1 / 3, rtol=1e-4)
    with pytest.raises(IntegrationError, match="stopped"):
        bp.integrate(Equation.from_string("u_t = 0.1*u_xx + 1.0*u**2"), frame_of(np.ones(32)), times, method=method())


def test_what_is_carried_more_than_it_diffuses_is_refused():
    start = frame_of(np.cos(2 * np.pi * np.arange(32) / 32))
    law = Equation.from_string("u_t = -5.0*u_x + 0.001*u_xx")
    weights = np.array([law.coefficients])
    assert not is_diffusive(law, Grid.of(start), weights, start.values[None], method())
    with pytest.raises(ConfigError, match="carries more"):
        bp.integrate(law, start, np.array([0.0, 0.1]), method=method())
    with pytest.raises(ConfigError, match="differences only"):
        SolverConfig(scheme="rkc")
