"""Jitter and random walk of a front, split by the likelihood of its steps."""

import numpy as np
import pytest
from scipy import optimize, stats

from bayespde.noise.front_jitter import jitter_and_walk


def steps_of(rng, jitter, walk, drift=0.3, steps=400):
    shift = rng.standard_normal(steps + 1) * jitter
    return drift + walk * rng.standard_normal(steps) + np.diff(shift)


@pytest.mark.parametrize(("jitter", "walk"), [(1.0, 0.4), (0.2, 1.0), (3e-6, 2e-6), (50.0, 200.0)])
def test_jitter_and_walk_are_recovered_without_bias(seed, jitter, walk):
    rng = np.random.default_rng(seed)
    found = np.array([jitter_and_walk(steps_of(rng, jitter, walk)) for _ in range(50)])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(error < 0.03 * max(jitter, walk))
    # The bias of a maximum likelihood estimate of a standard deviation is of order 1/n of the total variance.
    bias = 2 * (2 * jitter**2 + walk**2) / np.array([jitter, walk]) / 400
    assert np.all(np.abs(found.mean(axis=0) - [jitter, walk]) < 5 * error + bias)


def test_the_estimate_maximises_the_likelihood_of_a_dense_gaussian(rng):
    steps = steps_of(rng, 0.7, 0.5, steps=60)

    def negative_log_likelihood(parameters):
        r2, q2 = np.exp(2 * parameters[:2])
        covariance = (2 * r2 + q2) * np.eye(60) - r2 * (np.eye(60, k=1) + np.eye(60, k=-1))
        return -stats.multivariate_normal.logpdf(steps, np.full(60, parameters[2]), covariance)

    best = optimize.minimize(negative_log_likelihood, [0.0, 0.0, 0.0], method="BFGS")
    found = np.array(jitter_and_walk(steps))
    assert np.log(found) == pytest.approx(best.x[:2], abs=5e-3)


def test_pure_jitter_and_pure_walk_are_told_apart(rng):
    jitter, walk = jitter_and_walk(steps_of(rng, 1.0, 0.0))
    assert walk < 0.15 * jitter
    jitter, walk = jitter_and_walk(steps_of(rng, 0.0, 1.0))
    assert jitter < 0.3 * walk
