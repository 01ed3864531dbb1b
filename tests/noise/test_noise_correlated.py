"""Correlated noise, estimated from simulated residuals."""

import numpy as np
import pytest
from residual_noise import filtered
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from bayespde.noise.correlated import correlated_noise


@pytest.mark.parametrize("shape", [(160, 120), (60, 40, 50)])
def test_correlations_are_estimated_without_the_slow_noise_that_the_smoother_removed(seed, shape):
    scales, found = [], []
    for s in range(20):
        noise, wanted = filtered(np.random.default_rng([seed, s]), shape, np.array([0.5, 1.0, 0.7]))
        # A smoother follows what is slow in time, at all frequencies in space.
        residual = noise - uniform_filter1d(noise, 31, axis=0, mode="nearest")
        residual[3, 4] = np.nan
        scale, lags = correlated_noise(residual)
        assert len(lags) == len(shape) - 1
        scales.append(scale)
        found.append([axis[:3] for axis in lags])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(20)
    assert np.all(np.abs(mean - wanted[:3]) < 5 * error + 1e-3)
    assert abs(np.mean(scales) - 1) < 5 * np.std(scales, ddof=1) / np.sqrt(20) + 1e-3


@pytest.mark.parametrize(("places", "lags"), [(7, 0), (12, 1), (40, 5)])
def test_short_axes_have_as_many_lags_as_they_have_room_for(rng, places, lags):
    residual = gaussian_filter1d(rng.standard_normal((300, places)), 1.5, axis=1, mode="wrap")
    _, (found,) = correlated_noise(residual)
    # Of a Gaussian filter of sd s: exp(-d^2 / 4 s^2).
    wanted = np.exp(-(np.arange(min(lags, 2) + 1) ** 2) / (4 * 1.5**2))
    assert found[: len(wanted)] == pytest.approx(wanted, abs=0.1)
    assert len(found) <= lags + 1


def test_independent_pixels_have_no_correlation(rng):
    assert [len(c) for c in correlated_noise(rng.standard_normal((40, 30, 30)))[1]] == [1, 1]
