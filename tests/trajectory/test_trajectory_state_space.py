"""The filter and the smoother of a state-space model against the joint normal distribution of all states."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayespde.trajectory.state_space import StateSpace, kalman_filter, smoothed

SIZE, FRAMES, PIXELS = 4, 6, 3


@pytest.fixture
def observed(rng):
    """A model, the rows and pixels of its frames."""
    rows, pixels = rng.normal(size=(FRAMES, PIXELS, SIZE)), rng.normal(size=(FRAMES, PIXELS))
    root = rng.normal(size=(SIZE, SIZE))
    model = StateSpace(
        mean=rng.normal(size=SIZE),
        covariance=root @ root.T,
        transition=rng.normal(size=(FRAMES - 1, SIZE, SIZE)) / 2,
        shift=rng.normal(size=(FRAMES - 1, SIZE)),
        process=rng.uniform(0.5, 2, (FRAMES - 1, SIZE)),
        information=np.swapaxes(rows, 1, 2) @ rows,
        score=(np.swapaxes(rows, 1, 2) @ pixels[..., None])[..., 0],
        misfit=float(np.sum(pixels**2)) / 2,
    )
    return model, rows, pixels


def joint(model, variance):
    """Mean and covariance of all states, before anything is observed."""
    mean, covariance = [model.mean], np.zeros((FRAMES, FRAMES, SIZE, SIZE))
    covariance[0, 0] = model.covariance
    for t in range(FRAMES - 1):
        forward = model.transition[t]
        mean.append(forward @ mean[-1] + model.shift[t])
        for s in range(t + 1):
            covariance[t + 1, s] = forward @ covariance[t, s]
            covariance[s, t + 1] = covariance[t + 1, s].T
        covariance[t + 1, t + 1] = forward @ covariance[t, t] @ forward.T + variance * np.diag(model.process[t])
    whole = np.moveaxis(covariance, 1, 2).reshape(FRAMES * SIZE, FRAMES * SIZE)
    return np.concatenate(mean), whole


@pytest.mark.parametrize("variance", [0.0, 1e-8, 0.3])
def test_likelihood_and_states_are_those_of_the_joint_distribution(observed, variance):
    model, rows, pixels = observed
    mean, covariance = joint(model, variance)
    design = np.zeros((FRAMES * PIXELS, FRAMES * SIZE))
    for t in range(FRAMES):
        design[t * PIXELS : (t + 1) * PIXELS, t * SIZE : (t + 1) * SIZE] = rows[t]
    spread = design @ covariance @ design.T + np.eye(FRAMES * PIXELS)
    density = multivariate_normal(design @ mean, spread).logpdf(pixels.ravel())
    found = kalman_filter(model, variance)
    assert found.log_density - FRAMES * PIXELS * np.log(2 * np.pi) / 2 == pytest.approx(density)
    gain = np.linalg.solve(spread, design @ covariance).T
    wanted = mean + gain @ (pixels.ravel() - design @ mean)
    np.testing.assert_allclose(smoothed(model, found).ravel(), wanted, atol=1e-9)
    left = covariance - gain @ design @ covariance
    np.testing.assert_allclose(found.last, left[-SIZE:, -SIZE:], atol=1e-9)
