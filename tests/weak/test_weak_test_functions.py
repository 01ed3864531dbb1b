"""Test functions: their derivatives and integrals."""

import numpy as np
import pytest
import sympy
from scipy.special import beta

from bayespde.weak.test_functions import TestFunctions

BUMPS = TestFunctions(np.array([20, 33, 75]), radius=16, power=7, samples=96, spacing=0.3)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_derivatives_are_those_of_the_formula(order):
    position, centre = sympy.symbols("position centre")
    bump = (1 - ((position - centre) / (16 * sympy.Rational(3, 10))) ** 2) ** 7
    formula = sympy.lambdify((position, centre), sympy.diff(bump, position, order))
    matrix = BUMPS.matrix(order)
    assert matrix.shape == (3, 96)
    for row, c in zip(matrix, BUMPS.centres, strict=True):
        inside = np.abs(np.arange(96) - c) < 16
        wanted = np.where(inside, formula(0.3 * np.arange(96), 0.3 * c), 0) * 0.3
        assert np.allclose(row, wanted, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_are_finite_differences_of_the_one_below(order):
    fine = TestFunctions(np.array([600]), radius=400, power=7, samples=1201, spacing=0.01)
    below, here = fine.matrix(order - 1)[0], fine.matrix(order)[0]
    difference = (below[2:] - below[:-2]) / 0.02
    assert np.allclose(here[1:-1], difference, atol=2e-4 * np.abs(here).max())


def test_the_integral_of_a_bump_is_a_beta_function():
    assert BUMPS.matrix(0).sum(axis=1) == pytest.approx(16 * 0.3 * beta(0.5, 8), rel=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_integrate_powers_by_parts(order):
    fine = TestFunctions(np.array([90, 210]), radius=80, power=7, samples=301, spacing=0.3)
    for centre, row, bump in zip(fine.centres, fine.matrix(order), fine.matrix(0), strict=True):
        local = 0.3 * (np.arange(301) - centre)
        sizes = [np.abs(row) @ np.abs(local) ** power for power in range(order + 1)]
        for lower in range(order):
            assert abs(row @ local**lower) < 1e-5 * sizes[lower]
        wanted = (-1) ** order * float(sympy.factorial(order)) * bump.sum()
        assert row @ local**order == pytest.approx(wanted, abs=1e-5 * sizes[order])


def test_a_bump_is_zero_outside_its_support():
    row = BUMPS.matrix(0)[0]
    assert np.all(row[np.abs(np.arange(96) - 20) >= 16] == 0)
    assert np.all(row[np.abs(np.arange(96) - 20) < 16] > 0)


def test_the_local_part_is_the_nonzero_part_of_the_matrix():
    index, weight = BUMPS.local(1)
    assert index.shape == weight.shape == (3, 31)
    whole = np.zeros((3, 96))
    np.put_along_axis(whole, index, weight, axis=1)
    assert np.array_equal(whole, BUMPS.matrix(1))
