"""The Laplace posterior against exact Bayesian linear regression, and its coverage on a manufactured field."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import nested_derivatives
from training import trained

from bayespde.core.errors import ConfigError
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.laplace import LaplaceConfig, laplace

SMALL = NetworkConfig(members=1, width=10, depth=2, steps=500, batch=512, learning_rate=1e-2, input_scale=2.0)
INDICES = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)]
LAST = ("last",)


def noisy_front(rng, pixels=1500, noise=0.1):
    """Random pixels of a travelling front with noise, and its derivatives in the order of INDICES."""
    coordinates = rng.uniform(-1, 1, (pixels, 2))
    truth = front(coordinates)
    return coordinates, truth[:, 0] + noise * rng.standard_normal(pixels)


def front(coordinates):
    t, x = coordinates.T
    u = np.tanh(2 * (x - 0.5 * t))
    slope = 2 * (1 - u**2)
    return np.stack([u, -0.5 * slope, slope, -4 * u * slope, 2 * u * slope], axis=1)


@pytest.fixture(scope="module")
def fitted():
    coordinates, values = noisy_front(np.random.default_rng(7), pixels=400)
    fit = trained(coordinates, values, config=replace(SMALL, steps=200), seed=0)
    return fit, coordinates, values


def last_layer_features(fit, coordinates, index=(0, 0)):
    """Derivatives of the hidden units (and of the constant), `[n, width + 1]`: the network is linear in the rest."""
    network = fit.network(0).requires_grad_(False)

    def unit(points, position):
        hidden = points * points.new_tensor(network.input_scale)
        for layer in network.layers[:-1]:
            hidden = torch.tanh(hidden @ layer.weight.mT + layer.bias)
        return hidden[:, position]

    points = torch.as_tensor(coordinates)
    columns = [nested_derivatives(lambda p, j=j: unit(p, j), points, [index])[:, 0].detach() for j in range(10)]
    return np.stack([*columns, np.full(len(points), float(sum(index) == 0))], axis=1)


def regression_covariance(fit, coordinates, precision, noise):
    design = last_layer_features(fit, coordinates[~fit.held_out])
    return np.linalg.inv(design.T @ design / noise**2 + precision * np.eye(design.shape[1]))


def test_linear_last_layer_gives_exact_bayesian_regression(fitted):
    fit, coordinates, _values = fitted
    config = LaplaceConfig(iterations=0, parameters=LAST)
    posterior = laplace(fit, coordinates, config=config)
    covariance = regression_covariance(fit, coordinates, 1.0, 0.1)
    points = np.random.default_rng(1).uniform(-1, 1, (30, 2))
    expected = []
    for index in INDICES:
        features = last_layer_features(fit, points, index)
        expected.append(np.sqrt(np.einsum("ni,ij,nj->n", features, covariance, features)))
    np.testing.assert_allclose(posterior.standard_deviation(points, INDICES), np.stack(expected, axis=1), rtol=1e-6)


def test_evidence_iterations_stop_where_the_evidence_of_the_linear_model_is_largest(fitted):
    """The data of that model are the fitted values of the linearised network, without noise."""
    fit, coordinates, values = fitted
    posterior = laplace(fit, coordinates, config=LaplaceConfig(parameters=LAST))
    design = last_layer_features(fit, coordinates[~fit.held_out])
    weights = fit.parameters["last"][0].double().numpy().ravel()
    residuals = values - fit.evaluate(coordinates)[:, 0]
    square = np.sum(residuals[~fit.held_out] ** 2)

    def log_evidence(log_precision):
        covariance = design @ design.T / math.exp(log_precision) + posterior.noise_scale**2 * np.eye(len(design))
        signal = design @ weights
        return -0.5 * (np.linalg.slogdet(covariance)[1] + signal @ np.linalg.solve(covariance, signal))

    best = math.log(posterior.prior_precision)
    for step in (1e-2, 1e-1):
        assert max(log_evidence(best + step), log_evidence(best - step)) < log_evidence(best)
    remaining = len(design) - posterior.effective_parameters
    assert posterior.noise_scale == pytest.approx(math.sqrt(square / remaining), rel=1e-4)
    covariance = regression_covariance(fit, coordinates, posterior.prior_precision, posterior.noise_scale)
    determined = len(weights) - posterior.prior_precision * np.trace(covariance)
    assert posterior.effective_parameters == pytest.approx(determined, rel=1e-5)


@pytest.mark.parametrize("pixels", [5000, 60], ids=["more pixels than weights", "fewer"])
def test_curvature_is_the_scaled_gram_matrix_of_the_gradients(fitted, pixels):
    fit, coordinates, _values = fitted
    posterior = laplace(fit, coordinates, config=LaplaceConfig(pixels=pixels, iterations=0), seed=2)
    seen = np.flatnonzero(~fit.held_out)
    rows = seen
    if pixels < len(seen):
        rows = np.sort(np.random.default_rng(2).choice(seen, pixels, replace=False))
    network = fit.network(0)
    output = network(torch.as_tensor(coordinates[rows]))
    gradients = [
        torch.cat([g.ravel() for g in torch.autograd.grad(y, list(network.parameters()), retain_graph=True)])
        for y in output
    ]
    jacobian = torch.stack(gradients)
    curvature = jacobian.T @ jacobian * len(seen) / len(rows)
    vectors = posterior.eigenvectors
    rebuilt = vectors * posterior.eigenvalues @ vectors.T
    np.testing.assert_allclose(rebuilt, curvature, rtol=0, atol=1e-9 * float(curvature.abs().max()))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(vectors.shape[1]), atol=1e-4)
    precision = curvature / 0.1**2 + torch.eye(len(curvature))
    variance = torch.einsum("ni,in->n", jacobian, torch.linalg.solve(precision, jacobian.T))
    found = posterior.standard_deviation(coordinates[rows])[:, 0]
    np.testing.assert_allclose(found, variance.sqrt(), rtol=1e-4)


def test_draws_have_the_mean_and_the_deviations_of_the_posterior(fitted, seed):
    fit, coordinates, _values = fitted
    posterior = laplace(fit, coordinates)
    points, count = np.random.default_rng(1).uniform(-1, 1, (7, 2)), 400
    draws = posterior.draws(points, INDICES, count=count, seed=seed)
    deviation = posterior.standard_deviation(points, INDICES)
    assert draws.shape == (count, 7, 5)
    score = (draws.mean(axis=0) - fit.evaluate(points, INDICES)) / deviation * math.sqrt(count)
    assert np.abs(score).max() < 5
    ratio = draws.var(axis=0, ddof=1) / deviation**2
    assert np.abs(ratio - 1).max() < 5 * math.sqrt(2 / count)


def test_derivatives_of_a_draw_are_those_of_its_field(fitted):
    fit, coordinates, _values = fitted
    posterior = laplace(fit, coordinates)
    step, points = 1e-4, np.array([[0.1, -0.3], [-0.5, 0.6]])
    shifted = [posterior.draws(points + np.array([0, s]), count=3, seed=5)[..., 0] for s in (-step, 0.0, step)]
    slopes, curvatures = np.moveaxis(posterior.draws(points, [(0, 1), (0, 2)], count=3, seed=5), -1, 0)
    np.testing.assert_allclose((shifted[2] - shifted[0]) / (2 * step), slopes, rtol=1e-5, atol=1e-5)
    second = (shifted[2] - 2 * shifted[1] + shifted[0]) / step**2
    np.testing.assert_allclose(second, curvatures, rtol=1e-3, atol=1e-3)


def test_intervals_cover_the_true_field_and_its_derivatives(seed):
    points = np.random.default_rng(seed).uniform(-1, 1, (100, 2))
    scores, noises, pixels = [], [], 1000
    for replicate in range(4):
        coordinates, values = noisy_front(np.random.default_rng([seed, replicate]), pixels=pixels)
        fit = trained(coordinates, values, config=SMALL, seed=replicate)
        posterior = laplace(fit, coordinates)
        error = fit.evaluate(points, INDICES) - front(points)
        scores.append(error / posterior.standard_deviation(points, INDICES))
        noises.append(posterior.noise_scale)
    # Errors at the points are as many independent numbers as there are effective parameters, about 20 per fit:
    # five standard errors of a share of 0.9 are 0.17.
    covered = np.mean(np.abs(scores) < 1.645, axis=(0, 1))
    assert np.all(covered > 0.9 - 0.17), covered
    # Nor may the intervals cover by being far too wide.
    spread = np.sqrt(np.mean(np.square(scores), axis=(0, 1)))
    assert np.all(spread > 0.3), spread
    assert np.mean(noises) == pytest.approx(0.1, abs=5 * 0.1 / math.sqrt(2 * 4 * 0.9 * pixels))


def test_a_new_seed_draws_other_pixels_and_the_same_seed_the_same(fitted):
    fit, coordinates, _values = fitted
    config = LaplaceConfig(pixels=50)
    first, again, other = (laplace(fit, coordinates, config=config, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.eigenvalues, again.eigenvalues)
    assert not np.array_equal(first.eigenvalues[:1], other.eigenvalues[:1])


@pytest.mark.parametrize("change", [{"pixels": 1}, {"iterations": -1}, {"parameters": ()}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ConfigError):
        LaplaceConfig(**change)


def test_weights_that_do_not_exist_are_refused(fitted):
    with pytest.raises(ConfigError, match="no such weights"):
        laplace(*fitted[:2], config=LaplaceConfig(parameters=("nothing",)))
