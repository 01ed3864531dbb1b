"""Enumeration against brute-force least squares over all configurations."""

import numpy as np
import pytest
import torch
from oracles import TableTarget, all_spins, brute_force, lstsq_log_likelihood, random_rows

from bayespde.core.errors import ConfigError
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import GPriorSlab, HyperGSlab, IsotropicSlab, SpinModel
from bayespde.smc import enumerate_exact


def problem(kind, rng):
    if kind == "one term":
        return random_rows(rng, 60, 1)
    design, target = random_rows(rng, 60, 10)
    if kind == "duplicates and a zero column":
        design[:, 6], design[:, 8], design[:, 3] = -2.5 * design[:, 1], 0.0, design[:, 0] + 1e-7 * design[:, 5]
    if kind == "target in the span":
        target = design[:, :3] @ [1.0, -2.0, 0.5]
    if kind == "fewer rows than terms":
        return design[:8], target[:8]
    return design, target


def model_of(design, target, slab=None, order=None):
    names = np.array([f"x{i}" for i in range(design.shape[1])])
    order = np.arange(design.shape[1]) if order is None else order
    statistics = SufficientStatistics.from_rows(
        design[:, order], target, names=names[order], pilot_rows=4.0, pilot_variance=0.9, log_jacobian=-2.0
    )
    return SpinModel(statistics, slab=slab or HyperGSlab())


@pytest.mark.parametrize("slab", [HyperGSlab(), GPriorSlab(1000.0)])
@pytest.mark.parametrize(
    "kind",
    ["plain", "one term", "duplicates and a zero column", "target in the span", "fewer rows than terms"],
)
def test_tree_equals_brute_force(kind, slab):
    design, target = problem(kind, np.random.default_rng(2))
    model = model_of(design, target, slab)
    spins = all_spins(design.shape[1])
    mass = [lstsq_log_likelihood(model.statistics, design, target, s, slab) for s in spins]
    mass = np.array(mass) + model.log_prior(torch.as_tensor(spins)).numpy()
    log_evidence, inclusion, probability = brute_force(mass)
    exact = enumerate_exact(model)
    assert exact.log_evidence == pytest.approx(log_evidence, abs=1e-9)
    np.testing.assert_allclose(exact.inclusion_probability, inclusion, rtol=0, atol=1e-9)
    assert exact.visited == len(spins)
    order = np.argsort(-probability)[: len(exact.spins)]
    np.testing.assert_allclose(exact.probability, probability[order], rtol=0, atol=1e-9)
    assert len(exact.spins) == np.isfinite(mass).sum()
    top = np.flatnonzero((spins == exact.spins[0]).all(axis=1))
    assert probability[top] == pytest.approx(probability.max(), rel=1e-9)


def test_isotropic_slab_equals_evaluating_every_configuration():
    design, target = problem("duplicates and a zero column", np.random.default_rng(3))
    model = model_of(design, target, IsotropicSlab(5.0))
    spins = torch.as_tensor(all_spins(10))
    mass = (model.log_prior(spins) + model.log_likelihood(spins)).numpy()
    log_evidence, inclusion, _ = brute_force(mass)
    exact = enumerate_exact(model)
    assert exact.log_evidence == pytest.approx(log_evidence, abs=1e-10)
    np.testing.assert_allclose(exact.inclusion_probability, inclusion, rtol=0, atol=1e-10)


def test_many_chunks_equal_one_evaluation_of_every_configuration():
    rng = np.random.default_rng(4)
    design, target = random_rows(rng, 90, 18, noise=4.0)
    model = model_of(design, target, order=rng.permutation(18))
    spins = torch.as_tensor(all_spins(18))
    mass = (model.log_prior(spins) + model.log_likelihood(spins)).numpy()
    log_evidence, inclusion, probability = brute_force(mass)
    exact = enumerate_exact(model, keep=100, per_size=3)
    assert exact.log_evidence == pytest.approx(log_evidence, abs=1e-10)
    np.testing.assert_allclose(exact.inclusion_probability, inclusion, rtol=0, atol=1e-10)
    order = np.argsort(-probability)
    assert np.array_equal(exact.spins[:100], spins.numpy()[order[:100]])
    assert np.all(np.diff(exact.probability) <= 0)
    sizes = spins.numpy()[order].sum(axis=1)
    for size in range(19):
        best = spins.numpy()[order][sizes == size][:3]
        kept = exact.spins[exact.spins.sum(axis=1) == size][: len(best)]
        assert np.array_equal(best, kept)


def test_any_other_target_is_evaluated(rng):
    target = TableTarget(rng.normal(size=5), rng.normal(size=32) * 4)
    log_evidence, inclusion, probability = brute_force(target.log_mass)
    exact = enumerate_exact(target, keep=3, per_size=0)
    assert exact.log_evidence == pytest.approx(log_evidence, abs=1e-12)
    np.testing.assert_allclose(exact.inclusion_probability, inclusion, rtol=0, atol=1e-12)
    np.testing.assert_allclose(exact.probability, np.sort(probability)[::-1][:3], rtol=1e-12)


def test_order_of_the_library_and_units_do_not_matter(rng):
    design, target = problem("duplicates and a zero column", np.random.default_rng(5))
    exact = enumerate_exact(model_of(design, target))
    order = rng.permutation(10)
    other = enumerate_exact(model_of(design, target, order=order))
    np.testing.assert_allclose(other.inclusion_probability, exact.inclusion_probability[order], rtol=0, atol=1e-10)
    units = 10.0 ** rng.integers(-8, 8, size=10)
    scaled = enumerate_exact(model_of(design * units, target))
    np.testing.assert_allclose(scaled.inclusion_probability, exact.inclusion_probability, rtol=0, atol=1e-9)
    assert scaled.log_evidence == pytest.approx(exact.log_evidence, abs=1e-9)


def test_two_copies_share_the_inclusion_probability():
    design, target = random_rows(np.random.default_rng(6), 300, 5, mixing=0.2)
    design[:, 4] = 3.0 * design[:, 0]
    inclusion = enumerate_exact(model_of(design, target)).inclusion_probability
    assert inclusion[0] == pytest.approx(inclusion[4], abs=1e-10)
    assert inclusion[0] + inclusion[4] == pytest.approx(1.0, abs=1e-3)


def test_too_many_terms_and_impossible_targets_are_refused(rng):
    with pytest.raises(ConfigError, match="too many terms"):
        enumerate_exact(model_of(rng.normal(size=(40, 27)), rng.normal(size=40)))
    with pytest.raises(ConfigError, match="No configuration"):
        enumerate_exact(TableTarget(np.zeros(2), np.full(4, -np.inf)))
