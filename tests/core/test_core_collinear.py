"""Groups of collinear terms against columns that are combinations of others."""

import numpy as np
import pytest

from bayespde.core.collinear import collinear_groups
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics


def test_an_exact_duplicate_is_a_group_with_its_ratio(rng):
    a, b = rng.normal(size=(2, 300))
    statistics = SufficientStatistics.from_rows(np.column_stack([a, b, -2 * a]), a + b, names=["a", "b", "c"])
    groups = {g.single: g for g in collinear_groups(statistics)}
    assert set(groups) == {"a", "c"}
    assert groups["a"].replacements == (("c",),)
    assert groups["a"].ratios[0] == pytest.approx((-0.5,))
    assert groups["c"].ratios[0] == pytest.approx((-2.0,))
    assert groups["a"].distances[0] < 1e-12
    assert groups["a"].describe() == "a | c"
    assert groups["a"].members == ("a", "c")


def test_an_exact_sum_is_a_group_of_one_against_two(rng):
    a, b, d = rng.normal(size=(3, 300))
    statistics = SufficientStatistics.from_rows(np.column_stack([a, b, 3 * a - b, d]), d, names=["a", "b", "c", "d"])
    groups = {g.single: g for g in collinear_groups(statistics, tolerance=1e-9)}
    assert set(groups) == {"a", "b", "c"}
    assert groups["c"].replacements == (("a", "b"),)
    assert groups["c"].ratios[0] == pytest.approx((3.0, -1.0))
    spins = np.array([[0, 0, 1, 0], [1, 1, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool)
    assert list(groups["c"].covers(spins, statistics.names)) == [True, True, False, False]


def test_independent_columns_have_no_groups(rng):
    design = rng.normal(size=(203, 5)) @ np.diag([1, 1e-4, 1e5, 3, 0.2])
    target = design @ np.array([1.0, 0, 2e-5, 0, -3]) + 0.1 * rng.normal(size=203)
    assert collinear_groups(SufficientStatistics.from_rows(design, target, blocks=7)) == ()


def test_the_tolerance_is_the_squared_sine_between_columns(rng):
    a, b = np.linalg.qr(rng.normal(size=(300, 2)))[0].T
    near = np.cos(0.02) * a + np.sin(0.02) * b
    statistics = SufficientStatistics.from_rows(np.column_stack([a, 1e5 * near]), b, names=["a", "near"])
    assert collinear_groups(statistics, tolerance=0.99 * np.sin(0.02) ** 2) == ()
    found = collinear_groups(statistics, tolerance=1.01 * np.sin(0.02) ** 2)
    assert found[0].distances[0] == pytest.approx(np.sin(0.02) ** 2, rel=1e-6)


def test_the_default_tolerance_depends_on_the_noise(rng):
    a, b = np.linalg.qr(rng.normal(size=(300, 2)))[0].T
    design = np.column_stack([a, np.cos(0.1) * a + np.sin(0.1) * b])
    small, large = (
        SufficientStatistics.from_rows(design, 10 * a + 3 * b, names=["a", "near"], model=RowModel(prior_variance=v))
        for v in (1e-4, 1)
    )
    # Replacing a by the other column costs 100 sin(0.1)^2 = 1 in squared residuals: 10^4 or 1 noise variances.
    assert collinear_groups(small) == ()
    assert {g.single for g in collinear_groups(large)} == {"a", "near"}
