"""Compiled steps of a state on a line against those of tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bayespde.core.equation import Equation
from bayespde.core.errors import IntegrationError
from bayespde.solve.compiled.line_equation import MOST_POINTS, line_equation
from bayespde.solve.compiled.line_kernels import largest_value
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.solve.steppers import CompiledETDRK4, stepper_of
from bayespde.solve.time_stepping import evolve, plan_steps

POINTS, TIMES = 25, np.linspace(0, 0.5, 6)
PERIODIC = SolverConfig(scheme="etd")
METHODS = [PERIODIC, replace(PERIODIC, dealias=False), *(PERIODIC.with_boundary(b) for b in ("neumann", "dirichlet"))]
EQUATIONS = [
    "u_t = 0.1*u_xx - 0.3*u*u_x + 0.2*u**3 - 0.05*u_xxx*u_x + 0.3",
    "u_t = 0.1*u_xx - 0.7*u_x",
    "u_t = -0.4*u*u_x",
]


def grid_of(points):
    return Grid(("x",), (points,), (2 * np.pi / points,))


def both(text, method, points=POINTS):
    """The same right-hand side, without and with arrays for compiled steps."""
    equation, grid = Equation.from_string(text), grid_of(points)
    alone = right_hand_side(equation, grid, method=method)
    return alone, alone._replace(line=line_equation(equation, alone, method))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.boundary}-{m.dealias}")
@pytest.mark.parametrize("points", [24, 25])
@pytest.mark.parametrize("text", EQUATIONS)
def test_compiled_steps_are_those_of_tensors(text, points, method, rng):
    alone, line = both(text, method, points)
    steppers = [stepper_of("etd", one) for one in (alone, line)]
    assert [isinstance(s, CompiledETDRK4) for s in steppers] == [False, True]
    values = torch.from_numpy(rng.normal(size=points))
    found = []
    for stepper in steppers:
        state, error = stepper.step(stepper.start(values), 1e-4)
        further = stepper.advance(state, 5e-5)
        assert float(stepper.largest(further.u)) == pytest.approx(float(stepper.values(further.u).abs().max()))
        found.append([*map(stepper.values, (state.u, further.u)), 1e3 * stepper.values(error)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9 * float(found[0][0].abs().max()))


@pytest.mark.parametrize("method", METHODS[::2], ids=lambda m: m.boundary)
def test_trajectories_and_their_steps_are_the_same(method):
    start = torch.from_numpy(np.sin(grid_of(POINTS).steps[0] * np.arange(POINTS)))
    alone, line = both("u_t = 0.1*u_xx - u*u_x", method)
    frames = [evolve(one, start, TIMES, method=method) for one in (alone, line)]
    torch.testing.assert_close(*frames, rtol=1e-9, atol=1e-10)
    plans = [plan_steps(one, start, TIMES, method=method) for one in (alone, line)]
    assert plans[0] == plans[1]


@pytest.mark.parametrize("text", ["u_t = sin(u)", "u_t = u_x/(1 + u**2)", "u_t = exp(u)*u_xx"])
def test_what_is_no_polynomial_is_left_to_tensors(text):
    assert both(text, PERIODIC)[1].line is None


def test_a_plane_and_many_points_are_left_to_fast_transforms():
    assert both("u_t = u_xx", PERIODIC, MOST_POINTS)[1].line is not None
    assert both("u_t = u_xx", PERIODIC, MOST_POINTS + 1)[1].line is None
    equation, plane = Equation.from_string("u_t = u_xx"), Grid(("y", "x"), (8, 8), (1.0, 1.0))
    assert line_equation(equation, right_hand_side(equation, plane, method=PERIODIC), PERIODIC) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 7, POINTS - 1])
def test_a_value_that_is_not_finite_is_the_largest(bad, place, rng):
    values = rng.normal(size=(1, POINTS))
    values[0, place] = bad
    identity = np.where(np.arange(POINTS) == np.arange(POINTS)[:, None], 1.0, 0.0)
    assert not np.isfinite(largest_value(values, identity))


def test_a_trajectory_that_diverges_says_when():
    alone, line = both("u_t = u**2", PERIODIC)
    start, times = torch.full((POINTS,), 0.5, dtype=torch.float64), np.linspace(0, 3, 9)
    ends = []
    for one in (alone, line):
        with pytest.raises(IntegrationError) as caught:
            evolve(one, start, times, method=PERIODIC)
        ends.append(caught.value.time)
    assert ends[0] == pytest.approx(2.0, abs=0.01)
    assert ends[1] == pytest.approx(ends[0])
