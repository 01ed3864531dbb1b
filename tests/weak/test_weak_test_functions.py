"""Test functions: their derivatives, integrals and places."""

import numpy as np
import pytest
import sympy
from scipy.special import beta

from bayespde.core.errors import ConfigError
from bayespde.weak.test_functions import TestFunctions, place

WINDOW = TestFunctions(np.array([20, 33, 75]), half_width=16, power=7, samples=96, spacing=0.3)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_derivatives_are_those_of_the_formula(order):
    position, centre = sympy.symbols("position centre")
    bump = (1 - ((position - centre) / (16 * sympy.Rational(3, 10))) ** 2) ** 7
    formula = sympy.lambdify((position, centre), sympy.diff(bump, position, order))
    matrix = WINDOW.matrix(order)
    assert matrix.shape == (3, 96)
    for row, c in zip(matrix, WINDOW.centres, strict=True):
        inside = np.abs(np.arange(96) - c) < 16
        wanted = np.where(inside, formula(0.3 * np.arange(96), 0.3 * c), 0) * 0.3
        assert np.allclose(row, wanted, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_are_finite_differences_of_the_one_below(order):
    fine = TestFunctions(np.array([600]), half_width=400, power=7, samples=1201, spacing=0.01)
    below, here = fine.matrix(order - 1)[0], fine.matrix(order)[0]
    difference = (below[2:] - below[:-2]) / 0.02
    assert np.allclose(here[1:-1], difference, atol=2e-4 * np.abs(here).max())


def test_the_integral_of_a_bump_is_a_beta_function():
    assert WINDOW.matrix(0).sum(axis=1) == pytest.approx(16 * 0.3 * beta(0.5, 8), rel=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_integrate_powers_by_parts(order):
    fine = TestFunctions(np.array([90, 210]), half_width=80, power=7, samples=301, spacing=0.3)
    for centre, row, bump in zip(fine.centres, fine.matrix(order), fine.matrix(0), strict=True):
        local = 0.3 * (np.arange(301) - centre)
        sizes = [np.abs(row) @ np.abs(local) ** power for power in range(order + 1)]
        for lower in range(order):
            assert abs(row @ local**lower) < 1e-5 * sizes[lower]
        wanted = (-1) ** order * float(sympy.factorial(order)) * bump.sum()
        assert row @ local**order == pytest.approx(wanted, abs=1e-5 * sizes[order])


def test_a_bump_is_zero_from_its_half_width_on():
    row = WINDOW.matrix(0)[0]
    assert np.all(row[np.abs(np.arange(96) - 20) >= 16] == 0)
    assert np.all(row[np.abs(np.arange(96) - 20) < 16] > 0)


@pytest.mark.parametrize(
    ("samples", "support_radius", "rows"),
    [
        ((100, 200), (15, 20), 200),
        ((60, 64, 64), (10, 21, 21), 200),
        ((20, 500), (3, 100), 50),
        ((50, 50), (10, 3), 20),
    ],
)
def test_centres_fit_are_even_and_at_most_the_rows_asked_for(samples, support_radius, rows):
    centres = place(samples, support_radius, rows)
    count = np.prod([len(c) for c in centres])
    assert rows / 3 < count <= rows
    for c, n, r in zip(centres, samples, support_radius, strict=True):
        assert c.min() >= r
        assert c.max() <= n - 1 - r
        if len(c) > 1:
            assert (c[0], c[-1]) == (r, n - 1 - r)
            assert np.ptp(np.diff(c)) <= 1


def test_one_window_that_just_fits_stands_in_the_middle():
    assert [list(c) for c in place((21, 33), (10, 16), 100)] == [[10], [16]]


@pytest.mark.parametrize(("samples", "support_radius"), [((20, 40), (10, 5)), ((20, 40), (5, 20)), ((20, 40), (1, 5))])
def test_a_window_that_does_not_fit_is_refused(samples, support_radius):
    with pytest.raises(ConfigError, match="does not fit"):
        place(samples, support_radius, 100)
