"""Coupled spins against sums over all their states."""

import numpy as np
import pytest
from oracles import all_spins

from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins

PAIRS = {(0, 3): 1.5, (3, 5): -2.0, (1, 4): 0.7}


@pytest.fixture
def spins():
    couplings = np.zeros((7, 7))
    for (i, j), strength in PAIRS.items():
        couplings[i, j] = couplings[j, i] = strength
    return PairwiseSpins(np.array([-1.0, 0.5, -2.0, 0.3, -0.7, 1.1, -3.0]), couplings)


def by_hand(spins):
    """All states, and their log density term by term."""
    states = all_spins(7)
    energy = [
        sum(h for h, on in zip(spins.fields, s, strict=True) if on)
        + sum(v for (i, j), v in PAIRS.items() if s[i] and s[j])
        for s in states
    ]
    return states, np.array(energy) - np.logaddexp.reduce(energy)


def test_the_log_density_of_all_states_is_normalised(spins):
    states, wanted = by_hand(spins)
    np.testing.assert_allclose(spins.log_density(states), wanted, rtol=0, atol=1e-13)
    np.testing.assert_allclose(spins.log_density(states.reshape(16, 8, 7)), wanted.reshape(16, 8), rtol=0, atol=1e-13)


def test_inclusion_is_the_mean_of_all_states(spins):
    states, log_density = by_hand(spins)
    np.testing.assert_allclose(spins.inclusion, np.exp(log_density) @ states, rtol=0, atol=1e-14)


def test_draws_have_the_probabilities_of_the_states(spins, seed):
    states, log_density = by_hand(spins)
    count, wanted = 200000, np.exp(log_density)
    drawn = spins.from_uniform(np.random.default_rng(seed).random((count, 7)))
    shares = np.bincount(drawn @ (2 ** np.arange(7)), minlength=128)[states @ (2 ** np.arange(7))] / count
    assert np.all(np.abs(shares - wanted) < 5 * np.sqrt(wanted / count) + 1e-4)


def test_a_record_gives_the_same_distribution(spins):
    again = PairwiseSpins.from_record(spins.record())
    assert np.array_equal(again.fields, spins.fields)
    assert np.array_equal(again.couplings, spins.couplings)


def test_without_couplings_spins_are_independent(rng):
    fields = rng.normal(size=30)
    spins = PairwiseSpins(fields, np.zeros((30, 30)))
    np.testing.assert_allclose(spins.inclusion, 1 / (1 + np.exp(-fields)), rtol=1e-14)
    some = rng.random((20, 30)) < 0.5
    wanted = np.where(some, -np.log1p(np.exp(-fields)), -np.log1p(np.exp(fields))).sum(axis=1)
    np.testing.assert_allclose(spins.log_density(some), wanted, rtol=1e-13)


def test_too_large_a_cluster_is_refused():
    chain = np.diag(np.ones(19), 1)
    with pytest.raises(ConfigError, match="are coupled"):
        PairwiseSpins(np.zeros(20), chain + chain.T)
