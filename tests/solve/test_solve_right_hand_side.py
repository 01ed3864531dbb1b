"""The compiled right-hand side against the same expression written by hand."""

import numpy as np
import pytest
import sympy
import torch

from bayespde.core.equation import Equation, Library
from bayespde.core.errors import ConfigError, TermError
from bayespde.core.functions import FUNCTIONS
from bayespde.core.terms import evaluate_expression, parse_term
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.right_hand_side import right_hand_side

POINTS, LENGTH = 64, 5.0
GRID = Grid(("x",), (POINTS,), (LENGTH / POINTS,))
X = np.arange(POINTS) * LENGTH / POINTS
K = 2 * np.pi / LENGTH
METHODS = [
    SolverConfig(dealias=False),
    SolverConfig(),
    SolverConfig(space="difference", order=4),
    SolverConfig(space="difference", boundary="neumann"),
    SolverConfig(space="difference", boundary="dirichlet", order=4),
]


def compiled(text, method=None, grid=GRID, **more):
    return right_hand_side(Equation.from_string(text), grid, method=method or SolverConfig(), **more)


def test_every_kind_of_term_equals_the_formula_by_hand():
    text = "u_t = 2*u_xx - 3*u*u_x + u*(1 - u)*(u - 0.3) + sin(u_x)/2 - exp(-u)*u_x**2 + tanh(cos(u)) + sin(1)/3"
    u = 0.5 + 0.4 * np.sin(K * X)
    u_x, u_xx = 0.4 * K * np.cos(K * X), -0.4 * K**2 * np.sin(K * X)
    truth = 2 * u_xx - 3 * u * u_x + u * (1 - u) * (u - 0.3) + np.sin(u_x) / 2 - np.exp(-u) * u_x**2
    truth += np.tanh(np.cos(u)) + np.sin(1) / 3
    found = compiled(text, SolverConfig(dealias=False)).full(torch.as_tensor(u))
    np.testing.assert_allclose(found, truth, atol=1e-11)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_terms_has_its_value(name):
    u = torch.as_tensor(0.5 + 0.4 * np.sin(K * X))
    wanted = evaluate_expression(parse_term(f"{name}(u)").expression, lambda _: u.numpy())
    found = compiled(f"u_t = {name}(u)", SolverConfig(dealias=False)).full(u)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_new_function_is_one_line(monkeypatch):
    monkeypatch.setitem(FUNCTIONS, "atan", sympy.atan)
    monkeypatch.setitem(FUNCTIONS, "hill", lambda a: a**2 / (1 + a**2))
    library = Library.from_strings(["atan(u)*u_x", "hill(u)"])
    assert library.names == ("u_x*atan(u)", "u**2/(u**2 + 1)")
    u = 0.5 + 0.4 * np.sin(K * X)
    wanted = np.arctan(u) * 0.4 * K * np.cos(K * X) - 2 * u**2 / (1 + u**2)
    found = compiled("u_t = atan(u)*u_x - 2*hill(u)", SolverConfig(dealias=False)).full(torch.as_tensor(u))
    np.testing.assert_allclose(found, wanted, atol=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_rates_and_rest_add_up_to_the_whole(method, rng):
    equation = compiled("u_t = 0.5*u + 0.1*u_xx - 2*u_x + u*u_x - u_xxxx/100 + 3", method)
    u = torch.as_tensor(rng.standard_normal((2, POINTS)))
    v = equation.modes.forward(u)
    whole = equation.modes.inverse(equation.rates * v + equation.rest(v))
    torch.testing.assert_close(whole, equation.full(u), atol=1e-8, rtol=1e-10)


def test_fourier_and_periodic_differences_leave_no_linear_rest(rng):
    for method in METHODS[:3]:
        equation = compiled("u_t = 0.5*u + 0.1*u_xx - 2*u_x", method)
        v = equation.modes.forward(torch.as_tensor(rng.standard_normal(POINTS)))
        assert equation.rest(v).abs().max() < 1e-9


def test_the_rest_under_dirichlet_conditions_depends_on_the_boundary_values_only(rng):
    equation = compiled("u_t = 0.1*u_xx", METHODS[4])
    u, other = (torch.as_tensor(rng.standard_normal(POINTS)) for _ in range(2))
    other[[0, -1]] = u[[0, -1]]
    rests = [equation.rest(equation.modes.forward(w)) for w in (u, other)]
    torch.testing.assert_close(rests[0], rests[1], atol=1e-9, rtol=0)
    assert rests[0].abs().max() > 0.1
    assert equation.full(u)[[0, -1]].abs().max() == 0.0


def test_dealiasing_removes_exactly_the_aliased_product():
    grid = Grid(("x",), (32,), (1 / 32,))
    v = torch.fft.rfft(torch.cos(2 * torch.pi * 10 * torch.arange(32, dtype=torch.float64) / 32))
    aliased = compiled("u_t = u**2", SolverConfig(dealias=False), grid).rest(v).abs() / 32
    clean = compiled("u_t = u**2", SolverConfig(), grid).rest(v).abs() / 32
    assert aliased[12] == pytest.approx(0.25)  # wavenumber 20 is an alias of 12 on 32 points
    assert clean[0] == pytest.approx(0.5)
    assert clean[1:].max() < 1e-12


def test_draws_of_coefficients_are_a_leading_axis(rng):
    equation = Equation.from_string("u_t = u_xx + u*u_x + u")
    draws = torch.as_tensor(rng.standard_normal((4, 3)))
    u = torch.as_tensor(rng.standard_normal((4, POINTS)))
    for method in METHODS:
        together = right_hand_side(equation, GRID, method=method, coefficients=draws)
        assert together.rates.shape[0] == 4
        for k in range(4):
            alone = Equation(equation.terms, tuple(draws[k].tolist()))
            expected = right_hand_side(alone, GRID, method=method).full(u[k])
            torch.testing.assert_close(together.full(u)[k], expected, atol=1e-9, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS[1:])
def test_the_gradient_with_respect_to_a_coefficient_is_its_term(method, rng):
    equation = Equation.from_string("u_t = 0.3*u_xx - 1.5*u**2")
    u = torch.as_tensor(rng.standard_normal(POINTS))
    weight = torch.as_tensor(rng.standard_normal(POINTS))
    coefficients = torch.tensor(equation.coefficients, dtype=torch.float64, requires_grad=True)
    whole = right_hand_side(equation, GRID, method=method, coefficients=coefficients).full(u)
    (gradient,) = torch.autograd.grad((whole * weight).sum(), coefficients)
    for k, term in enumerate(equation.terms):
        alone = right_hand_side(Equation((term,), (1.0,)), GRID, method=method).full(u)
        assert float(gradient[k]) == pytest.approx(float((alone * weight).sum()), rel=1e-9)


def test_an_equation_without_terms_has_rate_zero():
    empty = Equation.from_library(Library.from_strings(["u_x"]), np.zeros(1))
    for method in METHODS:
        assert right_hand_side(empty, GRID, method=method).full(torch.as_tensor(X)).abs().max() == 0.0


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("u_tt = u_xx", SolverConfig()),
        ("u = u_xx", SolverConfig()),
        ("v_t = u_xx", SolverConfig()),
        ("u_t = u_yy", SolverConfig()),
        ("u_t = u_xxxxx", SolverConfig(space="difference")),
    ],
)
def test_equations_that_do_not_fit_are_refused(text, method):
    with pytest.raises((ConfigError, TermError)):
        compiled(text, method)


@pytest.mark.parametrize("number", [7, 96, 98, 997])
def test_values_do_not_depend_on_earlier_compilations(monkeypatch, rng, number):
    u = torch.from_numpy(rng.standard_normal(POINTS))
    first = compiled("u_t = -1.1*u*u_x + 0.7*u**2*u_xxx").full(u)
    monkeypatch.setattr(sympy.Dummy, "_count", number)
    assert torch.equal(compiled("u_t = -1.1*u*u_x + 0.7*u**2*u_xxx").full(u), first)
