"""Whitened rows: unit variance at the truth, generalised least squares, and instrumental fits."""

from dataclasses import replace

import numpy as np
import pytest
from manufactured import HEAT, Formula
from weak_problems import CASES, CLEAN, problem

from bayespde.weak.whitening import WhitenedRows


def test_whitened_residuals_at_the_truth_have_unit_variance(seed):
    formula = Formula(HEAT, (np.linspace(0, 3, 61), np.linspace(0, 2 * np.pi, 81)), noise_scale=0.02)
    rng, beta, found = np.random.default_rng(seed), np.array([0.25, 0.0]), []
    for _ in range(40):
        weak = problem(formula, ["u_xx", "u*u_x"], noise=0.02 * rng.standard_normal(formula.shape), options=CLEAN)
        statistics = WhitenedRows(weak, beta).statistics
        found.append(statistics.block_residuals(beta).sum() / statistics.rows)
    # Overlapping rows are not independent to the last digit: variances below the guard against rounding are lost.
    covariance = weak.covariance(beta)
    guarded = covariance + 1e-9 * np.diag(np.diagonal(covariance))
    expected = np.trace(np.linalg.solve(guarded, covariance)) / len(covariance)
    assert 0.9 < expected <= 1
    assert statistics.prior_variance == pytest.approx(2 - expected, abs=1e-4)
    assert abs(np.mean(found) - expected) < 5 * np.sqrt(2 / statistics.rows / len(found))


def test_the_expected_residual_is_the_share_of_noise_in_the_rows():
    formula, options, point, _ = CASES["1-D"]
    beta = np.array(list(point.values()))
    weak = problem(formula, list(point), options=replace(options, floor=0.02, scheme_error=True))
    plain = problem(formula, list(point), options=options)
    wanted = np.trace(np.linalg.solve(weak.covariance(beta), plain.covariance(beta))) / len(weak.target)
    statistics = WhitenedRows(weak, beta).statistics
    assert 0.1 < wanted < 0.99
    assert statistics.record.expected_residual == pytest.approx(wanted, rel=1e-4)
    assert statistics.prior_variance == pytest.approx(2 - wanted, rel=1e-4)
    assert statistics.prior_rows == len(weak.target)


def test_compressed_rows_are_the_generalised_least_squares_problem():
    formula, options, point, _ = CASES["1-D"]
    beta = np.array(list(point.values()))
    noise = 0.03 * np.random.default_rng(3).standard_normal(formula.shape)
    weak = problem(formula, list(point), noise=noise, options=replace(options, floor=1e-3))
    inverse = np.linalg.inv(weak.covariance(beta))
    z = weak.target - weak.correction @ beta
    statistics = WhitenedRows(weak, beta).statistics
    gram = statistics.factor[:, :-1].T @ statistics.factor[:, :-1]
    assert np.allclose(gram, weak.design.T @ inverse @ weak.design, rtol=1e-5)
    assert statistics.energy == pytest.approx(z @ inverse @ z, rel=1e-5)
    log_determinant = np.linalg.slogdet(weak.covariance(beta))[1]
    assert statistics.log_jacobian.sum() == pytest.approx(-0.5 * log_determinant, abs=1e-5 * len(z))
    direct = np.linalg.solve(weak.design.T @ inverse @ weak.design, weak.design.T @ inverse @ z)
    assert statistics.least_squares(np.ones(4, bool)) == pytest.approx(direct, rel=1e-4)


def test_instrumental_fits_solve_their_normal_equations():
    formula, options, point, _ = CASES["1-D"]
    beta = np.array(list(point.values()))
    noise = 0.03 * np.random.default_rng(4).standard_normal(formula.shape)
    weak = problem(formula, list(point), noise=noise, options=replace(options, floor=1e-3))
    inverse = np.linalg.inv(weak.covariance(beta))
    spins = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    fits = WhitenedRows(weak, beta).instrumental_fits(spins)
    for on, fit in zip(spins, fits, strict=True):
        a, d = weak.design[:, on], weak.correction[:, on]
        wanted = np.linalg.solve(a.T @ inverse @ (a + d), a.T @ inverse @ weak.target)
        assert fit[on] == pytest.approx(wanted, rel=1e-6)
        assert np.all(fit[~on] == 0)


def test_the_recorded_scheme_error_does_not_depend_on_units():
    """It is relative to the target: a field a hundred times as large has the same."""
    found = []
    for factor in (1.0, 100.0):
        formula = Formula(factor * HEAT, (np.linspace(0, 3, 61), np.linspace(0, 2 * np.pi, 81)))
        weak = problem(formula, ["u_xx"], options=replace(CLEAN, scheme_error=True))
        found.append(WhitenedRows(weak, np.array([0.25])).statistics.provenance["scheme_error"])
    assert 0 < found[0] < 0.1
    assert found[1] == pytest.approx(found[0], rel=1e-6)
