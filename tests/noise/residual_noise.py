"""Simulated noise of known kinds, for the tests of its estimators."""

import numpy as np

FRAMES, PLACES, SPACING = 160, 120, 0.1
X = SPACING * np.arange(PLACES)


def filtered(rng, shape, weights):
    """Noise of unit variance passed through a filter along every space axis, and its correlations."""
    noise = rng.standard_normal((shape[0], *(n + len(weights) - 1 for n in shape[1:])))
    for axis in range(1, len(shape)):
        noise = np.apply_along_axis(np.convolve, axis, noise, weights, mode="valid")
    lags = np.correlate(weights, weights, "full")[len(weights) - 1 :]
    return noise / lags[0] ** ((len(shape) - 1) / 2), lags / lags[0]


def counts(rng, electrons, read=0.0):
    """A field between 0.2 and 1.2 counted in electrons, and its clean values."""
    clean = 0.7 + 0.5 * np.sin(X) * np.cos(0.1 * np.arange(FRAMES))[:, None]
    return rng.poisson(electrons * clean) / electrons + read * rng.standard_normal(clean.shape), clean
