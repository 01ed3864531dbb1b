"""Triangular factors against the Gram matrices that they stand for."""

import numpy as np
import pytest

from bayespde.core.triangular import ridged, triangular_factor


@pytest.mark.parametrize("count", [2, 5, 40])
def test_the_factor_is_triangular_with_the_gram_matrix_of_the_rows(count, rng):
    rows = rng.normal(size=(count, 5))
    factor = triangular_factor(rows)
    assert factor.shape == (5, 5)
    assert np.all(np.tril(factor, -1) == 0)
    assert np.all(np.diagonal(factor) >= 0)
    np.testing.assert_allclose(factor.T @ factor, rows.T @ rows, atol=1e-12)


def test_the_factor_does_not_depend_on_the_signs_of_the_rows(rng):
    rows = rng.normal(size=(20, 5))
    signs = rng.choice([-1.0, 1.0], size=(20, 1))
    np.testing.assert_allclose(triangular_factor(signs * rows), triangular_factor(rows), atol=1e-13)


def test_factors_of_blocks_join_to_the_factor_of_all_rows(rng):
    blocks = rng.normal(size=(3, 9, 5))
    joined = triangular_factor(np.concatenate([triangular_factor(b) for b in blocks]))
    np.testing.assert_allclose(joined, triangular_factor(blocks.reshape(-1, 5)), atol=1e-12)


def test_a_ridge_is_added_to_the_diagonal_of_the_terms(rng):
    factor = triangular_factor(rng.normal(size=(20, 5)))
    found = ridged(factor, 0.7)
    wanted = factor.T @ factor + 0.7 * np.diag([1.0, 1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(found.T @ found, wanted, atol=1e-12)
    assert ridged(factor, 0.0) is factor
