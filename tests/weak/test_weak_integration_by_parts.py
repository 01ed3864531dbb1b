"""Integration by parts and noise kernels against integrals of the terms as they are written."""

import numpy as np
import pytest
import sympy
from manufactured import SMOOTH, SMOOTH_2D, Formula, substituted, t, x, y

from bayespde.core.terms import evaluate_expression, parse_term
from bayespde.weak.integration_by_parts import integrate_by_parts, noise_kernels
from bayespde.weak.test_functions import TestFunctions, project

DIMS = {1: ("time", "x"), 2: ("time", "y", "x")}
ONE = Formula(SMOOTH, (np.linspace(0, 2, 81), np.linspace(0, 6, 161)))
TWO = Formula(SMOOTH_2D, (np.linspace(0, 2, 33), np.linspace(0, 5, 49), np.linspace(0, 6, 49)))
# One pixel's worth of a change: narrow, but smooth enough for the rule of the integral to be exact.
SPOT = sympy.exp(-((t - 0.9) ** 2) / 0.03 - (x - 2.6) ** 2 / 0.05)
WAVES = sympy.cos(2 * x - t) + 0.3 * sympy.sin(3 * t + x)
BUMP_2D = sympy.cos(1.5 * x + y - t) + 0.5 * sympy.sin(2 * y)
ONE_D_TERMS = ["1", "u", "u**3", "u_x", "u_xx", "u_xxxx", "u*u_x", "u**2*u_xx", "u_x**2", "u*u_xxx", "sin(u)*u_x",
               "exp(u)", "u_x*u_xx", "u + u*u_x", "u_x**3", "u_x/(2 + u**2)"]  # fmt: skip
TWO_D_TERMS = ["u", "u_y", "u_yy", "u_xy", "u*u_y", "u*u_xy", "u**2*u_yy", "u_x*u_y", "u_xxy", "sin(u)*u_y"]


def bumps(formula):
    return tuple(
        TestFunctions(np.array([int(0.4 * n), int(0.5 * n)]), int(0.35 * n), 8, n, a[1] - a[0])
        for a, n in zip(formula.axes, formula.shape, strict=True)
    )


def integral(expression, formula):
    """Trapezoid rule of the test functions times an expression in t, y, x, every test function one by one."""
    values = sympy.lambdify(formula.symbols, expression, "numpy")(*formula.grid) + np.zeros(formula.shape)
    answers = []
    for index in np.ndindex(*(2,) * len(formula.axes)):
        weight = np.ones(formula.shape)
        for axis, (functions, i) in enumerate(zip(bumps(formula), index, strict=True)):
            position, centre = formula.axes[axis], formula.axes[axis][functions.centres[i]]
            s = (position - centre) / (functions.radius * functions.spacing)
            bump = np.where(np.abs(s) < 1, (1 - s**2) ** 8, 0) * functions.spacing
            weight = weight * np.expand_dims(bump, [a for a in range(weight.ndim) if a != axis])
        answers.append(np.sum(weight * values))
    return np.array(answers)


def by_name(formula):
    letters = dict(zip("tyx" if len(formula.axes) == 3 else "tx", range(len(formula.axes)), strict=True))

    def values(name):
        orders = [0] * len(formula.axes)
        for letter in name.partition("_")[2]:
            orders[letters[letter]] += 1
        return formula.evaluate(tuple(orders))

    return values


def case(text, formula):
    return parse_term(text), "u", DIMS[len(formula.axes) - 1]


CASES = [(text, ONE) for text in ONE_D_TERMS] + [(text, TWO) for text in TWO_D_TERMS]


@pytest.mark.parametrize(("text", "formula"), CASES, ids=[c[0] + f"-{len(c[1].axes) - 1}d" for c in CASES])
def test_parts_have_the_moment_of_the_term(text, formula):
    term, _, dims = case(text, formula)
    found = 0.0
    for orders, expression in integrate_by_parts(term, dims):
        values = np.broadcast_to(evaluate_expression(expression, by_name(formula)), formula.shape)
        found = found + (-1) ** sum(orders) * project(values, bumps(formula), orders)
    wanted = integral(substituted(term, formula.expression), formula)
    scale = integral(sympy.Abs(substituted(term, formula.expression)), formula)
    assert np.allclose(found, wanted, atol=2e-6 * scale.max(), rtol=0)


@pytest.mark.parametrize("text", ["u_x", "u_xx", "u_xxxx", "u*u_x", "u**3*u_x"])
def test_divergences_are_moved_onto_the_test_function(text):
    for orders, expression in integrate_by_parts(parse_term(text), DIMS[1]):
        assert sum(orders) > 0
        assert {s.name for s in expression.free_symbols} == {"u"}


CHANGES = [(text, ONE, change) for text in ONE_D_TERMS[1:] for change in (SPOT, WAVES)]
CHANGES += [(text, TWO, BUMP_2D) for text in TWO_D_TERMS]


@pytest.mark.parametrize(("text", "formula", "change"), CHANGES)
def test_kernels_give_the_first_variation_of_the_moment(text, formula, change):
    term, variable, dims = case(text, formula)
    moved = sympy.lambdify(formula.symbols, change, "numpy")(*formula.grid)
    found = 0.0
    for orders, kernel in noise_kernels(term, variable, dims).items():
        found = found + project(evaluate_expression(kernel, by_name(formula)) * moved, bumps(formula), orders)
    step = 1e-4
    after, before = (integral(substituted(term, formula.expression + s * step * change), formula) for s in (1, -1))
    wanted = (after - before) / (2 * step)
    assert np.allclose(found, wanted, atol=1e-5 * max(np.abs(wanted).max(), 1e-3), rtol=0)


def test_a_constant_has_no_noise():
    assert noise_kernels(*case("1", ONE)) == {}
