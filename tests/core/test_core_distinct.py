"""Grouping of equal configurations, against a dictionary."""

import numpy as np
import pytest

from bayespde.core.distinct import distinct


@pytest.mark.parametrize("terms", [1, 8, 9, 64, 65, 209])
def test_groups_equal_those_of_a_dictionary(terms):
    rng = np.random.default_rng(terms)
    pool = rng.random((12, terms)) < 0.3
    spins = pool[rng.integers(12, size=200)]
    groups = {}
    for row, configuration in enumerate(spins):
        groups.setdefault(configuration.tobytes(), []).append(row)
    found = distinct(spins)
    assert len(found.first) == len(groups)
    for group, first in enumerate(found.first):
        members = groups[spins[first].tobytes()]
        assert found.order[found.edges[group] : found.edges[group + 1]].tolist() == members
        assert np.flatnonzero(found.group == group).tolist() == members
        assert found.sizes[group] == len(members)
        assert first == members[0]


def test_the_order_of_groups_depends_on_their_content_only():
    rng = np.random.default_rng(0)
    spins = rng.random((300, 70)) < 0.5
    shuffled = spins[rng.permutation(300)]
    assert np.array_equal(spins[distinct(spins).first], shuffled[distinct(shuffled).first])


def test_one_row_and_equal_rows():
    assert [len(part) for part in distinct(np.zeros((0, 3), dtype=bool))] == [0, 1, 0, 0, 0]
    assert distinct(np.zeros((1, 3), dtype=bool)).sizes.tolist() == [1]
    assert distinct(np.ones((5, 3), dtype=bool)).sizes.tolist() == [5]
