"""The whole sampler against enumeration, in standard errors."""

import numpy as np
from oracles import hard16, random_rows
from statistical import checks

from bayespde.core.statistics import SufficientStatistics
from bayespde.model import Coupling, SpinModel
from bayespde.model.prior import Prior
from bayespde.smc import SMCConfig, enumerate_exact, log_mean_exp


def test_evidence_is_unbiased(seed):
    checks.check_unbiased_evidence(seed)


def test_inclusion_on_a_rugged_table(seed):
    checks.check_table_inclusion(seed)


def test_inclusion_on_a_random_design(seed):
    design, target = random_rows(np.random.default_rng(11), 80, 9, noise=3.0, mixing=0.8)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    exact = enumerate_exact(model)
    config = SMCConfig(particles=256, runs=20, final_passes=2)
    runs = checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)
    assert np.sum((exact.inclusion_probability > 0.02) & (exact.inclusion_probability < 0.98)) >= 4
    missed = 1 - np.exp(runs.captured_mass.clip(max=1) - 1)
    assert np.all(missed < 0.2)


def test_inclusion_under_a_coupled_prior(seed):
    design, target = random_rows(np.random.default_rng(11), 80, 9, noise=3.0, mixing=0.8)
    statistics = SufficientStatistics.from_rows(design, target, names=[f"x{i}" for i in range(9)])
    couplings = (Coupling("x0", "x1", 3.0), Coupling("x7", "x2", 2.0, kind="heredity"), Coupling("x4", "x5", -2.0))
    model = SpinModel(statistics, prior=Prior(couplings=couplings))
    exact, free = enumerate_exact(model), enumerate_exact(SpinModel(statistics))
    assert np.abs(exact.inclusion_probability - free.inclusion_probability).max() > 0.1
    config = SMCConfig(particles=256, runs=20, final_passes=2)
    checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)


def test_two_modes_that_differ_by_two_terms(seed):
    statistics, slab = hard16(np.random.default_rng(12), rows=30000)
    model = SpinModel(statistics, prior=Prior(slab=slab))
    exact = enumerate_exact(model)
    np.testing.assert_allclose(exact.inclusion_probability[:4], [0.7, 0.7, 0.3, 0.3], rtol=0, atol=1e-3)
    config = SMCConfig(particles=256, runs=20, final_passes=1)
    runs = checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)
    assert abs(log_mean_exp(runs.log_evidence) - exact.log_evidence) < 0.5
    np.testing.assert_allclose(
        np.median(runs.estimates["renormalised"], axis=0), exact.inclusion_probability, rtol=0, atol=1e-3
    )
