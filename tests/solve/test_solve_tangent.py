"""Slopes of trajectories: closed forms of linear equations, and differences of accurate trajectories of others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import bayespde as bp
from bayespde.core.errors import IntegrationError
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.solve.tangent import TangentModel
from bayespde.solve.time_stepping import evolve, follow_plan, plan_steps

POINTS, TIMES = 24, np.linspace(0, 1, 9)
LINE = Grid(("x",), (POINTS,), (2 * np.pi / POINTS,))
PLANE = Grid(("y", "x"), (16, POINTS), (2 * np.pi / 16, 2 * np.pi / POINTS))
X = 2 * np.pi * np.arange(POINTS) / POINTS
PERIODIC = SolverConfig(rtol=1e-5)
WALLS = {b: SolverConfig(rtol=1e-5).with_boundary(b) for b in ("neumann", "dirichlet")}
METHODS = [PERIODIC, replace(PERIODIC, scheme="explicit"), replace(PERIODIC, dealias=False), *WALLS.values()]
METHODS += [replace(m, scheme="etd") for m in WALLS.values()]
POLYNOMIAL = bp.Library.from_strings(["u", "u**2", "u_x", "u_xx", "u*u_x", "1"])
LIBRARY = bp.Library.from_strings(["u", "u**2", "u_x", "u_xx", "u*u_x", "sin(u)*u_xx"])


def model(equation, grid, start, method, forced=(), times=TIMES):
    return TangentModel(bp.Equation.from_string(equation), grid, method, times, start, forced)


def waves_of(grid, rng, count):
    """Smooth perturbations, `[count, *points]`."""
    places = np.meshgrid(*(2 * np.pi * np.arange(n) / n for n in grid.points), indexing="ij")
    found = []
    for _ in range(count):
        numbers, phase = rng.integers(1, 4, len(places)), rng.uniform(0, 2 * np.pi)
        found.append(np.cos(sum(k * p for k, p in zip(numbers, places, strict=True)) + phase))
    return np.array(found)


def difference(equation, grid, method, start, coefficients, step=1e-4):
    """Central difference of accurate trajectories in a direction `(of the coefficients, of the start)`."""
    accurate, frames = replace(method, rtol=1e-11, atol=1e-13), []
    for sign in (1, -1):
        moved = torch.from_numpy(np.array(equation.coefficients)[None] + sign * step * coefficients[0])
        compiled = right_hand_side(equation, grid, method=accurate, coefficients=moved)
        begin = torch.from_numpy((start + sign * step * coefficients[1])[None])
        frames.append(evolve(compiled, begin, TIMES, method=accurate).numpy()[:, 0])
    return (frames[0] - frames[1]) / (2 * step)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.boundary}-{m.scheme}-{m.dealias}")
@pytest.mark.parametrize(
    ("grid", "library"),
    [(LINE, LIBRARY), (LINE, POLYNOMIAL), (PLANE, LIBRARY)],
    ids=["line", "polynomial on a line", "plane"],
)
def test_slopes_are_limits_of_differences_of_trajectories(method, grid, library, seed):
    rng = np.random.default_rng(seed)
    text = "u_t = 0.1*u_xx + 0.3*u - 0.2*u**3 - 0.3*u*u_x" + (" + 0.2*u_yy" if len(grid.dims) > 1 else "")
    equation, start, directions = bp.Equation.from_string(text), 0.4 * waves_of(grid, rng, 2).sum(axis=0), []
    directions = waves_of(grid, rng, 3)
    if method.boundary == "dirichlet":
        directions[:, ..., [0, -1]] = 0.0
    slopes = model(text, grid, start, method, library.terms).slopes(directions)
    assert slopes.dtype == np.float32
    assert slopes.shape == (len(TIMES), len(library) + 3, *grid.points)
    none = np.zeros(len(equation.coefficients))
    for found, direction in zip(np.moveaxis(slopes, 1, 0)[len(library) :], directions, strict=True):
        wanted = difference(equation, grid, method, start, (none, direction))
        assert np.abs(found - wanted).max() < 2e-3 * np.abs(wanted).max()
    others = [t for t in library if t.name not in equation.names]
    larger = bp.Equation((*equation.terms, *others), (*equation.coefficients, *(0.0 for _ in others)), "u_t", "u")
    for term, found in zip(library.names, np.moveaxis(slopes, 1, 0), strict=False):
        unit = np.array([float(n == term) for n in larger.names])
        wanted = difference(larger, grid, method, start, (unit, np.zeros_like(start)))
        assert np.abs(found - wanted).max() < 2e-3 * np.abs(wanted).max(), term


def test_slopes_of_a_linear_equation_are_its_closed_form():
    """A wave turns and decays; its slope in a coefficient is the time times the symbol of the term."""
    terms = bp.Library.from_strings(["u_x", "u_xx", "u_xxxx"]).terms
    found = model("u_t = -0.7*u_x + 0.1*u_xx", LINE, np.sin(2 * X), PERIODIC, terms).slopes(np.cos(3 * X)[None])

    def wave(k):
        return np.exp(-0.1 * k**2 * TIMES[:, None] + 1j * k * (X - 0.7 * TIMES[:, None]))

    symbols = np.array([2j, (2j) ** 2, (2j) ** 4])
    wanted = np.stack([(-1j * TIMES[:, None] * s * wave(2)).real for s in symbols] + [wave(3).real], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("length", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_units_change_slopes_by_their_units_only(length, size):
    """In metres a derivative of fourth order of a unit wave is beyond the range of single precision."""
    terms = bp.Library.from_strings(["u_xxxx", "u*u_xxx"]).terms
    text = f"u_t = {0.1 * length**2!r}*u_xx - {length / size!r}*u*u_x"
    grid = Grid(("x",), (POINTS,), (LINE.steps[0] * length,))
    found = model(text, grid, size * np.sin(X), PERIODIC, terms).slopes(size * np.cos(2 * X)[None])
    plain = model("u_t = 0.1*u_xx - u*u_x", LINE, np.sin(X), PERIODIC, terms).slopes(np.cos(2 * X)[None])
    units = np.array([size / length**4, size**2 / length**3, size])
    np.testing.assert_allclose(found / units[:, None], plain, atol=1e-4 * np.abs(plain).max())


def test_many_perturbations_are_those_of_each_alone(rng, monkeypatch):
    """They are integrated a few at a time, forced ones with others."""
    directions = waves_of(LINE, rng, 4)
    whole = model("u_t = 0.1*u_xx - u*u_x", LINE, np.sin(X), PERIODIC, LIBRARY.terms)
    together = whole.slopes(directions)
    monkeypatch.setattr("bayespde.solve.tangent.VALUES_TOGETHER", 4 * POINTS)
    np.testing.assert_allclose(whole.slopes(directions), together, atol=1e-5)
    alone = [replace(whole, forced=()).slopes(d[None])[:, 0] for d in directions]
    np.testing.assert_allclose(np.stack(alone, axis=1), together[:, len(LIBRARY) :], atol=1e-5)
    assert replace(whole, forced=()).slopes(directions[:0]).shape == (len(TIMES), 0, POINTS)


def test_a_plan_has_the_steps_of_its_trajectory():
    """Steps through every interval add up to it, and lead to the same frames."""
    equation = right_hand_side(bp.Equation.from_string("u_t = 0.01*u_xx - u*u_x"), LINE, method=PERIODIC)
    start = torch.from_numpy(np.sin(X))
    plan = plan_steps(equation, start, TIMES, method=PERIODIC)
    assert [sum(sizes) for sizes in plan.sizes] == pytest.approx(np.diff(TIMES).tolist())
    followed = torch.stack(list(follow_plan(equation, start, plan)))
    exact = evolve(equation, start, TIMES, method=replace(PERIODIC, rtol=1e-10))[1:]
    assert float((followed - exact).abs().max()) < 1e-3


def test_the_trajectory_itself_and_its_failure():
    whole = model("u_t = u**2", LINE, 0.5 + 0 * X, PERIODIC, LIBRARY.terms)
    np.testing.assert_allclose(whole.states()[:, 0], 1 / (2 - TIMES), rtol=1e-4)
    beyond = replace(whole, times=np.linspace(0, 3, 9))
    for call in (beyond.states, lambda: beyond.slopes(np.ones((1, POINTS)))):
        with pytest.raises(IntegrationError):
            call()
