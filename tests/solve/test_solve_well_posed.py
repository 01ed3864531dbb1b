"""Ill-posed equations against the signs of their symbols, in one to three dimensions; and what the integrators do."""

import math

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import FieldError, IllPosedError
from bayespde.solve.batch import evolve_draws
from bayespde.solve.derivatives import Grid
from bayespde.solve.ensemble_problem import EnsembleProblem
from bayespde.solve.well_posed import growth_rates

DIMS = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}


def frame(dims, points=32, value=None, name="u"):
    axis = 2 * np.pi * np.arange(points) / points
    values = sum(np.sin(axis.reshape(-1, *(1,) * k)) for k in range(dims)) if value is None else np.full(
        (points,) * dims, float(value)
    )  # fmt: skip
    return xr.DataArray(values, dims=DIMS[dims], coords=dict.fromkeys(DIMS[dims], axis), name=name)


def rate(text, start):
    equation = bp.Equation.from_string(text)
    coefficients = np.array([equation.coefficients])
    return float(growth_rates(EnsembleProblem(equation, Grid.of(start), coefficients, start.values[None]))[0])


WELL_POSED = {
    1: [
        "u_xx", "-u*u_x + 0.1*u_xx", "u_xxx", "-u_xxx", "-u_xx - u_xxxx", "-100*u_xx - 1e-3*u_xxxx",
        "u - u**3 + u_xx", "u_xxxxxx", "u_xxxxxx - 5*u_xx", "u_x", "-u_x**2 + u_xx", "u_xx + 0.5*u*u_xx", "sin(u_x)",
        "u**2",
    ],
    2: [
        "u_xx + u_yy", "u_xx + u_yy + 1.9*u_xy", "-u_xxxx - u_yyyy - 2*u_xxyy - u_xx - u_yy", "u_xx",
        "u_xxx - u_yyy", "-u*u_x + 0.1*u_xx + 0.1*u_yy", "u_x + u_y",
    ],
    3: [
        "u_xx + u_yy + u_zz", "u_xx + 0.5*u_zz", "-u_xxxx - u_yyyy - u_zzzz",
    ],
}  # fmt: skip
ILL_POSED = {
    1: [
        "-u_xx", "u_xxx - u_xx", "u_xxxx", "u_xxxx + u_xx", "-u_xxxxxx", "-u*u_x - 0.1*u_xx", "u_xxxxx - 0.1*u_xx",
        "-u_xx - 2*u_xx + u", "-u_xx - 0.5*u*u_xx", "u*u_xx", "sin(u)*u_xx", "-u_x**2*u_xx",
    ],
    2: [
        "u_xx - u_yy", "-u_xx - u_yy", "u_xx + u_yy + 3*u_xy", "u_xx + u_yy - 3*u_xy", "u_xy", "-u_xxxx - u_yy",
        "u_xx - 0.1*u_yy", "-u_yy",
    ],
    3: [
        "u_xx + u_yy - u_zz", "u_xx + u_yy + u_zz + 3*u_yz", "-u_xxxx - u_yyyy - u_zz", "-u_zz",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("dims", "text"), [(d, t) for d, texts in WELL_POSED.items() for t in texts])
def test_waves_of_a_well_posed_equation_do_not_grow_without_bound(dims, text):
    assert rate(f"u_t = {text}", frame(dims, 16 if dims > 1 else 64)) == 0


@pytest.mark.parametrize(("dims", "text"), [(d, t) for d, texts in ILL_POSED.items() for t in texts])
def test_ill_posed_equations_are_recognised_and_refused(dims, text):
    start, equation = frame(dims, 16 if dims > 1 else 64), bp.Equation.from_string(f"u_t = {text}")
    assert rate(f"u_t = {text}", start) > 0
    with pytest.raises(IllPosedError, match="ill-posed") as caught:
        bp.integrate(equation, start, (0.0, 40.0))
    assert caught.value.time == 0
    assert "allow_ill_posed=True" in caught.value.fix


def test_the_rate_is_that_of_the_shortest_wave_of_the_grid():
    start = frame(1, 32)
    assert rate("u_t = -0.5*u_xx", start) == pytest.approx(0.5 * 16**2)
    assert rate("u_t = -0.5*u*u_xx", start + 2 - start) == pytest.approx(0.5 * 2 * 16**2)
    assert rate("u_t = u_xx - u_yy", frame(2, 16)) == pytest.approx(8**2)


def test_a_sign_that_is_known_on_the_state_decides():
    """Diffusion with a coefficient of either sign: well-posed where that is positive, to few points."""
    up, down = frame(1) + 2, frame(1) - 2
    assert rate("u_t = u*u_xx", up.rename("u")) == 0
    assert rate("u_t = u*u_xx", down.rename("u")) > 0
    spot = frame(1, 64, value=1.0)
    spot[3] = -1e-3
    assert rate("u_t = u*u_xx", spot) == 0


SYSTEMS = {
    ("u_t = -v_xx", "v_t = u_xx"): False,
    ("u_t = v_x", "v_t = u_x"): False,
    ("u_t = u - u**3 - v + u_xx", "v_t = 0.1*u - 0.1*v"): False,
    ("u_t = u_xx + 3*v_xx", "v_t = v_xx"): False,
    ("u_t = v_xx", "v_t = u_xx"): True,
    ("u_t = v_x", "v_t = -u_x"): True,
    ("u_t = u_xx + 3*v_xx", "v_t = v_xx + 3*u_xx"): True,
    ("u_t = u_xx", "v_t = -v_xx"): True,
}


@pytest.mark.parametrize("texts", SYSTEMS)
def test_systems_by_the_eigenvalues_of_their_symbols(texts):
    system, fields = bp.CoupledEquations.from_strings(texts), xr.Dataset({n: frame(1, 64, name=n) for n in "uv"})
    if SYSTEMS[texts]:
        with pytest.raises(IllPosedError):
            bp.integrate(system, fields, (0.0, 2.0))
    else:
        assert np.isfinite(bp.integrate(system, fields, (0.0, 0.5))["u"]).all()


def test_the_remedies_work():
    start, equation = frame(1, 32), bp.Equation.from_string("u_t = -u_xx")
    with pytest.raises(IllPosedError) as caught:
        bp.integrate(equation, start, (0.0, 0.1, 0.2))
    usable = float(caught.value.fix.split("times up to ")[1].split()[0])
    assert 0.05 < usable < 0.1
    found = bp.integrate(equation, start, (0.0, 0.99 * usable))
    np.testing.assert_allclose(found[-1], math.exp(0.99 * usable) * start, atol=1e-5)
    coarse = bp.integrate(equation, start.isel(x=slice(None, None, 2)), (0.0, 0.2))
    np.testing.assert_allclose(coarse[-1], math.exp(0.2) * start[::2], atol=1e-4)
    wrong = bp.integrate(equation, start, (0.0, 0.2), method=bp.SolverConfig(allow_ill_posed=True))
    assert np.abs(wrong[-1]).max() > 1e3


def test_a_draw_that_is_ill_posed_ends_and_the_others_are_as_without_it(rng):
    equation, start = bp.Equation.from_string("u_t = 0.1*u_xx - u*u_x"), frame(1, 64)
    order = [equation.names.index(n) for n in ("u_xx", "u*u_x")]
    coefficients = np.array([[0.1, -1.0], [-0.1, -1.0], [0.2, -0.5], [-1e-6, -0.1]])[:, np.argsort(order)]
    starts = np.broadcast_to(start.values, (4, 64)).copy()
    times, method = np.linspace(0, 1, 4), bp.SolverConfig()
    problem = EnsembleProblem(equation, Grid.of(start), coefficients, starts)
    found = evolve_draws(problem, times, method=method)
    np.testing.assert_array_equal(found.blow_up_time, [np.inf, 0.0, np.inf, np.inf])
    np.testing.assert_array_equal(found.frames[:, 0], starts)
    assert np.isnan(found.frames[1, 1:]).all()
    kept = [0, 2, 3]
    others = problem._replace(coefficients=coefficients[kept], starts=starts[kept])
    np.testing.assert_array_equal(found.frames[kept], evolve_draws(others, times, method=method).frames)
    none = problem._replace(coefficients=coefficients[[1]], starts=starts[[1]])
    assert evolve_draws(none, times, method=method).blow_up_time == [0.0]
    allowed = evolve_draws(none, times[:2], method=bp.SolverConfig(allow_ill_posed=True))
    assert allowed.blow_up_time != [0.0]


def test_a_field_of_another_name_is_refused_and_the_fix_works():
    equation, start = bp.Equation.from_string("u_t = 0.1*u_xx"), frame(1, name="v")
    with pytest.raises(FieldError, match="another field") as caught:
        bp.integrate(equation, start, (0.0, 0.1))
    assert caught.value.fix == "start.rename('u')"
    assert bp.integrate(equation, start.rename("u"), (0.0, 0.1)).name == "u"
    assert bp.integrate(equation, start.rename(None), (0.0, 0.1)).name == "u"
