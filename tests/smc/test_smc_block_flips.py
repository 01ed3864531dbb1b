"""Block flips: their whole transition matrix, the sets that chains give, posteriors that single flips do not mix."""

import importlib

import numpy as np
import pytest
import torch
from oracles import TableTarget, all_spins, codes, ising
from statistical import checks

from bayespde.core.monte_carlo import evidence_error
from bayespde.core.random import torch_generator
from bayespde.smc import SMCConfig, log_mean_exp, make_kernel, pilot_run, run_all
from bayespde.smc.base import Moves
from bayespde.smc.kernels.block_flips import BlockFlips, block_flips, differences

module = importlib.import_module("bayespde.smc.kernels.block_flips")
SETS = torch.tensor([[True, True, False, False], [False, True, True, True]])


def still(state, path, *, sweeps, generator):
    return state, Moves(torch.zeros(state.spins.shape[1], dtype=torch.float64), 0.0)


def matrix_of(target, beta, one, monkeypatch):
    """Transition matrix `[16, 16]` of the flip of one set, from what is accepted at which uniforms."""
    state, accepted = checks.all_states(target, beta), []
    kernel = BlockFlips(still, one[None], torch.ones(1, dtype=torch.float64))
    right = module.accept
    monkeypatch.setattr(module, "accept", lambda *a: accepted.append(a[2]) or right(*a))
    moved = state
    proposed, log_ratio = module.propose(state, target, state.spins ^ one)
    for seed in range(200):
        moved, _ = kernel(state, target, sweeps=1.0, generator=torch_generator(seed))
        assert torch.equal(moved.spins, torch.where(accepted[-1][:, None], state.spins ^ one, state.spins))
        assert torch.equal(moved.log_likelihood, target.log_likelihood(moved.spins))
    share, probability = torch.stack(accepted).double().mean(dim=0), torch.exp(log_ratio.clamp(max=0))
    assert (abs(share - probability) <= 5 * torch.sqrt(probability * (1 - probability) / 200) + 1e-12).all()
    matrix = np.diag(1 - probability.numpy())
    matrix[np.arange(16), codes(proposed.spins.numpy())] += probability.numpy()
    return matrix


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_block_flips_leave_the_tempered_target_invariant(case, beta, monkeypatch):
    target = checks.invariance_targets()[case]
    wanted = target.tempered(beta)
    for one in SETS:
        flow = wanted[:, None] * matrix_of(target, beta, one, monkeypatch)
        np.testing.assert_allclose(flow, flow.T, rtol=0, atol=1e-12)


def test_sets_are_proposed_as_often_as_they_are_accepted():
    """Eight of sixteen states are possible: one set leads from each to another, one from none, one is the null move."""
    table = np.where(all_spins(4)[:, 0], -np.inf, 0.0)
    target = TableTarget(np.zeros(4), table)
    sets = torch.tensor([[False, True, True, True], [True, True, True, False], [False, False, True, True]])
    spins = torch.as_tensor(all_spins(4))[:8]
    moves = block_flips(still, target, spins, sets, flips=3)
    assert torch.equal(moves.sets, sets[[0, 2]])
    assert moves.weights.tolist() == [1.0, 1.0]
    assert moves.flips == 3
    assert block_flips(still, target, spins, sets[1:2], flips=3) is still
    assert block_flips(still, target, spins, sets, flips=0) is still


def test_sets_are_the_differences_of_the_heaviest_modes():
    spins = torch.tensor([[0, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()
    mass = torch.tensor([3.0, 2.0, 2.5, 1.0, 3.0], dtype=torch.float64)
    every = torch.ones(5, dtype=torch.bool)
    found = differences(spins, mass, within=every)
    assert {tuple(s) for s in found.int().tolist()} == {(1, 1, 1, 0, 0), (0, 0, 1, 1, 1), (1, 1, 0, 1, 1)}
    assert differences(spins, mass, within=torch.tensor([True, True, True, False, False])).tolist() == [
        [True, True, True, False, False]
    ]
    assert differences(spins, mass, within=torch.tensor([True, True, False, False, False])).shape == (0, 5)


@pytest.mark.parametrize(("terms", "couplings"), [(12, 10), (14, 12)])
def test_modes_far_apart_get_their_weights(terms, couplings, seed):
    """Without block flips the largest error is above 0.02 in every third seed, without pilot chains as well."""
    target = ising(terms, couplings)
    mass = target.log_mass
    inclusion = np.exp(mass - np.logaddexp.reduce(mass)) @ all_spins(terms)
    found = run_all(target, config=SMCConfig(), seed=seed)
    weights = np.exp(found.log_evidence - found.log_evidence.max())
    assert np.abs(weights / weights.sum() @ found.estimates["rao_blackwell"] - inclusion).max() < 0.02


def test_the_evidence_is_unbiased_with_block_flips(seed):
    """The schedule is fixed, and the sets are those of chains that the particles do not depend on."""
    target, replicates = ising(8, 0, coupling=1.2), 300
    config = SMCConfig(
        particles=32, runs=replicates, sweeps=1.0, max_passes=1, final_passes=1, schedule=checks.SCHEDULE, swaps=0
    )
    kernel = make_kernel(target, config)
    assert isinstance(pilot_run(target, kernel, config=config, generator=torch_generator(seed))[1], BlockFlips)
    ratio = np.exp(run_all(target, config=config, seed=seed).log_evidence - np.logaddexp.reduce(target.log_mass))
    assert abs(ratio.mean() - 1) < 5 * ratio.std(ddof=1) / np.sqrt(replicates)
    assert ratio.std() < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(("terms", "couplings"), [(12, 10), (14, 12)])
def test_stated_errors_of_the_evidence_hold(terms, couplings, seed):
    """The mean squared score of many seeds is near 1, and few scores are beyond 3."""
    target, scores = ising(terms, couplings), []
    for one in checks.statistical_seeds(seed, 60):
        found = run_all(target, config=SMCConfig(particles=1024), seed=one)
        error = log_mean_exp(found.log_evidence) - np.logaddexp.reduce(target.log_mass)
        scores.append(error / evidence_error(found.log_evidence, found.eve_index))
    assert 0.4 < np.mean(np.square(scores)) < 2
    assert np.sum(np.abs(scores) > 3) <= 4


def test_chains_that_mix_give_no_block_flips(seed):
    target = TableTarget(np.linspace(-1, 1, 8), np.zeros(2**8))
    config = SMCConfig(particles=256)
    kernel = make_kernel(target, config)
    assert pilot_run(target, kernel, config=config, generator=torch_generator(seed))[1] is kernel
