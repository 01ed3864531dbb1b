"""Iteration to the linearisation point."""

import numpy as np
import pytest
from manufactured import BURGERS, Formula
from weak_problems import CLEAN, PLACES, TIMES, problem

from bayespde.weak.linearisation import ModelWeights, iterate, only_model
from bayespde.weak.whitening import WhitenedRows


def test_the_linearisation_point_is_a_fixed_point():
    formula = Formula(BURGERS, (TIMES, PLACES), noise_scale=0.002)
    noise = 0.002 * np.random.default_rng(1).standard_normal(formula.shape)
    weak = problem(formula, ["u", "u*u_x", "u_xx"], noise=noise, options=CLEAN)
    only = np.array([[False, True, True]])
    found = iterate(lambda _: weak, lambda _: (only, np.ones(1)), np.zeros(3), max_iterations=20)
    point = found.coefficients
    again = WhitenedRows(weak, point).instrumental_fits(only)[0]
    assert np.linalg.norm(weak.design @ (again - point)) < 5e-3 * np.linalg.norm(weak.design @ point)
    assert point == pytest.approx([0, -1, 0.1], rel=0.05)
    assert found.converged
    assert 1 < found.iterations < 20


def test_final_rows_are_whitened_at_the_coefficients_themselves():
    formula = Formula(BURGERS, (TIMES, PLACES), noise_scale=0.002)
    weak, on = problem(formula, ["u*u_x", "u_xx"], options=CLEAN), np.ones(2, dtype=bool)
    found = iterate(lambda _: weak, only_model(on), np.zeros(2), max_iterations=1)
    assert not found.converged
    assert np.all(found.rows.point == 0)
    assert np.array_equal(found.final_rows.point, found.coefficients)


def test_the_best_model_is_the_most_probable():
    spins = np.array([[True, False], [False, True]])
    assert np.array_equal(ModelWeights(spins, np.array([0.2, 0.8])).best, spins[1])
