"""Pilot chains: they tune the reference of the main run; their errors cost stages, not bias."""

import importlib

import numpy as np
import pytest
import torch
from compiled import linear_model
from oracles import TableTarget, random_rows
from statistical import checks

import bayespde.smc as smc
from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.smc import GeometricPath, SMCConfig, enumerate_exact, make_kernel, run
from bayespde.smc.geometric_path import reference_logits

pilot_module = importlib.import_module("bayespde.smc.pilot_runs")


@pytest.mark.parametrize("kernel", ["barker", "gibbs"])
def test_wrong_pilot_runs_cost_stages_and_no_bias(kernel, seed, monkeypatch):
    monkeypatch.setattr(pilot_module, "reference_logits", lambda inclusion, prior: -reference_logits(inclusion, prior))
    model = linear_model()
    exact = enumerate_exact(model)
    config = SMCConfig(
        particles=256, runs=20, kernel=kernel, sweeps=1.0, max_passes=1, final_passes=2, schedule=checks.SCHEDULE
    )
    checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)


def test_a_tuned_reference_needs_fewer_stages_than_the_prior(seed):
    design, target = random_rows(np.random.default_rng(3), 400, 16, noise=1.0, mixing=0.5)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    stages = {}
    for fraction in (0, 1 / 32):
        config = SMCConfig(pilot_fraction=fraction)
        stages[fraction] = len(run(model, config=config, generator=torch_generator(seed)).stages["ess"])
    assert stages[1 / 32] < stages[0]


def test_the_loop_after_pilot_runs_can_be_written_by_hand():
    model, config, generator = linear_model(), SMCConfig(particles=100, pilot_fraction=0.5), torch_generator(3)
    kernel = make_kernel(model, config)
    path = smc.pilot_run(model, kernel, config=config, generator=generator)
    state, moves = smc.init(path, particles=100, generator=generator), None
    while state.inverse_temperature < 1:
        before = state.spins
        state, info = smc.step(state, path, kernel=kernel, generator=generator, config=config)
        moves = smc.learn_block_flips(before[info.ancestors], state, path, known=moves)
        kernel = kernel if moves is None else kernel.with_block_flips(moves)
    whole = run(model, config=config, generator=torch_generator(3))
    assert whole.state.log_evidence == state.log_evidence
    assert torch.equal(whole.state.log_prior, model.log_prior(whole.state.spins))
    assert torch.equal(whole.state.log_likelihood, model.log_likelihood(whole.state.spins))


def test_pilot_runs_try_more_draws_where_nearly_all_are_impossible(seed):
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
def test_a_reference_that_is_mostly_impossible_is_not_used(pairs, seed):
    """Independent spins hardly ever satisfy many pairs that exclude each other: then the run starts from the prior."""
    target, config = Exclusive(pairs), SMCConfig(particles=512, final_passes=1)
    generator = torch_generator(seed)
    path = smc.pilot_run(target, make_kernel(target, config), config=config, generator=generator)
    assert isinstance(path, GeometricPath) == (pairs == 6)
    found = run(target, config=config, generator=generator)
    wanted = pairs * np.log(0.81 + 0.18 * np.exp(8.0))
    assert abs(found.state.log_evidence - wanted) < 3.0


@pytest.mark.parametrize("terms", [10, 11])
def test_without_possible_pilot_draws_the_run_starts_from_the_prior(terms):
    table = np.full(2**terms, -np.inf)
    table[5] = 0.0
    target, found = TableTarget(np.zeros(terms), table), []
    for seed in range(20):
        for fraction in (0, 1 / 32):
            try:
                run(target, config=SMCConfig(pilot_fraction=fraction, final_passes=1), generator=torch_generator(seed))
                found.append(fraction)
            except ConfigError:
                continue
    assert found.count(1 / 32) >= found.count(0) - 6
    assert found.count(0) > 6


@pytest.mark.parametrize(("share", "blocks"), [(1.0, 1), (0.6, 1), (0.3, 2), (0.0, 10)])
def test_no_more_prior_draws_are_tried_than_half_of_the_chains_need(share, blocks):
    class Counting(TableTarget):
        def log_likelihood(self, spins):
            tried.append(len(spins))
            return super().log_likelihood(spins)

    tried, spins = [], torch.zeros((1000, 2), dtype=torch.bool)
    spins.view(10, 100, 2)[:, int(100 * share) :] = True
    target = Counting(np.zeros(2), np.array([0.0, 0.0, 0.0, -np.inf]))
    found = pilot_module._possible(target, spins, 100)
    assert tried == [100] * blocks
    assert len(found) == int(100 * share) * blocks
    assert not found.any()
