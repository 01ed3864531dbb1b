"""The mean of networks and its error, against the smoother matrices of linear regression."""

import math
from dataclasses import replace

import numpy as np
import pytest
from oracles import laplace_deviation
from training import trained

from bayespde.noise.pixel_noise import PixelNoise
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.ensemble import NetworkEnsemble, ensemble_posterior
from bayespde.smooth.network.evaluate_numba import parameter_gradients

INDICES = [(0, 0), (1, 0), (0, 2)]
SHAPES = (
    NetworkConfig(width=6, depth=2, steps=150, batch=256, learning_rate=1e-2, members=1),
    NetworkConfig(activation="sine", width=5, depth=1, steps=150, batch=256, learning_rate=1e-2, members=2),
)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(3)
    coordinates = rng.uniform(-1, 1, (300, 2))
    values = np.tanh(2 * (coordinates[:, 1] - 0.5 * coordinates[:, 0])) + 0.1 * rng.standard_normal(300)
    mask = rng.random(300) < 0.1
    fits = [trained(coordinates, values, config=c, mask=mask, seed=k) for k, c in enumerate(SHAPES)]
    return NetworkEnsemble(tuple(fits)), coordinates, values


def smoother(part, coordinates, points):
    """Rows of S for the derivatives at points `[n, M, pixels]`: ridge regression on the gradients at the weights."""
    network = part.fit.network(0)
    design = parameter_gradients(network, coordinates[part.rows], [(0, 0)])[:, 0]
    ridge = design.T @ design + part.prior_precision * part.noise_scale**2 * np.eye(design.shape[1])
    return parameter_gradients(network, points, INDICES) @ np.linalg.solve(ridge, design.T)


def test_the_mean_gives_every_network_the_same_weight(fitted):
    ensemble, coordinates, values = fitted
    each = ensemble.each(coordinates, INDICES)
    assert ensemble.members == len(each) == 3
    np.testing.assert_allclose(ensemble.evaluate(coordinates, INDICES), each.mean(axis=0), rtol=1e-12, atol=1e-12)
    residuals = values - each[..., 0].mean(axis=0)
    np.testing.assert_allclose(ensemble.residuals, residuals[ensemble.held_out], atol=1e-5)
    assert ensemble.held_out_rmse == pytest.approx(float(np.sqrt(np.mean(ensemble.residuals**2))))


def test_noise_is_shared_by_the_networks_and_averaged_by_their_smoothers(fitted):
    ensemble, coordinates, _ = fitted
    posterior = ensemble_posterior(ensemble, coordinates)
    points = np.random.default_rng(1).uniform(-1, 1, (300, 2))  # more than one chunk
    first, second = (p.noise_scale * smoother(p, coordinates, points) for p in posterior.parts)
    wanted = np.linalg.norm((first + 2 * second) / 3, axis=-1)
    found = posterior.standard_deviation(points, INDICES)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    # The posterior of one network has the prior variance on top.
    alone = ensemble_posterior(NetworkEnsemble(ensemble.fits[:1]), coordinates)
    assert np.all(alone.standard_deviation(points, INDICES) < laplace_deviation(alone.parts[0], points, INDICES))


def test_pixels_may_have_variances_of_their_own(fitted):
    """S V S', with S from ridge regressions that are not weighted by V."""
    ensemble, coordinates, _ = fitted
    deviation = np.random.default_rng(4).uniform(0.2, 2.0, len(coordinates))
    posterior = ensemble_posterior(ensemble.with_noise(PixelNoise(0.1, deviation=deviation)), coordinates)
    points = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    rows = posterior.parts[0].rows
    first, second = (p.noise_scale * smoother(p, coordinates, points) for p in posterior.parts)
    wanted = np.linalg.norm((first + 2 * second) / 3 * deviation[rows], axis=-1)
    np.testing.assert_allclose(posterior.standard_deviation(points, INDICES), wanted, rtol=1e-6)
    draws = posterior.draws(points, INDICES, count=400, seed=0)
    assert np.abs(draws.var(axis=0, ddof=1) / wanted**2 - 1).max() < 6 * math.sqrt(2 / 400)


def test_a_sample_of_the_pixels_represents_all(fitted):
    """The error from half of the pixels is that from all of them, to the error of such a sample."""
    ensemble, coordinates, _ = fitted
    points = np.random.default_rng(2).uniform(-1, 1, (40, 2))
    whole = ensemble_posterior(ensemble, coordinates)
    assert len(whole.parts[0].rows) == 300 - ensemble.held_out.sum()
    half = ensemble_posterior(ensemble, coordinates, pixels=130)
    assert all(np.array_equal(part.rows, half.parts[0].rows) for part in half.parts)
    ratio = half.standard_deviation(points) / whole.standard_deviation(points)
    assert 0.6 < np.median(ratio) < 1.6


def test_draws_have_the_mean_and_the_deviations(fitted, seed):
    ensemble, coordinates, _ = fitted
    posterior, count = ensemble_posterior(ensemble, coordinates), 400
    points = np.random.default_rng(1).uniform(-1, 1, (7, 2))
    draws = posterior.draws(points, INDICES, count=count, seed=seed)
    deviation = posterior.standard_deviation(points, INDICES)
    assert draws.shape == (count, 7, 3)
    score = (draws.mean(axis=0) - ensemble.evaluate(points, INDICES)) / deviation * math.sqrt(count)
    assert np.abs(score).max() < 5
    assert np.abs(draws.var(axis=0, ddof=1) / deviation**2 - 1).max() < 5 * math.sqrt(2 / count)
    np.testing.assert_array_equal(posterior.draws(points, INDICES, count=count, seed=seed), draws)


def test_architectures_may_have_lost_members(fitted):
    ensemble, coordinates, _ = fitted
    fewer = NetworkEnsemble((ensemble.fits[0], ensemble.fits[1].subset(np.array([1]))))
    assert fewer.members == 2
    wanted = ensemble.each(coordinates)[[0, 2]].mean(axis=0)
    np.testing.assert_allclose(fewer.evaluate(coordinates), wanted, rtol=1e-12, atol=1e-12)
    assert fewer.fits[1].config == replace(ensemble.fits[1].config, members=1)
