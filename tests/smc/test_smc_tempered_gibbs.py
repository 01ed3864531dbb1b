"""Tempered Gibbs sampling: balance of its rates, its estimates against enumeration and sequential Monte Carlo."""

from dataclasses import replace

import compiled
import numpy as np
import pytest
import torch
from oracles import codes, hard16, random_rows, table_target

from bayespde.core.errors import ConfigError
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.model.prior import Prior
from bayespde.smc import SMCConfig, TemperedGibbsConfig, enumerate_exact, run_all, run_chains
from bayespde.smc import tempered_gibbs as module
from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.neighbour_odds import refresh

MODELS = compiled.small_models()


def log_rate_matrix(model, floor):
    """Log rates between all configurations, -inf where there are none, and conditional probabilities of being up."""
    problem, tempered, state = compiled.prepared(model, 1.0)
    spins, alive, _ = compiled.possible(model)
    rates, up = np.full((len(spins), len(spins)), -np.inf), np.zeros(spins.shape)
    log_rate = np.empty(model.terms)
    for row in np.flatnonzero(alive):
        build(state, problem, spins[row])
        refresh(state, problem, tempered)
        module._log_rates(state, tempered, floor, log_rate, up[row])
        rates[row, codes(spins[row] ^ np.eye(model.terms, dtype=bool))] = log_rate
    return rates, up


@pytest.mark.parametrize("name", MODELS)
def test_log_rates_are_in_detailed_balance(name):
    """`log pi + log rate` is symmetric: the holding times `1 / sum of rates` make the visits a posterior."""
    model = MODELS[name]
    rates, up = log_rate_matrix(model, 0.3)
    log_mass = compiled.possible(model)[2](1.0)
    flow = np.where(np.isfinite(rates), log_mass[:, None] + rates, -np.inf)
    assert np.array_equal(np.isfinite(flow), np.isfinite(flow.T))
    i, j = np.nonzero(np.isfinite(flow))
    np.testing.assert_allclose(flow[i, j], flow[j, i], rtol=1e-12, atol=compiled.rounding(name))
    # the mean conditional probability under the posterior is the inclusion probability
    mass = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    exact = np.empty(model.terms)
    exact[:] = enumerate_exact(model).inclusion_probability[model.regression.order]
    np.testing.assert_allclose(mass @ up, exact, rtol=0, atol=0.1 * compiled.rounding(name))


@pytest.mark.parametrize("name", ["plain", "nearly collinear", "ridge", "log odds of 1e4", "coupled"])
def test_chains_agree_with_enumeration(name, seed):
    model = MODELS[name]
    exact = enumerate_exact(model)
    runs = run_chains(model, config=TemperedGibbsConfig(steps=5000, runs=20), seed=seed)
    for estimate in ("rao_blackwell", "frequency"):
        by_run = runs.estimates[estimate]
        error = by_run.std(axis=0, ddof=1) / np.sqrt(20)
        floor = 0 if estimate == "rao_blackwell" else 1 / 2048
        assert np.all(np.abs(by_run.mean(axis=0) - exact.inclusion_probability) < 5 * error + floor + 1e-6)
    np.testing.assert_allclose(runs.estimates["renormalised"], [exact.inclusion_probability] * 20, rtol=0, atol=1e-3)
    assert np.isnan(runs.log_evidence).all()
    assert np.isnan(runs.captured_mass).all()
    assert np.all(runs.likelihood_error < 1e-6)


def test_same_seed_same_chains_with_any_number_of_workers():
    design, target = random_rows(np.random.default_rng(1), 100, 70, noise=2.0, mixing=0.1)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    config = TemperedGibbsConfig(steps=2500, runs=3, particles=100)
    one, two = (run_chains(model, config=replace(config, workers=w), seed=5) for w in (1, 2))
    assert np.array_equal(one.spins, two.spins)
    assert np.array_equal(one.estimates["rao_blackwell"], two.estimates["rao_blackwell"])
    assert one.spins.shape == (3, 100, 70)
    assert torch.equal(torch.as_tensor(one.log_likelihood[0]), model.log_likelihood(torch.as_tensor(one.spins[0])))
    assert not np.array_equal(one.spins[0], one.spins[1])


def test_arrays_that_are_too_small_change_nothing(monkeypatch):
    design, target = random_rows(np.random.default_rng(2), 200, 12, noise=0.5)
    model = SpinModel(
        SufficientStatistics.from_rows(design, target + design.sum(axis=1)), prior=Prior(expected_terms=2)
    )
    config = TemperedGibbsConfig(steps=1500, runs=2, particles=50)
    wide = run_chains(model, config=config, seed=3)
    assert wide.spins.sum(axis=2).max() > 8
    monkeypatch.setattr(module, "FIRST_CAP", 6)
    narrow = run_chains(model, config=config, seed=3)
    np.testing.assert_allclose(narrow.estimates["rao_blackwell"], wide.estimates["rao_blackwell"], rtol=0, atol=1e-8)


def test_chains_stuck_in_different_modes_disagree(seed):
    """With two separated modes, which are too hard for this engine, the chains disagree."""
    statistics, slab = hard16(np.random.default_rng(12), rows=30000)
    runs = run_chains(
        SpinModel(statistics, prior=Prior(slab=slab)), config=TemperedGibbsConfig(steps=2000, runs=8), seed=seed
    )
    assert np.ptp(runs.estimates["rao_blackwell"], axis=0).max() > 0.05


def test_many_expected_terms_and_no_possible_one(seed):
    design, target = random_rows(np.random.default_rng(3), 400, 150, mixing=0.02)
    model = SpinModel(SufficientStatistics.from_rows(design, target), prior=Prior(expected_terms=90))
    runs = run_chains(model, config=TemperedGibbsConfig(steps=50, runs=2, particles=20), seed=seed)
    assert runs.spins.sum(axis=2).max() > 64
    nothing = SpinModel(SufficientStatistics.from_rows(np.zeros((30, 3)), target[:30]))
    runs = run_chains(nothing, config=TemperedGibbsConfig(steps=50, runs=2, particles=20), seed=seed)
    assert not runs.spins.any()
    assert np.array_equal(runs.estimates["rao_blackwell"], np.zeros((2, 3)))


@pytest.mark.slow
def test_two_engines_agree_on_fifty_terms(seed):
    """An independent check for too many terms to enumerate: SMC from the prior, chains from the empty set."""
    design, target = random_rows(np.random.default_rng(6), 150, 50, noise=3.0, mixing=0.15, truth=3)
    model = SpinModel(SufficientStatistics.from_rows(design, target), prior=Prior(expected_terms=5))
    chains = run_chains(model, config=TemperedGibbsConfig(steps=40000, runs=8), seed=seed)
    runs = run_all(model, config=SMCConfig(particles=4096, runs=8), seed=seed)
    first, second = (r.estimates["rao_blackwell"] for r in (chains, runs))
    error = np.sqrt((first.var(axis=0, ddof=1) + second.var(axis=0, ddof=1)) / 8)
    assert np.all(np.abs(first.mean(axis=0) - second.mean(axis=0)) < 5 * error + 1e-4)
    assert np.sum((first.mean(axis=0) > 0.02) & (first.mean(axis=0) < 0.98)) > 10


def test_settings_and_targets_are_checked():
    for wrong in ({"steps": 0}, {"runs": True}, {"burn_in": -1}, {"exploration": 0.0}, {"particles": 0}):
        with pytest.raises(ConfigError, match="fix:"):
            TemperedGibbsConfig(**wrong)
    with pytest.raises(ConfigError, match="all single-flip odds"):
        run_chains(table_target(np.random.default_rng(0), 4), seed=0)


@pytest.mark.parametrize(("steps", "burn_in"), [(1, 0.0), (999, 0.0), (1000, 0.5), (2001, 0.1)])
def test_a_chain_makes_as_many_flips_as_are_asked_for(steps, burn_in):
    counted = []
    config = TemperedGibbsConfig(steps=steps, burn_in=burn_in, particles=10)
    found = module._run_chain(MODELS["plain"], config, 3, cap=64, from_prior=True, on_part=counted.append)
    assert sum(counted) == steps
    assert len(found.visited) <= min(steps, 2**5)
    assert len(found.state.spins) == 10
