"""Edges that move as the data do, against solutions that no boundary condition of the solver's own has."""

import numpy as np
import pytest

from bayespde.core.equation import Equation
from bayespde.solve.batch import evolve_draws
from bayespde.solve.boundary_data import DirichletData, boundary_mask
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid

TIMES = np.linspace(0, 1, 6)
FINE = np.linspace(0, 1, 501)
METHOD = SolverConfig(space="difference", order=4, boundary="dirichlet", rtol=1e-8, atol=1e-10)
CARRIED = Equation.from_string("u_t = 0.1*u_xx - 0.75*u_x")


def carried(t, x):
    """A wave that moves through the window while it decays."""
    return np.exp(-0.4 * t)[:, None] * np.sin(2 * x - 1.5 * t[:, None])


def error(points, *, scheme="auto", frames=FINE):
    x = np.linspace(0, 2, points)
    grid = Grid(("x",), (points,), (x[1],))
    method = SolverConfig(space="difference", order=4, boundary="dirichlet", scheme=scheme, rtol=1e-8, atol=1e-10)
    law, dirichlet = np.array([CARRIED.coefficients]), DirichletData(frames, carried(frames, x))
    found = evolve_draws(CARRIED, grid, law, carried(TIMES[:1], x), TIMES, method=method, dirichlet=dirichlet)
    return np.abs(found.frames[0] - carried(TIMES, x)).max()


@pytest.mark.parametrize("scheme", ["explicit", "etd"])
def test_what_enters_a_window_is_right_to_second_order_in_space(scheme):
    coarse, fine = (error(n, scheme=scheme) for n in (33, 65))
    assert fine < 4e-4
    assert np.log2(coarse / fine) > 1.9


def test_and_in_the_time_between_frames():
    """Straight lines between frames miss a bend by its second derivative times the square of their distance."""
    base = error(65)
    few, more = (error(65, frames=np.linspace(0, 1, n)) - base for n in (6, 11))
    assert 2.5 < few / more < 6


def test_in_the_plane_a_saddle_stays_a_saddle():
    """x^2 - y^2 moves with its edges only: its Laplacian vanishes, also by differences."""
    x, y = np.linspace(0, 1, 17), np.linspace(0, 2, 21)
    law = Equation.from_string("u_t = 0.5*u_xx + 0.5*u_yy")
    saddle = x[None, :] ** 2 - y[:, None] ** 2
    grid = Grid(("y", "x"), (21, 17), (y[1], x[1]))
    rng = np.random.default_rng(0)
    start = np.where(boundary_mask(saddle.shape), saddle, rng.normal(size=saddle.shape))
    dirichlet = DirichletData(np.array([0.0, 20.0]), np.stack([saddle, saddle]))
    method = SolverConfig(space="difference", order=2, boundary="dirichlet")
    found = evolve_draws(
        law, grid, np.array([law.coefficients]), start[None], np.array([0.0, 20.0]), method=method, dirichlet=dirichlet
    )
    assert np.abs(found.frames[0, -1] - saddle).max() < 1e-5


def test_draws_end_alone_and_others_still_feel_the_edges():
    x = np.linspace(0, 2, 33)
    law = Equation.from_string("u_t = u**2 + 0.1*u_xx - 0.75*u_x")
    order = [["u**2", "u_xx", "u_x"].index(n) for n in law.names]
    draws = np.array([[0.0, 0.1, -0.75], [40.0, 0.1, -0.75]])[:, order]
    start = np.repeat(carried(TIMES[:1], x), 2, axis=0)
    grid = Grid(("x",), (33,), (x[1],))
    found = evolve_draws(
        law, grid, draws, start, TIMES, method=METHOD, bound=1e3, dirichlet=DirichletData(FINE, carried(FINE, x))
    )
    assert np.isfinite(found.ended).tolist() == [False, True]
    assert np.abs(found.frames[0] - carried(TIMES, x)).max() < 2e-3


def test_times_of_frames_that_are_times_asked_for_are_taken_once():
    dirichlet = DirichletData(np.array([0.0, 0.5, 1.0 + 1e-13, 1.5]), np.zeros((4, 5)))
    every, places = dirichlet.clock(np.array([0.25, 1.0, 1.25]))
    assert np.allclose(every, [0.25, 0.5, 1.0, 1.25])
    assert places.tolist() == [0, 2, 3]
