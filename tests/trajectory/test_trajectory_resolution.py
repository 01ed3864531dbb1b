"""Trajectories on coarse grids: independent of the number of pixels, and as fine as the solution needs."""

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import OutOfReachError
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory
from bayespde.trajectory.initial_state_basis import state_basis


def frame(values, x):
    return xr.DataArray(values, dims="x", coords={"x": x}, name="u")


def test_more_pixels_of_the_same_field_cost_no_more_points(seed):
    """Decaying waves on 32 and 256 pixels: the estimate is within its error, on few points."""
    rng, t = np.random.default_rng(seed), np.linspace(0, 1, 25)
    for pixels in (32, 256):
        x = 2 * np.pi * np.arange(pixels) / pixels
        clean = sum(a * np.exp(-0.2 * k**2 * t[:, None]) * np.sin(k * x + k) for k, a in ((1, 1.0), (2, 0.7), (3, 0.5)))
        found = fit_trajectory(
            bp.Equation.from_string("u_t = 0.3*u_xx"),
            TrajectoryData(
                bp.make_field(clean + 0.1 * rng.standard_normal(clean.shape), t=t, x=x),
                NoiseModel(0.1),
                frame(clean[0], x),
            ),
            config=TrajectoryConfig(most_modes=7),
        )
        assert found.mode.problem.resolution.grid.points[0] <= 32
        assert abs(found.equation.coefficients[0] - 0.2) < 5 * found.sd[0]


def test_a_steepening_front_gets_the_points_that_it_needs():
    """A Burgers pulse of few waves at first, whose front needs many, from pixels without noise."""
    x, t = np.linspace(0, 2 * np.pi, 256, endpoint=False), np.linspace(0, 1.5, 30)
    equation = bp.Equation.from_string("u_t = -1.0*u*u_x + 0.05*u_xx")
    clean = bp.integrate(equation, frame(np.sin(x), x), t)
    basis = state_basis(np.sin(x), boundary="periodic", error=1e-3, most=5)
    assert basis.wave.max() < 0.05
    found = fit_trajectory(
        bp.Equation.from_string("u_t = -0.9*u*u_x + 0.06*u_xx"),
        TrajectoryData(bp.make_field(clean.values, t=t, x=x), NoiseModel(0.05), frame(np.sin(x), x)),
        config=TrajectoryConfig(most_modes=5),
    )
    assert 48 < found.mode.problem.resolution.grid.points[0] < 256
    assert found.equation.as_dict() == pytest.approx({"u*u_x": -1.0, "u_xx": 0.05}, rel=2e-3)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (-0.3, 0.5)])
def test_dirichlet_boundary_values_are_arbitrary(ends):
    """A line and a decaying sine: three modes of the first state under Dirichlet conditions describe it."""
    x, t = np.linspace(0, 1, 80), np.linspace(0, 0.1, 20)
    line = ends[0] + (ends[1] - ends[0]) * x
    clean = line + np.exp(-(np.pi**2) * t[:, None]) * np.sin(np.pi * x)
    found = fit_trajectory(
        bp.Equation.from_string("u_t = 0.8*u_xx"),
        TrajectoryData(bp.make_field(clean, t=t, x=x), NoiseModel(1e-3), frame(clean[0], x)),
        config=TrajectoryConfig(most_modes=3, method=SolverConfig(space="difference", order=4, boundary="dirichlet")),
    )
    assert found.equation.coefficients[0] == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(found.fitted.values, clean, atol=1e-4)


@pytest.mark.parametrize("viscosity", [0.05, 0.02])
def test_a_front_narrower_than_the_pixels_gets_more_points_than_there_are_pixels(viscosity, seed):
    """The coefficients are within their errors; with states at the pixels they are off by one to eight of them."""
    found = fit_trajectory(
        bp.Equation.from_string("u_t = 0.06*u_xx - 0.9*u*u_x"), burgers_at_few_pixels(viscosity, seed)
    )
    assert found.converged
    assert found.mode.problem.resolution.grid.points[0] > 64
    errors = np.array(found.equation.coefficients) - [viscosity, -1.0]
    assert (np.abs(errors) < 5 * found.sd).all()


def test_a_front_that_no_affordable_grid_resolves_is_out_of_reach(seed):
    with pytest.raises(OutOfReachError, match="narrower than the pixels") as caught:
        fit_trajectory(bp.Equation.from_string("u_t = 0.02*u_xx - u*u_x"), burgers_at_few_pixels(0.004, seed))
    assert "isel(time=slice(0, 40))" in str(caught.value)


def burgers_at_few_pixels(viscosity, seed):
    """A sine that steepens, at 64 of 1024 points, 5 % noise."""
    x, t = np.linspace(0, 2 * np.pi, 1024, endpoint=False), np.linspace(0, 2, 41)
    equation = bp.Equation.from_string(f"u_t = {viscosity}*u_xx - u*u_x")
    clean = bp.integrate(equation, frame(np.sin(x), x), t).isel(x=slice(None, None, 16))
    noise = 0.05 * np.random.default_rng(seed).standard_normal(clean.shape)
    return TrajectoryData(clean + noise, NoiseModel(0.05), frame(np.sin(clean.x.values), clean.x.values))
