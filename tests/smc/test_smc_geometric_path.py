"""Bridges: the same masses, the same posterior from any start, and moves that keep what lies between."""

import copy
import importlib
import pickle

import numpy as np
import pytest
import torch
from oracles import TableTarget, all_spins, codes, random_rows, table_target
from statistical import checks

import bayespde.smc as smc
from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import Coupling, HyperGSlab, IsotropicSlab, SpinModel
from bayespde.smc import GeometricPath, LocallyBalancedJumps, SMCConfig, SMCState, enumerate_exact, make_kernel, run
from bayespde.smc.geometric_path import start_logits
from bayespde.smc.kernels import cached_jumps

run_module = importlib.import_module("bayespde.smc.run")


def linear_model(slab=None, couplings=()):
    design, target = random_rows(np.random.default_rng(11), 80, 6, noise=3.0, mixing=0.8)
    statistics = SufficientStatistics.from_rows(design, target, names=[f"x{i}" for i in range(6)])
    return SpinModel(statistics, slab=slab or HyperGSlab(), couplings=couplings)


MODELS = {
    "mixture": linear_model(),
    "ridge": linear_model(IsotropicSlab(1.0)),
    "coupled": linear_model(couplings=(Coupling("x0", "x4", 3.0), Coupling("x2", "x3", 2.0, kind="heredity"))),
}


def some_bridge(target):
    return GeometricPath(target, torch.as_tensor(np.random.default_rng(2).normal(scale=2.0, size=target.terms)))


@pytest.mark.parametrize("target", [table_target(np.random.default_rng(0), 5), linear_model()], ids=["table", "model"])
def test_masses_are_those_of_the_target(target):
    bridge, spins = some_bridge(target), torch.as_tensor(all_spins(target.terms))
    mass = bridge.log_prior(spins) + bridge.log_likelihood(spins)
    np.testing.assert_allclose(mass, target.log_prior(spins) + target.log_likelihood(spins), rtol=1e-13)
    assert float(bridge.log_prior(spins).exp().sum()) == pytest.approx(1.0, abs=1e-13)
    up = torch.sigmoid(bridge.logits)
    wanted = torch.where(spins, up, 1 - up).prod(dim=1)
    np.testing.assert_allclose(bridge.log_prior(spins).exp(), wanted, rtol=1e-12)


def test_the_start_is_drawn_from_its_density(seed):
    bridge, draws = some_bridge(table_target(np.random.default_rng(0), 5)), 40000
    spins = bridge.sample_prior(draws, generator=torch_generator(seed))
    wanted = bridge.log_prior(torch.as_tensor(all_spins(5))).exp().numpy()
    counts = np.bincount(codes(spins.numpy()), minlength=32)
    assert np.all(np.abs(counts - draws * wanted) < 5 * np.sqrt(draws * wanted) + 5)


@pytest.mark.parametrize("temperature", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("kernel", "remembered"), [("gibbs", True), ("barker", True), ("barker", False)])
@pytest.mark.parametrize("name", MODELS)
def test_moves_keep_what_lies_between(kernel, remembered, name, temperature, seed, monkeypatch):
    """Exact draws from `q^(1-T) (prior x likelihood)^T` are still distributed so after flips and relocations."""
    if not remembered:
        monkeypatch.setattr(cached_jumps, "MOST_TERMS", 0)
    model, particles = MODELS[name], 20000
    bridge, spins = some_bridge(model), torch.as_tensor(all_spins(6))
    log_mass = (1 - temperature) * bridge.log_prior(spins)
    log_mass += temperature * (model.log_prior(spins) + model.log_likelihood(spins))
    wanted = torch.softmax(log_mass, 0)
    generator = torch_generator(seed)
    start = spins[torch.multinomial(wanted, particles, replacement=True, generator=generator)]
    state = SMCState(
        start, bridge.log_prior(start), bridge.log_likelihood(start), temperature, 0.0, torch.arange(particles)
    )
    moves = make_kernel(bridge, SMCConfig(kernel=kernel, swaps=2))
    moved, report = moves(state, sweeps=2.0, generator=generator)
    assert float((moved.spins ^ start).double().mean()) > 0.05
    counts = np.bincount(codes(moved.spins.numpy()), minlength=64)
    expected = particles * wanted.numpy()
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected) + 5)
    inclusion = (wanted @ spins.double()).numpy()
    assert np.all(np.abs(report.rao_blackwell.numpy() - inclusion) < 5 * np.sqrt(0.25 / particles))
    np.testing.assert_allclose(moved.log_prior, bridge.log_prior(moved.spins), rtol=0, atol=1e-12)
    np.testing.assert_allclose(moved.log_likelihood, bridge.log_likelihood(moved.spins), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kernel", ["barker", "gibbs"])
def test_scouts_that_are_wrong_cost_stages_and_no_bias(kernel, seed, monkeypatch):
    monkeypatch.setattr(run_module, "start_logits", lambda inclusion, prior: -start_logits(inclusion, prior))
    model = linear_model()
    exact = enumerate_exact(model)
    config = SMCConfig(
        particles=256, runs=20, kernel=kernel, sweeps=1.0, max_passes=1, final_passes=2, schedule=checks.SCHEDULE
    )
    checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)


def test_a_bridge_needs_fewer_stages_than_the_prior(seed):
    design, target = random_rows(np.random.default_rng(3), 400, 16, noise=1.0, mixing=0.5)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    stages = {
        scouts: len(run(model, config=SMCConfig(pilot_fraction=scouts), generator=torch_generator(seed)).stages["ess"])
        for scouts in (0, 1 / 32)
    }
    assert stages[1 / 32] < stages[0]


def test_the_start_lies_between_scouts_and_prior():
    inclusion, prior = torch.tensor([0.0, 1.0, 0.5]).double(), torch.tensor([0.1, 0.1, 0.3]).double()
    start = torch.sigmoid(start_logits(inclusion, prior))
    assert torch.isfinite(start_logits(inclusion, prior)).all()
    assert torch.all(start >= torch.minimum(inclusion, prior))
    assert torch.all(start <= torch.maximum(inclusion, prior))


def test_the_loop_over_a_bridge_can_be_written_by_hand():
    model, config, generator = linear_model(), SMCConfig(particles=100, pilot_fraction=0.5), torch_generator(3)
    kernel = make_kernel(model, config)
    path = smc.pilot_run(model, kernel, config=config, generator=generator)
    kernel, state = kernel.on_path(path), smc.init(path, particles=100, generator=generator)
    while state.temperature < 1:
        state, _ = smc.step(state, path, generator=generator, config=config, kernel=kernel)
    whole = run(model, config=config, generator=torch_generator(3))
    assert whole.state.log_evidence == state.log_evidence
    assert torch.equal(whole.state.log_prior, model.log_prior(whole.state.spins))
    assert torch.equal(whole.state.log_likelihood, model.log_likelihood(whole.state.spins))


def test_scouts_look_longer_where_nearly_all_is_impossible(seed):
    table = np.full(2**8, -np.inf)
    table[[7, 200]] = [0.0, 1.0]
    target = TableTarget(np.zeros(8), table)
    found = run(
        target, config=SMCConfig(particles=2000, pilot_fraction=1e-9, final_passes=1), generator=torch_generator(seed)
    )
    assert torch.isfinite(found.state.log_likelihood).all()


class Exclusive:
    """Pairs of which both spins cannot be up, and one of which should."""

    def __init__(self, pairs):
        self.terms = 2 * pairs

    def log_prior(self, spins):
        return torch.where(spins, np.log(0.1), np.log(0.9)).sum(dim=1)

    def log_likelihood(self, spins):
        both = (spins[:, ::2] & spins[:, 1::2]).any(dim=1)
        bonus = 8.0 * (spins[:, ::2] | spins[:, 1::2]).double().sum(dim=1)
        return torch.where(both, -torch.inf, bonus)

    def sample_prior(self, particles, *, generator):
        return torch.rand((particles, self.terms), generator=generator, dtype=torch.float64) < 0.1


@pytest.mark.parametrize("pairs", [6, 25])
def test_a_start_that_is_mostly_impossible_is_not_taken(pairs, seed):
    """Independent spins cannot start many pairs that exclude each other: then the prior does."""
    target, config = Exclusive(pairs), SMCConfig(particles=512, final_passes=1)
    generator = torch_generator(seed)
    path = smc.pilot_run(target, make_kernel(target, config), config=config, generator=generator)
    assert isinstance(path, GeometricPath) == (pairs == 6)
    found = run(target, config=config, generator=generator)
    wanted = pairs * np.log(0.81 + 0.18 * np.exp(8.0))
    assert abs(found.state.log_evidence - wanted) < 3.0


@pytest.mark.parametrize("terms", [10, 11])
def test_scouts_that_find_nothing_leave_the_prior_to_the_run(terms):
    table = np.full(2**terms, -np.inf)
    table[5] = 0.0
    target, found = TableTarget(np.zeros(terms), table), []
    for seed in range(20):
        for scouts in (0, 1 / 32):
            try:
                run(target, config=SMCConfig(pilot_fraction=scouts, final_passes=1), generator=torch_generator(seed))
                found.append(scouts)
            except ConfigError:
                continue
    assert found.count(1 / 32) >= found.count(0) - 6
    assert found.count(0) > 6


def test_a_bridge_is_run_as_it_is(generator):
    bridge = some_bridge(linear_model())
    found = run(bridge, config=SMCConfig(particles=200, final_passes=1), generator=generator)
    assert torch.equal(found.state.log_prior, bridge.log_prior(found.state.spins))


@pytest.mark.parametrize("kernel", ["barker", "gibbs"])
def test_moves_for_another_target_are_refused(kernel, generator):
    model, config = linear_model(), SMCConfig(kernel=kernel, particles=50)
    moves, bridge = make_kernel(model, config), some_bridge(model)
    with pytest.raises(ConfigError, match="another target"):
        moves.on_path(some_bridge(linear_model()))
    state = smc.init(bridge, particles=50, generator=generator)
    with pytest.raises(ConfigError, match="another target"):
        smc.step(state, bridge, generator=generator, config=config, kernel=moves)
    assert moves.on_path(bridge).on_path(model).path is model


@pytest.mark.parametrize("logits", [torch.zeros(3), torch.tensor([0.0, np.inf, 0.0, 0.0, 0.0])])
def test_unusable_starts_are_refused(logits):
    with pytest.raises(ConfigError, match="start of a bridge"):
        GeometricPath(table_target(np.random.default_rng(0), 5), logits.double())
    with pytest.raises(ConfigError, match="pilot_fraction"):
        SMCConfig(pilot_fraction=-0.1)


def test_moves_with_threads_can_be_copied(generator):
    design, target = random_rows(np.random.default_rng(1), 100, 24, noise=2.0, mixing=0.2)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    moves = LocallyBalancedJumps(model, threads=2)
    state = smc.init(model, particles=200, generator=generator)
    answers = [m(state, sweeps=1.0, generator=torch_generator(1))[0] for m in (moves, copy.deepcopy(moves))]
    assert torch.equal(answers[0].spins, answers[1].spins)
    assert pickle.loads(pickle.dumps(moves)).threads == 2
