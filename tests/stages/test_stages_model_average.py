"""The posterior by which the pilot equation is averaged: exact for few terms, sampled for many."""

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.slabs import GPriorSlab
from bayespde.model.prior import Prior
from bayespde.stages.model_average import ENUMERATE_UP_TO, ModelAverage


def problem(terms, rng):
    """Rows of which the first two terms explain most, and a library of so many terms."""
    names = [f"{power}u_{'x' * order}" for power in ("", "u*", "u**2*", "u**3*", "u**4*") for order in range(1, 6)][
        :terms
    ]
    rows = rng.standard_normal((120, terms))
    target = rows[:, 0] - 0.5 * rows[:, 1] + 0.3 * rows[:, 2] + rng.standard_normal(120)
    return bp.Library.from_strings(names), bp.SufficientStatistics.from_rows(rows, target, names=names)


@pytest.mark.parametrize("terms", [6, ENUMERATE_UP_TO + 2])
def test_the_more_probable_come_first(terms, rng):
    library, statistics = problem(terms, rng)
    spins, probability = ModelAverage(library, Prior()).average(statistics)
    assert spins.shape == (len(probability), terms)
    assert np.all(np.diff(probability) <= 0)
    assert spins[0, 0]


def test_many_terms_are_sampled_with_the_seed_given(rng):
    library, statistics = problem(ENUMERATE_UP_TO + 2, rng)
    one, same, other = (ModelAverage(library, Prior(), s).average(statistics) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert len(one[0]) != len(other[0]) or not np.array_equal(one[1], other[1])


def test_the_sample_agrees_with_enumeration_on_what_each_term_weighs(rng):
    """Five standard errors of what 512 particles give, as if half of them were independent."""
    library, statistics = problem(ENUMERATE_UP_TO + 1, rng)
    spins, probability = ModelAverage(library, Prior(), int(rng.integers(2**31))).average(statistics)
    model = bp.SpinModel(statistics, library, prior=bp.Prior(slab=GPriorSlab()))
    exact = bp.sample(model, method="exact", enumerate_up_to=len(library), seed=0).inclusion_probability.values
    error = np.sqrt(np.maximum(exact * (1 - exact), 1 / 256) / 256)
    assert np.all(np.abs(probability @ spins - exact) < 5 * error)
