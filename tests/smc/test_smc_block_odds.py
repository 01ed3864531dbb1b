"""Odds of block flips from small matrices: those of the model, between all configurations and for all sets of spins."""

import compiled
import numpy as np
import pytest
import torch
from oracles import codes, random_rows

from bayespde.smc.kernels.block_odds import likelihood_gain, prior_gain
from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.neighbour_odds import refresh

MODELS = compiled.small_models()


def gains(model):
    """Of the log prior and the log likelihood, from small matrices and by the model: `[starts, sets]` each."""
    problem, tempered, state = compiled.prepared(model, 1.0)
    spins, alive, log_mass = compiled.possible(model)
    log_prior = log_mass(0.0)
    log_likelihood = log_mass(1.0) - np.where(alive, log_prior, 0.0)
    sets = spins[1:]
    got, wanted = np.empty((2, alive.sum(), len(sets))), np.empty((2, alive.sum(), len(sets)))
    for i, row in enumerate(np.flatnonzero(alive)):
        build(state, problem, spins[row])
        refresh(state, problem, tempered)
        ends = codes(spins[row] ^ sets)
        wanted[:, i] = log_prior[ends] - log_prior[row], log_likelihood[ends] - log_likelihood[row]
        for d, one in enumerate(sets):
            members = np.flatnonzero(one)
            got[:, i, d] = prior_gain(state, tempered, members), likelihood_gain(state, problem, tempered, members)
    return got, wanted


@pytest.mark.parametrize("name", MODELS)
def test_gains_of_all_sets_are_those_of_the_model(name):
    """They may be unknown where columns are nearly collinear, and are known wherever none is."""
    (prior, likelihood), (right_prior, right) = gains(MODELS[name])
    possible = np.isfinite(right)
    np.testing.assert_allclose(prior[possible], right_prior[possible], rtol=0, atol=1e-10)
    known = possible & ~np.isnan(likelihood)
    np.testing.assert_allclose(likelihood[known], right[known], rtol=1e-12, atol=compiled.rounding(name))
    assert known.any()
    if name in {"plain", "fixed g", "ridge", "coupled"}:
        assert known.all()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_gains_among_many_columns_are_those_of_the_model(size, seed):
    random = np.random.default_rng(seed)
    model = compiled.model_of(*random_rows(random, 200, 30, noise=2.0, mixing=0.7))
    problem, tempered, state = compiled.prepared(model, 1.0)
    spins = np.zeros(30, dtype=bool)
    spins[random.choice(30, 3 * size, replace=False)] = True
    build(state, problem, spins)
    refresh(state, problem, tempered)
    members = random.choice(30, size, replace=False)
    after = spins.copy()
    after[members] ^= True
    library = np.empty((2, 30), dtype=bool)
    library[:, model.regression.order] = spins, after
    value = model.log_likelihood(torch.as_tensor(library))
    assert likelihood_gain(state, problem, tempered, members) == pytest.approx(float(value[1] - value[0]), abs=1e-9)
