"""Tempering, resampling and rejuvenation: ESS target, expected counts, invariance."""

import numpy as np
import pytest
import torch
from oracles import TableTarget, all_spins, codes
from statistical import checks

from bayespde.core.errors import ConfigError
from bayespde.smc import SMCConfig, tempering
from bayespde.smc.kernels import gibbs
from bayespde.smc.resampling import SCHEMES


def test_ess_of_the_weights_used_is_the_target(seed):
    checks.check_ess_target(seed)


def test_next_temperature_with_impossible_particles():
    log_likelihood = torch.tensor([-np.inf, -np.inf, -1000.0, -2000.0, -np.inf], dtype=torch.float64)
    found = tempering.next_temperature(log_likelihood, previous=0.0, ess_fraction=0.75)
    weights = np.exp(found * np.array([0.0, -1000.0]))
    assert weights.sum() ** 2 / np.sum(weights**2) == pytest.approx(1.5, rel=1e-9)
    with pytest.raises(ConfigError, match="No particle has a positive likelihood"):
        tempering.next_temperature(torch.full((3,), -torch.inf), previous=0.0, ess_fraction=0.5)


def test_flat_likelihood_jumps_to_one():
    assert tempering.next_temperature(torch.zeros(5), previous=0.0, ess_fraction=0.9) == 1.0


def test_zero_increment_weighs_everything_equally():
    log_likelihood = torch.tensor([-np.inf, 3.0])
    log_weights = tempering.incremental_log_weights(log_likelihood, previous=0.0, temperature=0.0)
    assert torch.equal(log_weights, torch.zeros(2))


def test_log_mean_weight_and_ess_by_hand():
    log_weights = torch.log(torch.tensor([1.0, 2.0, 3.0, 0.0], dtype=torch.float64)) + 1000
    assert tempering.log_mean_weight(log_weights) == pytest.approx(1000 + np.log(1.5), abs=1e-12)
    assert tempering.effective_sample_size(log_weights) == pytest.approx(36 / 14, rel=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_expected_counts(scheme, generator):
    weights = np.array([0.0, 0.5, 1.0, 1e-3, 2.7, 0.0, 3.2, 0.6, 0.0])
    expected = len(weights) * weights / weights.sum()
    log_weights = torch.log(torch.as_tensor(weights)) - 700
    draws = np.stack([SCHEMES[scheme](log_weights, generator=generator).numpy() for _ in range(4000)])
    assert np.all(np.diff(draws, axis=1) >= 0)
    counts = np.stack([np.bincount(d, minlength=len(weights)) for d in draws])
    error = counts.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(counts.mean(axis=0) - expected) <= 5 * error + 1e-12 + 5e-3 * (weights < 0.01))
    assert not counts[:, weights == 0].any()


@pytest.mark.parametrize("scheme", ["systematic", "residual"])
def test_whole_shares_are_copied_exactly(scheme, generator):
    log_weights = torch.log(torch.tensor([3.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64))
    ancestors = SCHEMES[scheme](log_weights, generator=generator)
    assert ancestors.tolist() == [0, 0, 0, 2, 3]


def test_low_variance_schemes_stay_within_one_copy(generator):
    log_weights = torch.randn(50, generator=generator, dtype=torch.float64)
    expected = 50 * torch.softmax(log_weights, 0)
    counts = torch.bincount(SCHEMES["systematic"](log_weights, generator=generator), minlength=50)
    assert torch.all((counts - expected).abs() < 1)


def test_site_updates_leave_the_tempered_target_invariant():
    checks.check_invariance()


def test_sweeps_keep_the_distribution(seed):
    checks.check_sweep_distribution(seed)


def exchange_matrix(target, temperature):
    state = checks.all_states(target, temperature)
    count = len(state.spins)
    matrix = np.zeros((count, count))
    zeros, ones = torch.zeros(count, dtype=torch.float64), torch.full((count,), 1.0, dtype=torch.float64)
    for i in range(target.terms):
        for j in range(target.terms):
            spins = state.spins.numpy()
            eligible = spins[:, i] & ~spins[:, j]
            pairs = spins.sum(axis=1) * (target.terms - spins.sum(axis=1))
            pair = torch.as_tensor(np.where(eligible[:, None], [i, j], -1))
            moved, accept = gibbs.exchange(state, target, pair=pair, uniforms=zeros)
            kept, _ = gibbs.exchange(state, target, pair=pair, uniforms=ones)
            share = np.where(eligible, 1 / np.maximum(pairs, 1), 0.0)
            np.add.at(matrix, (np.arange(count), codes(moved.spins.numpy())), share * accept.numpy())
            sure = accept.numpy() == 1
            assert np.array_equal(kept.spins.numpy()[~sure], spins[~sure])
            np.add.at(matrix, (np.arange(count), np.arange(count)), share * (1 - accept.numpy()))
    alone = (pairs == 0).nonzero()[0]
    matrix[alone, alone] += 1
    return matrix


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_exchanges_leave_the_tempered_target_invariant(case, temperature):
    target = checks.invariance_targets()[case]
    matrix, wanted = exchange_matrix(target, temperature), target.tempered(temperature)
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"particles": 1},
        {"runs": 0},
        {"sweeps": 0},
        {"flips": -1.0},
        {"rounds": 0},
        {"max_passes": 0},
        {"correlation": 1.5},
        {"kernel": "metropolis"},
        {"swaps": -1},
        {"final_passes": 1.5},
        {"ess_fraction": 1.0},
        {"resampling": "bootstrap"},
        {"schedule": (0.5, 0.4, 1.0)},
        {"schedule": (0.5,)},
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError, match="fix:"):
        SMCConfig(**wrong)


def test_all_spins_and_codes_agree():
    assert np.array_equal(codes(all_spins(5)), np.arange(32))
