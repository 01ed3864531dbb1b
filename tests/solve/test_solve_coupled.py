"""Coupled equations against closed forms: waves, decaying mixtures, limit cycles; draws together and alone."""

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError, FieldError, IntegrationError
from bayespde.solve.batch import evolve_draws
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.ensemble_problem import EnsembleProblem

X = 2 * np.pi * np.arange(48) / 48
TIMES = np.linspace(0, 2, 5)
METHODS = {
    "fourier": SolverConfig(rtol=1e-8, atol=1e-12),
    "fourier, explicit": SolverConfig(scheme="explicit", rtol=1e-8, atol=1e-12),
    "differences": SolverConfig(space="difference", order=4, rtol=1e-8, atol=1e-12),
}


def frames_of(**values):
    return xr.Dataset({name: ("x", v) for name, v in values.items()}, coords={"x": X})


@pytest.mark.parametrize("name", METHODS)
def test_two_equations_of_first_order_give_a_wave(name):
    system = bp.CoupledEquations.from_strings(["u_t = -0.5*v_x", "v_t = -0.5*u_x"])
    found = bp.integrate(system, frames_of(u=np.sin(X), v=0 * X), TIMES, method=METHODS[name])
    cos, sin = np.cos(0.5 * TIMES)[:, None], np.sin(0.5 * TIMES)[:, None]
    # Differences of order four have an error of 48^-4 for this wavelength.
    assert np.abs(found["u"] - cos * np.sin(X)).max() < 2e-5
    assert np.abs(found["v"] + sin * np.cos(X)).max() < 2e-5
    assert found["u"].dims == ("time", "x")


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_linear_reaction_and_cross_diffusion_give_a_matrix_exponential(boundary):
    """The amplitudes of u and v in one wave obey a 2 x 2 linear system; in two dimensions, with cross-diffusion."""
    system = bp.CoupledEquations.from_strings(
        [
            "u_t = -0.3*u + 0.7*v + 0.2*u_xx + 0.1*u_yy + 0.05*v_xx",
            "v_t = -0.9*u - 0.2*v + 0.02*v_xx + 0.3*v_yy",
        ]
    )
    # Walls are half a step outside the last points.
    x = X if boundary == "periodic" else np.pi * (np.arange(24) + 0.5) / 24
    wave = np.cos(x)[None, :] * np.cos(2 * x)[:, None]
    start = xr.Dataset({"u": (("y", "x"), wave), "v": (("y", "x"), 0.5 * wave)}, coords={"y": x, "x": x})
    matrix = np.array([[-0.3 - 0.2 - 0.4, 0.7 - 0.05], [-0.9, -0.2 - 0.02 - 1.2]])
    method = SolverConfig(rtol=1e-8, atol=1e-12).with_boundary(boundary)
    found = bp.integrate(system, start, TIMES, method=method)
    wanted = np.array([scipy.linalg.expm(matrix * t) @ [1.0, 0.5] for t in TIMES])
    for i, name in enumerate("uv"):
        error = np.abs(found[name].values - wanted[:, i, None, None] * wave).max()
        assert error < (1e-7 if boundary == "periodic" else 3e-5)


def test_a_limit_cycle_reaches_its_radius_and_turns_at_its_rate():
    """r' = r - r^3 at constant angular velocity: the lambda-omega system that is known in closed form."""
    system = bp.CoupledEquations.from_strings(
        ["u_t = u - u**3 - u*v**2 - 2*v + 0.1*u_xx", "v_t = v - v**3 - v*u**2 + 2*u + 0.1*v_xx"]
    )
    found = bp.integrate(system, frames_of(u=0.5 + 0 * X, v=0 * X), TIMES, method=METHODS["fourier"])
    radius = 1 / np.sqrt(1 + 3 * np.exp(-2 * TIMES))[:, None]
    turned = 2 * TIMES[:, None]
    assert np.abs(found["u"] - radius * np.cos(turned)).max() < 1e-6
    assert np.abs(found["v"] - radius * np.sin(turned)).max() < 1e-6


def test_the_tolerance_is_relative_to_the_size_of_each_field():
    """The same wave with v in units a million times larger."""
    system = bp.CoupledEquations.from_strings(["u_t = -0.5e6*v_x", "v_t = -0.5e-6*u_x"])
    method = SolverConfig(scheme="explicit", rtol=1e-6, atol=1e-300)
    found = bp.integrate(system, frames_of(u=np.sin(X), v=1e-6 * np.sin(X)), TIMES, method=method)
    wanted = 1e-6 * np.sin(X - 0.5 * TIMES[:, None])
    assert np.abs(found["v"] - wanted).max() < 1e-5 * 1e-6


@pytest.mark.parametrize("scheme", ["auto", "explicit"])
def test_draws_together_equal_draws_alone_and_one_that_blows_up_ends(scheme):
    system = bp.CoupledEquations.from_strings(["u_t = u**2 - v + 0.1*u_xx", "v_t = u - v"])
    grid = Grid(("x",), (48,), (X[1],))
    coefficients = np.array([[0.1, -1.0, 0.1, 1.0, -1.0], [3.0, -1.0, 0.1, 1.0, -1.0], [0.2, -0.5, 0.05, 0.3, -2.0]])
    # Terms are in the order of the parsed equations.
    names = [n for e in system.equations for n in e.names]
    coefficients = coefficients[
        :, [["u**2", "v", "u_xx", "u", "v"].index(n) if i < 3 else 3 + ["u", "v"].index(n) for i, n in enumerate(names)]
    ]
    starts = np.stack([[1 + 0.5 * np.sin(X + k), 0.2 * np.cos(X)] for k in range(3)])
    method = SolverConfig(scheme=scheme, rtol=1e-8, atol=1e-11)
    problem = EnsembleProblem(system, grid, coefficients, starts)
    together = evolve_draws(problem, TIMES, method=method, bound=1e3)
    assert together.frames.shape == (3, 5, 2, 48)
    assert np.isfinite(together.blow_up_time).tolist() == [False, True, False]
    for draw in (0, 2):
        one = problem._replace(coefficients=coefficients[[draw]], starts=starts[[draw]])
        alone = evolve_draws(one, TIMES, method=method)
        assert np.abs(alone.frames[0] - together.frames[draw]).max() < 1e-6


def test_units_and_coordinates_are_kept():
    start = frames_of(u=np.sin(X), v=np.cos(X))
    start["v"].attrs["units"] = "mol"
    found = bp.integrate(bp.CoupledEquations.from_strings(["u_t = v", "v_t = -u"]), start, TIMES)
    assert found["v"].attrs["units"] == "mol"
    assert np.array_equal(found["x"], X)


def test_problems_that_do_not_fit_together_are_refused():
    system = bp.CoupledEquations.from_strings(["u_t = v", "v_t = -u"])
    start = frames_of(u=np.sin(X), v=np.cos(X))
    with pytest.raises(FieldError, match="each of its fields"):
        bp.integrate(system, start[["u"]], TIMES)
    with pytest.raises(FieldError, match="each of its fields"):
        bp.integrate(system, start["u"], TIMES)
    with pytest.raises(FieldError, match="one frame"):
        bp.integrate(bp.Equation.from_string("u_t = u"), start, TIMES)
    with pytest.raises(ConfigError, match="Chebyshev"):
        bp.integrate(system, start, TIMES, method=SolverConfig(space="difference", scheme="rkc"))
    with pytest.raises(ConfigError, match="does not fit the grid"):
        bp.integrate(bp.CoupledEquations.from_strings(["u_t = v_y", "v_t = -u"]), start, TIMES)
    with pytest.raises(IntegrationError, match="stopped at time"):
        bp.integrate(bp.CoupledEquations.from_strings(["u_t = u**2*v", "v_t = u"]), start + 2, TIMES)
