"""The Laplace posterior against exact Bayesian linear regression, and its coverage on a manufactured field."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import laplace_deviation
from torch.func import functional_call
from training import trained

from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.laplace import laplace

SMALL = NetworkConfig(members=1, width=10, depth=2, steps=500, batch=512, learning_rate=1e-2, input_scale=2.0)
INDICES = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)]


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


def features(fit, coordinates, indices):
    """Gradients of derivatives in the weights, `[n, M, p]`, by automatic differentiation."""
    network, names = fit.network(0), list(dict(fit.network(0).named_parameters()))

    def derivatives(*weights):
        return functional_call(network, dict(zip(names, weights, strict=True)), (points, indices))

    points = torch.as_tensor(coordinates)
    found = torch.autograd.functional.jacobian(derivatives, tuple(p.detach() for p in network.parameters()))
    return torch.cat([f.flatten(2) for f in found], dim=-1).numpy()


def regression_covariance(fit, coordinates, precision, noise):
    design = features(fit, coordinates[~fit.held_out], INDICES[:1])[:, 0]
    return np.linalg.inv(design.T @ design / noise**2 + precision * np.eye(design.shape[1]))


def test_the_linearised_network_gives_exact_bayesian_regression(fitted):
    fit, coordinates, _values = fitted
    posterior = laplace(fit, coordinates, iterations=0)
    covariance = regression_covariance(fit, coordinates, 1.0, 0.1)
    points = np.random.default_rng(1).uniform(-1, 1, (30, 2))
    slopes = features(fit, points, INDICES)
    expected = np.sqrt(np.einsum("nmi,ij,nmj->nm", slopes, covariance, slopes))
    np.testing.assert_allclose(laplace_deviation(posterior, points, INDICES), expected, rtol=1e-5)


def test_evidence_iterations_stop_where_the_evidence_of_the_linear_model_is_largest(fitted):
    """The data of that model are the fitted values of the linearised network, without noise."""
    fit, coordinates, values = fitted
    posterior = laplace(fit, coordinates)
    design = features(fit, coordinates[~fit.held_out], INDICES[:1])[:, 0]
    weights = torch.cat([p.detach().flatten() for p in fit.network(0).parameters()]).numpy()
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
    posterior = laplace(fit, coordinates, pixels=pixels, iterations=0, seed=2)
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
    found = laplace_deviation(posterior, coordinates[rows], [(0, 0)])[:, 0]
    np.testing.assert_allclose(found, variance.sqrt(), rtol=1e-4)


def test_intervals_cover_the_true_field_and_its_derivatives(seed):
    points = np.random.default_rng(seed).uniform(-1, 1, (100, 2))
    scores, noises, pixels = [], [], 1000
    for replicate in range(4):
        coordinates, values = noisy_front(np.random.default_rng([seed, replicate]), pixels=pixels)
        fit = trained(coordinates, values, config=SMALL, seed=replicate)
        posterior = laplace(fit, coordinates)
        error = fit.evaluate(points, INDICES) - front(points)
        scores.append(error / laplace_deviation(posterior, points, INDICES))
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
    first, again, other = (laplace(fit, coordinates, pixels=50, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.eigenvalues, again.eigenvalues)
    assert not np.array_equal(first.eigenvalues[:1], other.eigenvalues[:1])
