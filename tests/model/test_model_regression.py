"""Regressions of all configurations on a triangular factor, against least squares one by one."""

import numpy as np
import pytest
from oracles import all_spins

from bayespde.core.triangular import ridged
from bayespde.model.regression import regress


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("terms", [1, 2, 5])
def test_residual_determinant_and_smallest_pivot_are_those_of_least_squares(terms, ridge, rng):
    """From the empty configuration to the full one."""
    factor = np.triu(rng.normal(size=(terms + 1, terms + 1)))
    factor[:, :-1] /= np.linalg.norm(factor[:, :-1], axis=0)
    spins = all_spins(terms)
    found = regress(factor, spins, ridge=ridge)
    rows = np.vstack([factor, np.sqrt(ridge) * np.eye(terms, terms + 1)])
    np.testing.assert_allclose(ridged(factor, ridge).T @ ridged(factor, ridge), rows.T @ rows, atol=1e-12)
    for i, on in enumerate(spins):
        columns, target = rows[:, :-1][:, on], rows[:, -1]
        left = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
        pivots = np.diag(np.linalg.qr(columns, mode="r")) ** 2
        assert found.rss[i] == pytest.approx(left @ left, rel=1e-9)
        assert found.logdet[i] == pytest.approx(np.log(pivots).sum(), abs=1e-9)
        assert found.smallest_pivot[i] == pytest.approx(pivots.min(initial=np.inf), rel=1e-9)
