"""Coarse grids against closed forms: waves pass unchanged, and trajectories do not depend on the camera."""

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.noise.observation_model import ObservationModel
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.resolution import Resolution, resampled
from bayespde.trajectory.fit import TrajectoryConfig, fit_trajectory
from bayespde.trajectory.initial_state_basis import state_basis

SERIES = {
    "periodic": (lambda n: np.arange(n) / n, lambda x: 1 + np.sin(2 * np.pi * 3 * x + 1)),
    "neumann": (lambda n: (np.arange(n) + 0.5) / n, lambda x: 1 + np.cos(np.pi * 5 * x)),
    "dirichlet": (lambda n: np.linspace(0, 1, n), lambda x: 2 - 3 * x + np.sin(np.pi * 4 * x)),
}


@pytest.mark.parametrize("boundary", SERIES)
@pytest.mark.parametrize(("given", "wanted"), [(24, 100), (25, 101), (100, 25), (31, 31)])
def test_waves_that_both_grids_hold_pass_unchanged(boundary, given, wanted):
    places, wave = SERIES[boundary]
    np.testing.assert_allclose(resampled(wave(places(given)), wanted, boundary), wave(places(wanted)), atol=1e-13)


@pytest.mark.parametrize("boundary", SERIES)
def test_waves_that_the_grid_cannot_hold_are_dropped(boundary):
    places, _ = SERIES[boundary]
    short = np.sin(np.pi * 60 * places(100)) if boundary == "dirichlet" else np.cos(np.pi * 60 * places(100))
    assert np.abs(resampled(short, 25, boundary)).max() < 1e-13


@pytest.mark.parametrize("boundary", SERIES)
def test_both_axes_of_a_plane(boundary, rng):
    pixels = Grid(("y", "x"), (60, 100), (0.5, 0.2))
    resolution = Resolution.of(pixels, boundary, (30, 100))
    assert resolution.grid.points == (30, 100)
    cells = 29 / 59 if boundary == "dirichlet" else 0.5
    np.testing.assert_allclose(resolution.grid.steps, (0.5 / cells, 0.2))
    (along_y, wave), (along_x, _) = SERIES[boundary], SERIES[boundary]
    frames = rng.standard_normal((3, 1, 1)) * wave(along_y(60))[:, None] * wave(along_x(100))
    points = resolution.at_points(frames)
    assert points.shape == (3, 30, 100)
    np.testing.assert_allclose(resolution.at_pixels(points), frames, atol=1e-12)


def test_finer_grids_end_at_the_pixels():
    resolution, sizes = Resolution.for_waves(Grid(("x",), (200,), (1.0,)), "periodic", 0.1), []
    while resolution is not None:
        sizes.append(resolution.grid.points[0])
        resolution = resolution.finer()
    assert sizes[0] == 40
    assert sizes == sorted(sizes)
    assert sizes[-1] == 200


def frame(values, x):
    return xr.DataArray(values, dims="x", coords={"x": x}, name="u")


def test_more_pixels_of_the_same_field_cost_no_more_points(seed):
    """Decaying waves seen by cameras of 32 and 256 pixels: the estimate is as good as its error says, on few points."""
    rng, t = np.random.default_rng(seed), np.linspace(0, 1, 25)
    for pixels in (32, 256):
        x = 2 * np.pi * np.arange(pixels) / pixels
        clean = sum(a * np.exp(-0.2 * k**2 * t[:, None]) * np.sin(k * x + k) for k, a in ((1, 1.0), (2, 0.7), (3, 0.5)))
        found = fit_trajectory(
            bp.Equation.from_string("u_t = 0.3*u_xx"),
            bp.make_field(clean + 0.1 * rng.standard_normal(clean.shape), t=t, x=x),
            pilot=frame(clean[0], x),
            recording=ObservationModel(0.1),
            config=TrajectoryConfig(most_modes=7),
        )
        assert found.mode.problem.resolution.grid.points[0] <= 32
        assert abs(found.equation.coefficients[0] - 0.2) < 5 * found.sd[0]


def test_what_steepens_gets_the_points_that_it_needs():
    """A Burgers pulse of few waves at first, whose front needs many: as a grid of all pixels says, at exact pixels."""
    x, t = np.linspace(0, 2 * np.pi, 256, endpoint=False), np.linspace(0, 1.5, 30)
    equation = bp.Equation.from_string("u_t = -1.0*u*u_x + 0.05*u_xx")
    clean = bp.integrate(equation, frame(np.sin(x), x), t)
    basis = state_basis(np.sin(x), boundary="periodic", error=1e-3, most=5)
    assert basis.wave.max() < 0.05
    found = fit_trajectory(
        bp.Equation.from_string("u_t = -0.9*u*u_x + 0.06*u_xx"),
        bp.make_field(clean.values, t=t, x=x),
        pilot=frame(np.sin(x), x),
        recording=ObservationModel(0.05),
        config=TrajectoryConfig(most_modes=5),
    )
    assert 48 < found.mode.problem.resolution.grid.points[0] < 256
    assert found.equation.as_dict() == pytest.approx({"u*u_x": -1.0, "u_xx": 0.05}, rel=2e-3)


@pytest.mark.parametrize("edges", [(0.0, 0.0), (-0.3, 0.5)])
def test_held_edges_begin_at_any_value(edges):
    """A line and a decaying sine: the modes of a first state between held edges describe it with three numbers."""
    x, t = np.linspace(0, 1, 80), np.linspace(0, 0.1, 20)
    line = edges[0] + (edges[1] - edges[0]) * x
    clean = line + np.exp(-(np.pi**2) * t[:, None]) * np.sin(np.pi * x)
    found = fit_trajectory(
        bp.Equation.from_string("u_t = 0.8*u_xx"),
        bp.make_field(clean, t=t, x=x),
        pilot=frame(clean[0], x),
        recording=ObservationModel(1e-3),
        config=TrajectoryConfig(most_modes=3, method=SolverConfig(space="difference", order=4, boundary="dirichlet")),
    )
    assert found.equation.coefficients[0] == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(found.fitted.values, clean, atol=1e-4)
