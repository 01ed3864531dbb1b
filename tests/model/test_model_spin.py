"""The spin model as a target: prior, likelihood, refused configurations, equivariance and exact draws."""

import numpy as np
import pytest
import torch
from oracles import all_spins, g_nodes, lstsq_log_likelihood, random_rows
from scipy import stats

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.model.prior import Prior
from bayespde.smc.base import LinearTarget


def model_of(design, target, **options):
    statistics = SufficientStatistics.from_rows(design, target, model=RowModel(prior_rows=3.0))
    return SpinModel(statistics, prior=Prior(**options))


def test_prior_has_the_expected_number_of_terms():
    cost = np.array([1.0, 2.0, 3.0, 1.0, 5.0, 1.5, 2.0, 2.5])
    for wanted in (0.01, 1.0, 3.0, 4.0, 7.5):
        logits = Prior(expected_terms=wanted).of_spins(cost).fields
        assert np.sum(1 / (1 + np.exp(-logits))) == pytest.approx(wanted, rel=1e-10)
        np.testing.assert_allclose(logits / cost, logits[0], rtol=1e-12)
    assert np.sum(1 / (1 + np.exp(-Prior().of_spins(np.ones(20)).fields))) == pytest.approx(3.0)
    np.testing.assert_allclose(Prior().of_spins(np.ones(1)).fields, 0, atol=1e-12)


@pytest.mark.parametrize("wrong", [0.0, 3.0, -1.0, np.nan])
def test_impossible_expectations_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        Prior(expected_terms=wrong).of_spins(np.ones(3))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: HyperGSlab(shape=2.0),
        lambda: HyperGSlab(nodes=1),
        lambda: GPriorSlab(0.0),
        lambda: IsotropicSlab(-1.0),
        lambda: Prior().of_spins(np.array([1.0, 0.0])),
    ],
)
def test_improper_priors_are_refused(wrong):
    with pytest.raises(ConfigError, match="fix:"):
        wrong()


def test_hyper_g_nodes_follow_the_density():
    slab = HyperGSlab()
    g, log_weight = slab.mixture(500.0)
    nodes, weights = g_nodes(slab, 500.0)
    assert (g[0], g[-1], len(g)) == (pytest.approx(50.0), pytest.approx(5e9), 24)
    np.testing.assert_allclose(g, nodes, rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_weight), weights, rtol=1e-10)


def test_log_prior_is_normalised_and_sampled(generator):
    library = Library.from_strings({"u": 1.0, "u_x": 2.0, "u*u_x": 3.0, "u_xx": 2.0})
    design, target = random_rows(np.random.default_rng(1), 40, 4)
    statistics = SufficientStatistics.from_rows(design, target, names=library.names)
    model = SpinModel(statistics, library, prior=Prior(expected_terms=1.3))
    spins = torch.as_tensor(all_spins(4))
    probability = torch.exp(model.log_prior(spins)).numpy()
    assert probability.sum() == pytest.approx(1.0, abs=1e-12)
    assert probability @ all_spins(4).sum(axis=1) == pytest.approx(1.3, abs=1e-10)
    assert probability @ all_spins(4)[:, 1] == pytest.approx(probability @ all_spins(4)[:, 3], abs=1e-14)
    draws = model.sample_prior(50000, generator=generator).numpy()
    wanted = probability @ all_spins(4)
    assert np.all(np.abs(draws.mean(axis=0) - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / 50000))


def test_library_must_match_the_statistics():
    design, target = random_rows(np.random.default_rng(1), 20, 2)
    with pytest.raises(StatisticsError, match="does not match"):
        SpinModel(SufficientStatistics.from_rows(design, target), Library.from_strings(["u", "u_x"]))
    with pytest.raises(ConfigError, match="pivot_tolerance"):
        model_of(design, target, pivot_tolerance=0.0)
    with pytest.raises(ConfigError, match="impossible"):
        model_of(design, target, expected_terms=2.0)


def test_single_flip_log_odds_are_ratios_of_directly_computed_evidences():
    rng = np.random.default_rng(2)
    design, target = random_rows(rng, 50, 7, noise=3.0)
    model = model_of(design, target)
    for spins in rng.random((12, 7)) < 0.4:
        for term in range(7):
            up, down = spins.copy(), spins.copy()
            up[term], down[term] = True, False
            both = torch.as_tensor(np.stack([up, down]))
            log_odds = -torch.diff(model.log_likelihood(both) + model.log_prior(both)).item()
            wanted = [lstsq_log_likelihood(model.statistics, design, target, s, model.prior.slab) for s in (up, down)]
            assert log_odds == pytest.approx(wanted[0] - wanted[1] + model.spin_prior.fields[term], abs=1e-9)


def test_equal_configurations_have_bitwise_equal_likelihoods(rng):
    design, target = random_rows(np.random.default_rng(3), 50, 11)
    model = model_of(design, target)
    spins = torch.as_tensor(rng.random((500, 11)) < 0.2)
    together = model.log_likelihood(spins)
    alone = torch.cat([model.log_likelihood(s[None]) for s in spins[:40]])
    torch.testing.assert_close(together[:40], alone, rtol=0, atol=1e-11)
    assert torch.equal(model.log_likelihood(spins.flip(0)).flip(0), together)


def test_nearly_collinear_and_zero_columns_are_refused():
    design, target = random_rows(np.random.default_rng(4), 60, 4)
    unit = design[:, 0] / np.linalg.norm(design[:, 0])
    side = design[:, 2] - unit * (unit @ design[:, 2])
    side /= np.linalg.norm(side)
    for distance, allowed in ((0.9e-5, False), (1.1e-5, True)):
        design[:, 1] = 7.0 * (unit + distance * side)
        model = model_of(design, target)
        pair = model.log_likelihood(torch.tensor([[True, True, False, False]]))
        assert torch.isfinite(pair).item() is allowed
    design[:, 3] = 0.0
    model = model_of(design, target)
    got = model.log_likelihood(torch.tensor([[False, False, False, True], [False, False, False, False]]))
    assert torch.isinf(got).tolist() == [True, False]
    with pytest.raises(StatisticsError, match="probability 0"):
        model.draw(torch.tensor([[False, False, False, True]]), generator=torch.Generator())


@pytest.mark.parametrize("slab", [HyperGSlab(), GPriorSlab(), IsotropicSlab()])
def test_order_and_units_change_only_the_units_of_the_coefficients(slab, rng):
    design, target = random_rows(np.random.default_rng(5), 60, 6)
    names = np.array(["u", "u_x", "u*u_x", "u_xx", "u**2", "u_xy"])
    units, order = 10.0 ** rng.integers(-5, 5, size=6), rng.permutation(6)
    spins = all_spins(6)
    models = [
        SpinModel(SufficientStatistics.from_rows(d, target, names=n), prior=Prior(slab=slab))
        for d, n in ((design, names), (design[:, order], names[order]), (design * units, names))
    ]
    values = [
        m.log_likelihood(torch.as_tensor(s)) for m, s in zip(models, (spins, spins[:, order], spins), strict=True)
    ]
    for value in values[1:]:
        torch.testing.assert_close(value, values[0], rtol=0, atol=1e-9)
    draws = [
        m.draw(torch.as_tensor(s), generator=torch.Generator().manual_seed(1))[0].numpy()
        for m, s in zip(models, (spins, spins[:, order], spins), strict=True)
    ]
    np.testing.assert_allclose(draws[1], draws[0][:, order], rtol=1e-7)
    np.testing.assert_allclose(draws[2] * units, draws[0], rtol=1e-7)


def posterior_moments(design, target, slab, a0, v0):
    """Mean and covariance of the coefficients, and mean noise variance, by mixing over g."""
    rows = len(target)
    if isinstance(slab, IsotropicSlab):
        precision = np.diag(np.mean(design**2, axis=0)) / slab.scale**2
        parts = [(precision, 1.0)]
    else:
        parts = [(design.T @ design / g, w) for g, w in zip(*g_nodes(slab, rows), strict=True)]
    log_weights, means, seconds, noises = [], [], [], []
    for precision, weight in parts:
        inverse = np.linalg.inv(design.T @ design + precision)
        mean = inverse @ design.T @ target
        square = a0 * v0 + target @ target - target @ design @ mean
        noise = square / (rows + a0 - 2)
        log_determinant = np.linalg.slogdet(inverse @ precision)[1]
        log_weights.append(np.log(weight) + log_determinant / 2 - (rows + a0) / 2 * np.log(square))
        means.append(mean)
        seconds.append(noise * inverse + np.outer(mean, mean))
        noises.append(noise)
    weights = np.exp(np.array(log_weights) - np.logaddexp.reduce(log_weights))
    mean = weights @ np.array(means)
    return mean, np.tensordot(weights, seconds, 1) - np.outer(mean, mean), weights @ noises


@pytest.mark.parametrize("slab", [HyperGSlab(), GPriorSlab(5.0), IsotropicSlab(0.5)])
def test_draws_have_the_conditional_mean_and_covariance(slab, generator):
    design, target = random_rows(np.random.default_rng(6), 25, 5, noise=2.0)
    design *= [1.0, 50.0, 1e-2, 1.0, 3.0]
    model = model_of(design, target, slab=slab)
    on = np.array([True, False, True, True, False])
    draws = 40000
    coefficients, scale = model.draw(torch.as_tensor(np.tile(on, (draws, 1))), generator=generator)
    coefficients = coefficients.numpy()
    assert np.all(coefficients[:, ~on] == 0)
    a0, v0 = model.statistics.prior_rows, model.statistics.prior_variance
    mean, covariance, noise = posterior_moments(design[:, on], target, slab, a0, v0)
    centred = coefficients[:, on] - mean
    products = np.einsum("ni,nj->nij", centred, centred)
    for sample, wanted in ((centred, 0.0), (products, covariance), (scale.numpy()[:, None] ** 2, noise)):
        error = sample.std(axis=0) / np.sqrt(draws)
        assert np.all(np.abs(sample.mean(axis=0) - wanted) < 5 * error)
    if isinstance(slab, GPriorSlab):
        square = (25 + a0 - 2) * noise
        test = stats.kstest(scale.numpy() ** 2, stats.invgamma((25 + a0) / 2, scale=square / 2).cdf)
        assert test.pvalue > 1e-6


def test_draws_of_mixed_configurations_belong_to_their_particles(generator):
    design, target = random_rows(np.random.default_rng(7), 400, 5, noise=1e-3)
    model = model_of(design, target)
    spins = torch.as_tensor(np.tile(all_spins(5), (3, 1)))
    coefficients, scale = model.draw(spins, generator=generator)
    assert torch.equal(coefficients != 0, spins)
    for s, row, sigma in zip(spins.numpy(), coefficients.numpy(), scale.numpy(), strict=True):
        wanted = model.statistics.least_squares(s)
        covariance = np.linalg.inv(design[:, s].T @ design[:, s]) if s.any() else np.zeros((0, 0))
        assert np.all(np.abs(row[s] - wanted[s]) < 6 * sigma * np.sqrt(np.diag(covariance)))


def test_one_term_and_a_target_of_zero(generator):
    design = np.linspace(1.0, 2.0, 9)[:, None]
    model = SpinModel(SufficientStatistics.from_rows(design, 0 * design[:, 0]))
    spins = torch.tensor([[False], [True]])
    assert torch.isfinite(model.log_likelihood(spins)).all()
    assert isinstance(model, LinearTarget)
    coefficients, scale = model.draw(spins, generator=generator)
    assert torch.isfinite(coefficients).all()
    assert (scale > 0).all()


def test_hundreds_of_terms(rng):
    design, target = random_rows(np.random.default_rng(8), 500, 250, mixing=0.02)
    model = model_of(design, target)
    spins = rng.random((20, 250)) < 0.03
    got = model.log_likelihood(torch.as_tensor(spins)).numpy()
    wanted = [lstsq_log_likelihood(model.statistics, design, target, s, model.prior.slab) for s in spins]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-8)
