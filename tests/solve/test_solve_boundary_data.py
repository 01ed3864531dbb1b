"""Time-dependent Dirichlet data against solutions that no fixed boundary condition has."""

import numpy as np
import pytest

from bayespde.core.equation import Equation
from bayespde.solve.batch import evolve_draws
from bayespde.solve.boundary_data import DirichletData, boundary_mask
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.ensemble_problem import EnsembleProblem

TIMES = np.linspace(0, 1, 6)
FINE = np.linspace(0, 1, 501)
METHOD = SolverConfig(space="difference", order=4, boundary="dirichlet", rtol=1e-8, atol=1e-10)
ADVECTED = Equation.from_string("u_t = 0.1*u_xx - 0.75*u_x")


def advected(t, x):
    """A wave that travels through the window while it decays."""
    return np.exp(-0.4 * t)[:, None] * np.sin(2 * x - 1.5 * t[:, None])


def error(points, *, scheme="auto", frames=FINE):
    x = np.linspace(0, 2, points)
    grid = Grid(("x",), (points,), (x[1],))
    method = SolverConfig(space="difference", order=4, boundary="dirichlet", scheme=scheme, rtol=1e-8, atol=1e-10)
    boundary_data = DirichletData(frames, advected(frames, x))
    problem = EnsembleProblem(ADVECTED, grid, np.array([ADVECTED.coefficients]), advected(TIMES[:1], x), boundary_data)
    found = evolve_draws(problem, TIMES, method=method)
    return np.abs(found.frames[0] - advected(TIMES, x)).max()


@pytest.mark.parametrize("scheme", ["explicit", "etd"])
def test_inflow_through_the_boundary_is_exact_to_second_order_in_space(scheme):
    coarse, fine = (error(n, scheme=scheme) for n in (33, 65))
    assert fine < 4e-4
    assert np.log2(coarse / fine) > 1.9


def test_boundary_data_are_exact_to_second_order_in_the_time_between_frames():
    """Linear interpolation has an error of the second derivative times the square of the distance of frames."""
    base = error(65)
    few, more = (error(65, frames=np.linspace(0, 1, n)) - base for n in (6, 11))
    assert 2.5 < few / more < 6


def test_a_harmonic_function_is_stationary_between_its_boundary_values():
    """The Laplacian of x^2 - y^2 vanishes, also by differences."""
    x, y = np.linspace(0, 1, 17), np.linspace(0, 2, 21)
    equation = Equation.from_string("u_t = 0.5*u_xx + 0.5*u_yy")
    saddle = x[None, :] ** 2 - y[:, None] ** 2
    grid = Grid(("y", "x"), (21, 17), (y[1], x[1]))
    rng = np.random.default_rng(0)
    start = np.where(boundary_mask(saddle.shape), saddle, rng.normal(size=saddle.shape))
    times = np.array([0.0, 20.0])
    boundary_data = DirichletData(times, np.stack([saddle, saddle]))
    method = SolverConfig(space="difference", order=2, boundary="dirichlet")
    problem = EnsembleProblem(equation, grid, np.array([equation.coefficients]), start[None], boundary_data)
    found = evolve_draws(problem, times, method=method)
    assert np.abs(found.frames[0, -1] - saddle).max() < 1e-5


def test_boundary_data_still_act_on_other_draws_after_one_has_ended():
    x = np.linspace(0, 2, 33)
    equation = Equation.from_string("u_t = u**2 + 0.1*u_xx - 0.75*u_x")
    order = [["u**2", "u_xx", "u_x"].index(n) for n in equation.names]
    draws = np.array([[0.0, 0.1, -0.75], [40.0, 0.1, -0.75]])[:, order]
    start = np.repeat(advected(TIMES[:1], x), 2, axis=0)
    grid = Grid(("x",), (33,), (x[1],))
    problem = EnsembleProblem(equation, grid, draws, start, DirichletData(FINE, advected(FINE, x)))
    found = evolve_draws(problem, TIMES, method=METHOD, bound=1e3)
    assert np.isfinite(found.blow_up_time).tolist() == [False, True]
    assert np.abs(found.frames[0] - advected(TIMES, x)).max() < 2e-3


def test_times_of_frames_that_are_output_times_are_taken_once():
    boundary_data = DirichletData(np.array([0.0, 0.5, 1.0 + 1e-13, 1.5]), np.zeros((4, 5)))
    every, places = boundary_data.refined_times(np.array([0.25, 1.0, 1.25]))
    assert np.allclose(every, [0.25, 0.5, 1.0, 1.25])
    assert places.tolist() == [0, 2, 3]
