"""The conditional posterior of the coefficients against normal equations on the raw rows."""

import numpy as np
import pytest
from oracles import random_rows
from scipy import stats

from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics

PRIOR_ROWS, PRIOR_VARIANCE = 4.0, 0.5
ON = np.array([True, False, True, True, False])


@pytest.fixture
def rows():
    design, target = random_rows(np.random.default_rng(31), 40, 5)
    return design * [1.0, 50.0, 1e-2, 1.0, 3.0], target


@pytest.fixture
def statistics(rows):
    return SufficientStatistics.from_rows(*rows, model=RowModel(prior_rows=PRIOR_ROWS, prior_variance=PRIOR_VARIANCE))


def normal_equations(design, target, shrinkage, ridge):
    """Mean, covariance at noise variance 1, square and degrees of freedom, from the raw rows."""
    precision = design.T @ design / shrinkage + ridge * np.diag(np.sum(design**2, axis=0))
    mean = np.linalg.solve(precision, design.T @ target)
    square = PRIOR_ROWS * PRIOR_VARIANCE + target @ target - target @ design @ mean
    return mean, np.linalg.inv(precision), square, PRIOR_ROWS + len(target)


@pytest.mark.parametrize(("shrinkage", "ridge"), [(1.0, 0.0), (0.8, 0.0), (1.0, 0.3)])
def test_moments_and_intervals_are_those_of_a_student_distribution(rows, statistics, shrinkage, ridge):
    design, target = rows
    mean, covariance, square, freedom = normal_equations(design[:, ON], target, shrinkage, ridge)
    found = CoefficientPosterior.of(statistics, ON, shrinkage=shrinkage, ridge=ridge)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-10)
    scale = np.sqrt(np.diag(covariance) * square / freedom)
    student = stats.t(freedom, loc=mean, scale=scale)
    np.testing.assert_allclose(found.sd, student.std(), rtol=1e-10)
    np.testing.assert_allclose(found.interval(0.9), student.interval(0.9), rtol=1e-10)


@pytest.mark.parametrize("shrinkage", [1.0, 0.5])
def test_deviations_have_mean_zero_and_the_covariance_at_unit_noise(rows, statistics, shrinkage, rng):
    design, target = rows
    _, covariance, _, _ = normal_equations(design[:, ON], target, shrinkage, 0.0)
    scale, draws = np.sqrt(np.diag(covariance)), 40_000
    found = CoefficientPosterior.of(statistics, ON, shrinkage=shrinkage).deviations(draws, rng) / scale
    products = np.einsum("ni,nj->nij", found, found)
    for sample, wanted in ((found, 0.0), (products, covariance / np.outer(scale, scale))):
        error = sample.std(axis=0) / np.sqrt(draws)
        assert np.all(np.abs(sample.mean(axis=0) - wanted) < 5 * error)


def test_an_empty_configuration_has_no_coefficients(statistics, rng):
    found = CoefficientPosterior.of(statistics, np.zeros(5, dtype=bool))
    assert found.mean.shape == found.sd.shape == (0,)
    assert found.deviations(3, rng).shape == (3, 0)
    assert found.square == pytest.approx(PRIOR_ROWS * PRIOR_VARIANCE + statistics.energy)
