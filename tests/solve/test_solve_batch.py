"""Draws integrated together against their closed forms, and draws that blow up."""

import numpy as np
import pytest
import torch

from bayespde.core.equation import Equation
from bayespde.solve import batch
from bayespde.solve.batch import evolve_draws
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.ensemble_problem import EnsembleProblem
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.solve.time_stepping import evolve

N = 32
X = 2 * np.pi * np.arange(N) / N
LINE = Grid(("x",), (N,), (2 * np.pi / N,))
TIMES = np.linspace(0, 1, 6)
EXACT = SolverConfig(rtol=1e-8, atol=1e-10)


def run(columns, starts, *, method=EXACT, **settings):
    """Frames of an equation whose coefficients in every draw are given by the name of the term."""
    equation = Equation.from_string("u_t = " + " + ".join(columns))
    coefficients = np.column_stack([columns[name] for name in equation.names])
    return evolve_draws(EnsembleProblem(equation, LINE, coefficients, starts), TIMES, method=method, **settings)


def test_every_draw_follows_its_own_closed_form():
    """Heat and advection at rates of their own, and one draw with neither."""
    rates = np.array([[0.5, 1.0], [2.0, -3.0], [0.0, 0.0]])
    found = run({"u_xx": rates[:, 0], "u_x": rates[:, 1]}, np.tile(np.sin(2 * X), (3, 1)))
    wanted = [[np.exp(-4 * a * t) * np.sin(2 * (X + b * t)) for t in TIMES] for a, b in rates]
    np.testing.assert_allclose(found.frames, wanted, rtol=0, atol=1e-7)
    assert np.isinf(found.blow_up_time).all()


@pytest.mark.parametrize("values", [1, 2 * N, 2**19])
def test_a_draw_does_not_depend_on_the_size_of_its_group(values, rng, monkeypatch):
    monkeypatch.setattr(batch, "VALUES_PER_GROUP", values)
    columns = {"u_xx": 0.05 + 0.1 * rng.random(5), "u*u_x": -1 + 0.1 * rng.standard_normal(5)}
    starts = 1 + 0.5 * np.sin(X + rng.random((5, 1)))
    found = run(columns, starts)
    for draw, start in enumerate(starts):
        equation = Equation.from_string(
            f"u_t = {columns['u_xx'][draw]:.17g}*u_xx + {columns['u*u_x'][draw]:.17g}*u*u_x"
        )
        one = right_hand_side(equation, LINE, method=EXACT)
        alone = evolve(one, torch.from_numpy(start), TIMES, method=EXACT).numpy()
        np.testing.assert_allclose(found.frames[draw], alone, rtol=0, atol=1e-6)


def test_a_draw_that_blows_up_ends_at_its_time_and_the_others_continue():
    """`u' = c u^2` is `u0 / (1 - c u0 t)`, and infinite at `1 / (c u0)`."""
    rates = [0.1, 2.0, -1.0, 1.6]
    found = run({"u**2": rates}, np.ones((4, N)))
    assert found.blow_up_time[[0, 2]].tolist() == [np.inf, np.inf]
    np.testing.assert_allclose(found.blow_up_time[[1, 3]], [0.5, 1 / 1.6], rtol=1e-3)
    for draw, c in enumerate(rates):
        before = found.blow_up_time[draw] > TIMES
        wanted = 1 / (1 - c * TIMES[before])
        np.testing.assert_allclose(found.frames[draw, before], np.tile(wanted[:, None], N), rtol=1e-6)
        assert np.isnan(found.frames[draw, ~before]).all()


def test_a_draw_ends_where_it_exceeds_the_bound():
    found = run({"u": [-1.2, 4.0]}, np.tile(np.sin(2 * X), (2, 1)), bound=10.0)
    # exp(4 t) passes 10 at .576, and the next frame is at .6
    assert found.blow_up_time.tolist() == [np.inf, pytest.approx(0.6)]
    assert np.isfinite(found.frames[1, :3]).all()
    assert np.isnan(found.frames[1, 3:]).all()
    np.testing.assert_allclose(found.frames[0, -1], np.exp(-1.2) * np.sin(2 * X), atol=1e-7)


def test_an_ill_posed_draw_ends_and_the_others_continue():
    """Backward diffusion lets rounding errors grow by `exp(k^2 t)`."""
    found = run({"u_xx": [0.3, -1.0]}, np.tile(np.sin(2 * X), (2, 1)), bound=10.0)
    assert np.isinf(found.blow_up_time[0])
    assert found.blow_up_time[1] < 0.7
    np.testing.assert_allclose(found.frames[0, -1], np.exp(-1.2) * np.sin(2 * X), atol=1e-7)


def test_a_draw_that_is_too_stiff_ends_and_the_others_continue():
    columns = {"u": [1.0, 1.0], "u**3": [-1.0, -1.0], "u_xx": [0.1, 1e4]}
    method = SolverConfig(scheme="explicit", maximum_steps=300)
    found = run(columns, np.tile(np.sin(X), (2, 1)), method=method)
    assert np.isinf(found.blow_up_time[0])
    assert found.blow_up_time[1] < 1
    assert np.isfinite(found.frames[0]).all()


@pytest.mark.parametrize("boundary", ["neumann", "dirichlet"])
def test_draws_under_neumann_and_dirichlet_conditions(boundary):
    points = 41
    grid = Grid(("x",), (points,), (np.pi / (points - 1 if boundary == "dirichlet" else points),))
    x = grid.steps[0] * (np.arange(points) + (0.5 if boundary == "neumann" else 0))
    start = np.cos(x) if boundary == "neumann" else np.sin(x)
    method = SolverConfig(space="difference", order=4, boundary=boundary, rtol=1e-8)
    equation, coefficients = Equation.from_string("u_t = u_xx"), np.array([[0.5], [1.0]])
    found = evolve_draws(EnsembleProblem(equation, grid, coefficients, np.tile(start, (2, 1))), TIMES, method=method)
    wanted = np.exp(-np.outer([0.5, 1.0], TIMES))[..., None] * start
    np.testing.assert_allclose(found.frames, wanted, atol=2e-5)


def test_draws_in_two_dimensions():
    grid = Grid(("y", "x"), (16, N), (2 * np.pi / 16, 2 * np.pi / N))
    y = 2 * np.pi * np.arange(16) / 16
    start = np.sin(y)[:, None] * np.cos(2 * X)
    equation, rates = Equation.from_string("u_t = u_xx + u_yy"), np.array([[1.0, 0.5], [0.2, 0.1]])
    found = evolve_draws(EnsembleProblem(equation, grid, rates, np.tile(start, (2, 1, 1))), TIMES, method=EXACT)
    wanted = np.exp(-(4 * rates[:, :1] + rates[:, 1:]) * TIMES)[..., None, None] * start
    np.testing.assert_allclose(found.frames, wanted, atol=1e-7)
