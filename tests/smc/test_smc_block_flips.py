"""Block flips: their whole transition matrix, the sets that particles give, posteriors that single flips do not mix."""

import importlib

import numpy as np
import pytest
import torch
from oracles import TableTarget, all_spins, codes, ising
from statistical import checks

from bayespde.core.monte_carlo import evidence_error
from bayespde.core.random import torch_generator
from bayespde.smc import SMCConfig, SMCState, init, learn_block_flips, log_mean_exp, make_kernel, run_all, step
from bayespde.smc.base import BlockFlips
from bayespde.smc.kernels.block_flips import persistence, shared_block_flips

module = importlib.import_module("bayespde.smc.kernels.block_flips")
SETS = torch.tensor([[True, True, False, False], [False, True, True, True]])


def matrix_of(target, beta, one, monkeypatch):
    """Transition matrix `[16, 16]` of the flip of one set, from what is accepted at which uniforms."""
    state, accepted = checks.all_states(target, beta), []
    moves = BlockFlips(one[None], torch.ones(1, dtype=torch.float64), 1)
    right = module.accept
    monkeypatch.setattr(module, "accept", lambda *a: accepted.append(a[2]) or right(*a))
    proposed, log_ratio = module.propose(state, target, state.spins ^ one)
    for seed in range(200):
        moved = module.flip_blocks(state, target, moves, generator=torch_generator(seed))
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


def particles_at(spins, target, beta=1.0):
    spins = torch.as_tensor(spins)
    return SMCState(spins, target.log_prior(spins), target.log_likelihood(spins), beta, 0.0, torch.arange(len(spins)))


def two_modes(generator):
    """Spins 0 to 3 are 1100 or 0011 and stay; 4 is down where they are 0011, mostly; 5 to 7 are drawn anew."""
    first = torch.rand(400, generator=generator) < 0.3
    pattern = torch.stack([first, first, ~first, ~first, first ^ (torch.rand(400, generator=generator) < 0.02)], dim=1)
    return [torch.cat([pattern, torch.rand((400, 3), generator=generator) < 0.5], dim=1) for _ in range(2)]


def test_learnt_sets_are_what_stays_and_what_goes_with_it(seed):
    before, after = two_modes(torch_generator(seed))
    target = TableTarget(np.zeros(8), np.zeros(2**8))
    moves = learn_block_flips(before, particles_at(after, target), target, flips=3)
    assert moves.sets.tolist() == [[True] * 5 + [False] * 3]
    assert moves.weights.tolist() == pytest.approx([float(persistence(before, after)[:5].mean())])
    assert moves.flips == 3


def test_sets_are_proposed_by_the_root_of_their_acceptance_and_as_they_are_needed(seed):
    """The known set is never possible, the other one leads from seven of ten particles to half their mass."""
    before, after = two_modes(torch_generator(seed))
    spins = all_spins(8)
    table = np.where(spins[:, 0], np.log(0.5), 0.0)
    table[spins[:, 0] == spins[:, 2]] = -np.inf
    target = TableTarget(np.zeros(8), table)
    known = BlockFlips(torch.tensor([[False, False, True] + [False] * 5]), torch.ones(1, dtype=torch.float64), 1)
    state = particles_at(after, target)
    moves = learn_block_flips(before, state, target, known=known)
    assert moves.sets.tolist() == [[True] * 5 + [False] * 3]
    some = after[:: len(after) // 64, 0].double().mean()
    needed = float(persistence(before, after)[:5].mean())
    assert float(moves.weights) == pytest.approx(needed * float(some + (1 - some) / 2) ** 0.5)
    assert learn_block_flips(before, state, target, known=known, flips=0) is known


def test_moves_that_change_every_spin_need_no_sets(seed):
    generator = torch_generator(seed)
    before, after = (torch.rand((400, 6), generator=generator) < 0.5 for _ in range(2))
    target = TableTarget(np.zeros(6), np.zeros(2**6))
    assert learn_block_flips(before, particles_at(after, target), target) is None


def test_persistence_is_the_correlation_of_a_spin_with_itself(rng):
    before = rng.random((500, 4)) < [0.5, 0.3, 0.5, 1.0]
    after = before.copy()
    after[:, 1] = rng.random(500) < 0.3
    after[:200, 2] = rng.random(200) < 0.5
    wanted = [1.0, *(np.corrcoef(before[:, j], after[:, j])[0, 1] for j in (1, 2)), 0.0]
    np.testing.assert_allclose(persistence(*map(torch.as_tensor, (before, after))).numpy(), wanted, atol=1e-12)
    assert persistence(*(torch.as_tensor(s[:8]) for s in (before, before))).tolist() == [0.0] * 4


def test_a_mode_that_one_run_lost_comes_back(seed):
    """Half of the mass is in either mode; one run is in one of them, and no single flip leaves it."""
    both = torch.as_tensor(np.repeat([[True, True, False, False], [False, False, True, True]], 32, axis=0))
    spins = torch.stack([both, both[:32].repeat(2, 1)])
    table = np.full(16, -np.inf)
    table[[3, 12]] = 0.0
    target = TableTarget(np.zeros(4), table)
    states = [particles_at(each, target) for each in spins]
    moves = shared_block_flips(spins, torch.ones((2, 4), dtype=torch.float64), states, target, known=[], flips=1)
    assert moves.sets.tolist() == [[True] * 4]
    assert moves.weights.tolist() == [1.0]
    same = torch.stack([both, both])
    assert shared_block_flips(same, torch.ones((2, 4)), states, target, known=[], flips=1) is None
    assert shared_block_flips(spins, torch.ones((2, 4)), states, target, known=[], flips=0) is None


def test_equal_particles_and_few_ones_are_no_evidence():
    target = TableTarget(np.zeros(6), np.zeros(2**6))
    same = torch.ones((400, 6), dtype=torch.bool)
    assert learn_block_flips(same, particles_at(same, target), target) is None
    few = torch.eye(6, dtype=torch.bool)
    assert learn_block_flips(few, particles_at(few, target), target) is None


def test_a_pair_in_one_particle_of_a_thousand_is_chance():
    """Frozen, and perfectly correlated, but it says nothing of modes."""
    spins = torch.zeros((1000, 6), dtype=torch.bool)
    spins[0, :2] = True
    target = TableTarget(np.zeros(6), np.zeros(2**6))
    assert learn_block_flips(spins, particles_at(spins, target), target) is None


@pytest.mark.parametrize(("terms", "couplings"), [(12, 10), (14, 12)])
def test_modes_far_apart_get_their_weights(terms, couplings, seed):
    """Without block flips the largest error is above 0.02 in every third seed, without pilot chains as well."""
    target = ising(terms, couplings)
    mass = target.log_mass
    inclusion = np.exp(mass - np.logaddexp.reduce(mass)) @ all_spins(terms)
    found = run_all(target, config=SMCConfig(), seed=seed)
    weights = np.exp(found.log_evidence - found.log_evidence.max())
    assert np.abs(weights / weights.sum() @ found.estimates["rao_blackwell"] - inclusion).max() < 0.02


def test_a_fixed_schedule_learns_nothing(monkeypatch, generator):
    """Nothing but pilot chains may depend on what they find, so that the evidence is unbiased."""
    run_module = importlib.import_module("bayespde.smc.run")
    monkeypatch.setattr(run_module, "learn_block_flips", None)
    config = SMCConfig(particles=32, sweeps=1.0, max_passes=1, final_passes=1, schedule=checks.SCHEDULE)
    run_module.run(ising(8, 0, coupling=1.2), config=config, generator=generator)


def test_the_evidence_is_unbiased_with_fixed_block_flips(seed):
    target, replicates = ising(8, 0, coupling=1.2), 300
    mass = target.log_mass.reshape(-1)
    best = torch.as_tensor(all_spins(8)[[mass.argmax(), (2**8 - 1) ^ mass.argmax()]])
    config = SMCConfig(particles=32, sweeps=1.0, max_passes=1, schedule=checks.SCHEDULE, swaps=0)
    moves = BlockFlips((best[:1] ^ best[1:]), torch.ones(1, dtype=torch.float64), 2)
    kernel, ratio = make_kernel(target, config).with_block_flips(moves), np.empty(replicates)
    for k, one in enumerate(checks.statistical_seeds(seed, replicates)):
        generator = torch_generator(one)
        state = init(target, particles=32, generator=generator)
        while state.inverse_temperature < 1:
            state, _ = step(state, target, kernel=kernel, generator=generator, config=config)
        ratio[k] = np.exp(state.log_evidence - np.logaddexp.reduce(target.log_mass))
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
