"""Monte Carlo standard errors pooled between and within runs."""

import math

import numpy as np
import pytest

from bayespde.core.monte_carlo import error_between_runs, evidence_error, inclusion_error

WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1])
VALUES = np.array([[0.5, 0.0], [0.6, 0.0], [0.4, 0.0], [0.7, 0.0]])


def test_the_error_of_an_inclusion_probability_is_pooled():
    within = np.array([[0.001, 0.0], [0.002, 0.0], [0.003, 0.0], [0.002, 0.0]])
    found = inclusion_error(VALUES, within, WEIGHTS, particles=100)
    variance = (3 * VALUES[:, 0].var(ddof=1) + 4 * 0.002) / 7
    assert found[0] == pytest.approx(math.sqrt(variance * 0.3 + 1 / 400**2))
    assert found[1] == pytest.approx(1 / 400)
    alone = inclusion_error(VALUES[:1], within[:1], np.ones(1), particles=100)
    assert alone == pytest.approx([math.sqrt(0.001 + 1e-4), 0.01])


@pytest.mark.parametrize("shape", [(4, 0), (0,)])
def test_without_a_variance_within_runs_the_error_is_that_between_them(shape):
    found = inclusion_error(VALUES, np.zeros(shape), WEIGHTS, particles=100)
    np.testing.assert_array_equal(found, error_between_runs(VALUES, WEIGHTS))
    assert found[0] == pytest.approx(VALUES[:, 0].std(ddof=1) * math.sqrt(0.3))
    assert np.isnan(inclusion_error(VALUES[:1], np.zeros(shape), np.ones(1), particles=100)).all()


def test_evidences_far_apart_have_a_large_error():
    apart = np.tile(np.arange(100), (4, 1))
    assert evidence_error(np.array([0.0, -500.0, -500.0, -500.0]), apart) == pytest.approx(125)
    close = np.array([0.0, 0.1, -0.1, 0.05])
    assert evidence_error(close, apart) == pytest.approx(close.std(ddof=1) / 2, rel=0.1)


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.3])
def test_the_error_of_the_evidence_knows_the_ancestors(spread):
    """Fifty ancestors of two particles each: each run is worth fifty draws, and loses a hundredth to sharing."""
    shared = np.tile(np.repeat(np.arange(50), 2), (4, 1))
    within, close = 50 * 0.02**2 - 0.01, spread * np.array([1.0, -1.0, 1.0, -1.0])
    assert evidence_error(np.zeros(1), shared[:1]) == pytest.approx(math.sqrt(within))
    between = close.var(ddof=1)
    pooled = (3 * between + 4 * within) / 7 if spread < 0.3 else between
    assert evidence_error(close, shared) == pytest.approx(math.sqrt(pooled / 4), rel=0.02)
