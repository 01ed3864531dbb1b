"""The plain Gibbs kernel: whole transition matrices of site updates and swaps."""

import numpy as np
import pytest
import torch
from oracles import TableTarget, all_spins, codes
from statistical import checks

from bayespde.smc.kernels import gibbs, metropolis


def test_site_updates_leave_the_tempered_target_invariant():
    checks.check_invariance()


def test_sweeps_keep_the_distribution(seed):
    checks.check_sweep_distribution(seed)


def swap_matrix(target, beta):
    state = checks.all_states(target, beta)
    count = len(state.spins)
    matrix = np.zeros((count, count))
    zeros, ones = torch.zeros(count, dtype=torch.float64), torch.full((count,), 1.0, dtype=torch.float64)
    for i in range(target.terms):
        for j in range(target.terms):
            spins = state.spins.numpy()
            eligible = spins[:, i] & ~spins[:, j]
            pairs = spins.sum(axis=1) * (target.terms - spins.sum(axis=1))
            pair = torch.as_tensor(np.where(eligible[:, None], [i, j], -1))
            moved, accept = gibbs.swap(state, target, pair=pair, uniforms=zeros)
            kept, _ = gibbs.swap(state, target, pair=pair, uniforms=ones)
            share = np.where(eligible, 1 / np.maximum(pairs, 1), 0.0)
            np.add.at(matrix, (np.arange(count), codes(moved.spins.numpy())), share * accept.numpy())
            sure = accept.numpy() == 1
            assert np.array_equal(kept.spins.numpy()[~sure], spins[~sure])
            np.add.at(matrix, (np.arange(count), np.arange(count)), share * (1 - accept.numpy()))
    alone = (pairs == 0).nonzero()[0]
    matrix[alone, alone] += 1
    return matrix


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_swaps_leave_the_tempered_target_invariant(case, beta):
    target = checks.invariance_targets()[case]
    matrix, wanted = swap_matrix(target, beta), target.tempered(beta)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(wanted @ matrix, wanted, rtol=0, atol=1e-12)
    flow = wanted[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, rtol=0, atol=1e-12)


def test_pairs_are_chosen_uniformly(generator):
    spins = torch.tensor([[True, False, True, False, False]]).expand(60000, -1)
    pair = gibbs.choose_pair(spins, generator=generator).numpy()
    counts = np.array([np.sum((pair == p).all(axis=1)) for p in [(u, d) for u in (0, 2) for d in (1, 3, 4)]])
    assert counts.sum() == 60000
    assert np.all(np.abs(counts - 10000) < 5 * np.sqrt(60000 / 6 * 5 / 6))
    assert gibbs.choose_pair(torch.ones(3, 4, dtype=torch.bool), generator=generator).tolist() == [[-1, -1]] * 3


def test_huge_log_odds_give_exact_probabilities():
    target = TableTarget(np.zeros(1), np.array([0.0, 1e4]))
    _, up = gibbs.update_site(
        checks.all_states(target, 1.0), target, site=0, uniforms=torch.full((2,), 0.5, dtype=torch.float64)
    )
    assert up.tolist() == [1.0, 1.0]


def test_codes_number_all_spins():
    assert np.array_equal(codes(all_spins(5)), np.arange(32))


def test_the_likelihood_is_ignored_where_both_sides_are_impossible_and_at_inverse_temperature_zero():
    log_prior = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.float64)
    log_likelihood = torch.tensor([torch.nan, -torch.inf, torch.inf, 3.0], dtype=torch.float64)
    assert metropolis.tempered_log_ratio(log_prior, log_likelihood, 0.5).tolist() == [0.5, -np.inf, np.inf, 1.5]
    assert metropolis.tempered_log_ratio(log_prior, log_likelihood, 0.0).tolist() == log_prior.tolist()


@pytest.mark.parametrize("settings", [{}, {"swaps": 1}])
def test_swaps_alone_lead_from_one_configuration_of_a_size_to_another(settings, generator):
    """Only 10 and 01 are possible: flips, all that there is by default, never leave them."""
    target = TableTarget(np.zeros(2), np.array([-np.inf, 0.0, 0.0, -np.inf]))
    spins = torch.tensor([[True, False]]).expand(200, -1)
    state = checks.all_states(target, 1.0)._replace(
        spins=spins, log_prior=target.log_prior(spins), log_likelihood=target.log_likelihood(spins)
    )
    moved, moves = gibbs.GibbsFlips(**settings)(state, target, sweeps=3, generator=generator)
    assert moved.spins.sum(dim=1).tolist() == [1] * 200
    assert bool((moved.spins != spins).any()) == bool(settings)
    assert (moves.flip_rate > 0) == bool(settings)
