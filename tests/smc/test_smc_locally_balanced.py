"""The compiled kernels: whole transition matrices, simulated paths, threads, array sizes."""

import copy
import pickle
import threading

import compiled
import numpy as np
import pytest
import torch
from oracles import all_spins, codes, hard16, random_rows, table_target
from scipy.integrate import trapezoid
from scipy.linalg import expm
from statistical import checks

from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.model.prior import Prior
from bayespde.smc import LocallyBalancedJumps, SMCConfig, SMCState, enumerate_exact, init, make_kernel, run, run_all
from bayespde.smc.base import BlockFlips
from bayespde.smc.kernels import cached_jumps, configuration_cache
from bayespde.smc.kernels import locally_balanced as kernel_module

MODELS = compiled.small_models()
BETAS = (0.0, 0.3, 1.0)
SETS = np.array([[1, 1, 0, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]], dtype=bool)


def tempered_mass(model, beta):
    log_mass = compiled.possible(model)[2](beta)
    return np.exp(log_mass - np.logaddexp.reduce(log_mass))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("name", MODELS)
def test_flips_are_in_detailed_balance_and_leave_the_target_invariant(name, beta):
    model = MODELS[name]
    rates, wanted = compiled.rate_matrix(model, beta), tempered_mass(model, beta)
    flow, bound = wanted[:, None] * rates, compiled.imbalance(name)
    np.testing.assert_allclose(flow, flow.T, rtol=0, atol=bound)
    moved = wanted @ expm(0.7 * (rates - np.diag(rates.sum(axis=1))))
    np.testing.assert_allclose(moved, wanted, rtol=0, atol=bound)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("name", MODELS)
def test_log_rates_are_balanced_however_small(name, beta):
    """`log rate - log reverse rate` is the log odds, even where one of the masses underflows."""
    model = MODELS[name]
    rates, log_mass = compiled.rate_matrix(model, beta), compiled.possible(model)[2](beta)
    i, j = np.nonzero((rates > 1e-290) & (rates.T > 1e-290))
    np.testing.assert_allclose(
        np.log(rates[i, j] / rates[j, i]), log_mass[j] - log_mass[i], rtol=1e-12, atol=compiled.rounding(name)
    )
    i, j = np.nonzero((rates == 0) & (rates.T > 0))
    assert np.all(log_mass[j] - log_mass[i] < -600)


def test_the_strong_model_has_log_odds_of_ten_thousand():
    log_mass = compiled.possible(MODELS["log odds of 1e4"])[2](1.0)
    assert np.ptp(log_mass) > 1e4


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("name", MODELS)
def test_swaps_leave_the_target_invariant(name, beta):
    model = MODELS[name]
    matrix, wanted = compiled.swap_matrix(model, beta), tempered_mass(model, beta)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-12)
    flow, bound = wanted[:, None] * matrix, compiled.imbalance(name)
    np.testing.assert_allclose(flow, flow.T, rtol=0, atol=bound)
    np.testing.assert_allclose(wanted @ matrix, wanted, rtol=0, atol=bound)


def one_start(model, row, particles, beta):
    spins = np.empty((particles, model.terms), dtype=bool)
    spins[:, model.regression.order] = all_spins(model.terms)[row]
    spins = torch.as_tensor(spins)
    return SMCState(spins, model.log_prior(spins), model.log_likelihood(spins), beta, 0.0, torch.arange(particles))


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(
    ("name", "row", "swaps", "blocks"),
    [
        ("plain", 9, 0, 0),
        ("nearly collinear", 18, 1, 0),
        ("ridge", 3, 2, 1),
        ("coupled", 9, 1, 0),
        ("coupled", 9, 0, 2),
        ("a duplicate", 9, 0, 1),
        ("nearly collinear", 18, 1, 2),
    ],
)
def test_simulated_paths_follow_the_matrices(name, row, swaps, blocks, cached, seed, monkeypatch):
    """From one configuration the shares after time 0.8, swaps and block flips are those of the matrix exponential."""
    if not cached:
        monkeypatch.setattr(cached_jumps, "MOST_TERMS", 0)
    model, particles, beta, time = MODELS[name], 100000, 0.5, 0.8
    rates = compiled.rate_matrix(model, beta)
    rates -= np.diag(rates.sum(axis=1))
    after = expm(time * rates)[row]
    wanted = after @ np.linalg.matrix_power(compiled.swap_matrix(model, beta), swaps)
    kernel, start = LocallyBalancedJumps(model, swaps=swaps), one_start(model, row, particles, beta)
    if blocks:
        sets, weights = SETS[:, : model.terms], np.array([0.3, 1.0, 0.5])
        canonical = sets[:, model.regression.order]
        wanted = wanted @ np.linalg.matrix_power(compiled.block_matrix(model, canonical, weights, beta), blocks)
        kernel = kernel.with_block_flips(BlockFlips(torch.as_tensor(sets), torch.as_tensor(weights), blocks))
    moved, moves = kernel(start, model, sweeps=time, generator=torch_generator(seed))
    shares = np.bincount(codes(moved.spins.numpy()[:, model.regression.order]), minlength=len(wanted)) / particles
    assert np.all(np.abs(shares - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / particles) + 1e-9)
    assert torch.allclose(moved.log_likelihood, model.log_likelihood(moved.spins), rtol=0, atol=1e-8)
    assert torch.equal(moved.log_prior, model.log_prior(moved.spins))
    # flips per unit of time and conditional probabilities, averaged over the path
    points = np.linspace(0, time, 41)
    path = np.stack([expm(t * rates)[row] for t in points])
    flips = trapezoid(path @ -np.diag(rates), points) / time / model.terms
    spins, up = all_spins(model.terms), np.empty((len(after), model.terms))
    for j in range(model.terms):
        rate = rates[np.arange(len(spins)), codes(spins ^ (np.arange(model.terms) == j))]
        up[:, j] = np.where(spins[:, j], 1 - rate, rate)
    conditional = trapezoid(path @ up, points, axis=0) / time
    assert abs(moves.flip_rate - flips) < 5 * np.sqrt(2 * flips / particles / model.terms / time) + 1e-3 * flips
    got = moves.rao_blackwell.numpy()[model.regression.order]
    assert np.all(np.abs(got - conditional) < 5 * 0.5 / np.sqrt(particles) + 1e-3)


@pytest.mark.parametrize("terms", [12, 30])
def test_the_number_of_threads_changes_nothing(terms):
    design, rows = random_rows(np.random.default_rng(1), 100, terms, noise=2.0, mixing=0.2)
    model = SpinModel(SufficientStatistics.from_rows(design, rows))
    config = SMCConfig(particles=500, runs=1, final_passes=2)
    one, two = (run(model, config=config, generator=torch_generator(4), threads=t) for t in (1, 2))
    for a, b in zip(one.state, two.state, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    assert np.array_equal(one.rao_blackwell, two.rao_blackwell)
    assert one.stages.keys() == two.stages.keys()
    assert all(np.array_equal(one.stages[k], two.stages[k]) for k in one.stages)


def test_the_size_of_the_cache_changes_nothing(monkeypatch):
    """A cache of few configurations is emptied again and again, with the same results."""
    design, rows = random_rows(np.random.default_rng(1), 100, 12, noise=2.0, mixing=0.2)
    model = SpinModel(SufficientStatistics.from_rows(design, rows))
    config = SMCConfig(particles=300, runs=1, final_passes=2)
    wide = run(model, config=config, generator=torch_generator(4))
    monkeypatch.setattr(configuration_cache, "SLOTS", 5)
    narrow = run(model, config=config, generator=torch_generator(4))
    assert torch.equal(wide.state.spins, narrow.state.spins)
    assert wide.state.log_evidence == narrow.state.log_evidence


def test_arrays_that_are_too_small_change_nothing(monkeypatch):
    monkeypatch.setattr(cached_jumps, "MOST_TERMS", 0)
    design, rows = random_rows(np.random.default_rng(2), 200, 12, noise=0.5, truth=3)
    rows += design @ np.linspace(0.5, 1.0, 12)
    model = SpinModel(SufficientStatistics.from_rows(design, rows), prior=Prior(expected_terms=2))
    config = SMCConfig(particles=200, runs=1, final_passes=2)
    wide = run(model, config=config, generator=torch_generator(3))
    assert wide.state.spins.sum(dim=1).max() > 8
    monkeypatch.setattr(kernel_module, "FIRST_CAP", 3)
    narrow = run(model, config=config, generator=torch_generator(3))
    assert torch.equal(wide.state.spins, narrow.state.spins)
    assert wide.state.log_evidence == pytest.approx(narrow.state.log_evidence, abs=1e-8)


def test_sweeps_aim_at_the_wanted_flips():
    model = MODELS["plain"]
    generator = torch_generator(0)
    state, _ = LocallyBalancedJumps(model)(one_start(model, 0, 4000, 0.5), model, sweeps=5.0, generator=generator)
    kernel, size = LocallyBalancedJumps(model), float(state.spins.sum(dim=1).double().mean())
    length = kernel.sweeps_for(state, model, flips=2.0)
    _, moves = kernel(state, model, sweeps=length, generator=generator)
    assert moves.flip_rate * length * model.terms == pytest.approx(2.0 + size / 2, rel=0.25)


def test_the_kernel_follows_the_target_and_the_settings():
    table = table_target(np.random.default_rng(0), 4)
    assert type(make_kernel(table, SMCConfig())).__name__ == "GibbsFlips"
    assert type(make_kernel(MODELS["plain"], SMCConfig())).__name__ == "LocallyBalancedJumps"
    assert type(make_kernel(MODELS["plain"], SMCConfig(kernel="gibbs"))).__name__ == "GibbsFlips"
    with pytest.raises(ConfigError, match="linear models only"):
        make_kernel(table, SMCConfig(kernel="barker"))


def test_a_kernel_with_threads_can_be_copied(generator):
    design, target = random_rows(np.random.default_rng(1), 100, 24, noise=2.0, mixing=0.2)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    moves = LocallyBalancedJumps(model, threads=2)
    state = init(model, particles=200, generator=generator)
    answers = [m(state, m.target, sweeps=1.0, generator=torch_generator(1))[0] for m in (moves, copy.deepcopy(moves))]
    assert torch.equal(answers[0].spins, answers[1].spins)
    assert pickle.loads(pickle.dumps(moves)).threads == 2


@pytest.mark.parametrize("kernel", ["barker", "gibbs"])
def test_both_kernels_find_what_enumeration_finds(kernel, seed):
    design, target = random_rows(np.random.default_rng(11), 80, 9, noise=3.0, mixing=0.8)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    exact = enumerate_exact(model)
    config = SMCConfig(
        particles=256, runs=20, kernel=kernel, sweeps=1.0, max_passes=1, final_passes=2, schedule=checks.SCHEDULE
    )
    checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)


@pytest.mark.slow
def test_hard_two_mode_target_in_twenty_seeds(seed):
    """Two modes differ by two terms for two others: every run gives both modes the right weight."""
    statistics, slab = hard16(np.random.default_rng(12), rows=30000)
    model = SpinModel(statistics, prior=Prior(slab=slab))
    exact = enumerate_exact(model)
    runs = run_all(model, config=SMCConfig(particles=16384, runs=20), seed=seed)
    wrong = np.abs(runs.estimates["rao_blackwell"] - exact.inclusion_probability).max(axis=1)
    shares = [np.unique(o, return_counts=True)[1] / 16384 for o in runs.eve_index]
    draws = np.array([1 / np.sum(s**2) for s in shares])
    assert np.all(wrong < 5 * np.sqrt(0.25 / draws))
    assert np.all(np.abs(runs.estimates["renormalised"] - exact.inclusion_probability) < 1e-3)


@pytest.mark.parametrize("terms", [5, 30])
def test_one_thread_is_the_one_that_calls(terms, generator):
    model = SpinModel(SufficientStatistics.from_rows(*random_rows(np.random.default_rng(1), 100, terms, mixing=0.2)))
    state, before = init(model, particles=200, generator=generator), set(threading.enumerate())
    moves = LocallyBalancedJumps(model)
    moves(state, model, sweeps=1.0, generator=generator)
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize(("terms", "room"), [(1, 2), (5, 32), (16, 2**16), (20, 2**16)])
def test_the_cache_has_room_for_all_configurations_of_few_terms(terms, room):
    """Each is then factored once; of more terms 65536 are kept."""
    cache = configuration_cache.make_cache(terms)
    assert {len(a) for a in (cache.neighbour, cache.own, cache.rate, cache.total, cache.stamp)} == {room}
    assert len(cache.slot) == 2**terms
