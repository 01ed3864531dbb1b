"""Scores of the residuals of final rows, against the quadratic form of the whole covariance."""

from dataclasses import replace

import numpy as np
import pytest
from manufactured import HEAT, Formula
from weak_problems import CLEAN, problem, with_noise

from bayespde.weak.assembler import Assembler
from bayespde.weak.residual_checks import BLOCKS, _residual_correlation, residual_map
from bayespde.weak.whitening import WhitenedRows


@pytest.mark.parametrize("size", [2.0, 0.2])
def test_the_overall_score_is_that_of_the_quadratic_form(size):
    """Noise larger and smaller than its model; in the rows an allowance is added to it, which need not be used."""
    formula = Formula(HEAT, (np.linspace(0, 3, 41), np.linspace(0, 2 * np.pi, 61)), noise_scale=0.02)
    beta, on = np.array([0.25, 0.0]), np.array([True, False])
    noise = size * 0.02 * np.random.default_rng(3).standard_normal(formula.shape)
    weak = problem(formula, ["u_xx", "u*u_x"], noise=noise, options=replace(CLEAN, floor=0.02))
    rows = WhitenedRows(weak, beta)
    z = weak.target - weak.correction @ beta - weak.design @ rows.statistics.least_squares(on)
    covariance, of_noise = weak.covariance(beta), weak.noise_covariance(beta)
    square, count, share = z @ np.linalg.solve(covariance, z), len(z), np.linalg.solve(covariance, of_noise)
    if size > 1:
        assert square > count
        wanted = (square - count) / np.sqrt(2 * count)
    else:
        assert square < np.trace(share)
        wanted = (square - np.trace(share)) / np.sqrt(2 * np.trace(share @ share))
    found = residual_map(rows, on)
    assert found.overall == pytest.approx(wanted, rel=1e-3)
    assert len(found.score) == np.prod(found.shape) <= max(1, count // 20) <= BLOCKS**2


@pytest.mark.parametrize("size", [1.0, 2.0])
def test_residuals_of_pixels_are_correlated_only_where_they_are_noise(size):
    """Twice the known noise is mostly an error of the smoother."""
    formula = Formula(HEAT, (np.linspace(0, 3, 41), np.linspace(0, 2 * np.pi, 61)), noise_scale=0.02)
    noise = size * 0.02 * np.random.default_rng(4).standard_normal(formula.shape)
    weak = problem(formula, ["u_xx"], noise=noise, options=CLEAN)
    assembler = Assembler(weak.library, weak, weak.test_functions)
    found = _residual_correlation(assembler)
    assert list(found) == ([] if size > 1 else ["time", "x"])
    assert all(abs(value) < 5 / np.sqrt(noise.size) for value in found.values())
    # Of a known correlation no size is too large.
    correlated = with_noise(weak, replace(weak.noise, correlation=(np.array([1.0, 0.5]),)))
    assert list(_residual_correlation(replace(assembler, first=correlated))) == ["time", "x"]
