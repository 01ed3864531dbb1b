"""Noise of pixels: misfits, whitened residuals and draws against scipy's densities."""

import math

import numpy as np
import pytest
from scipy.stats import kstest, norm, t

from bayespde.core.errors import ConfigError
from bayespde.noise.pixel_noise import PixelNoise, misfit_and_slope, student_scale

COUNT = 20_000


@pytest.mark.parametrize("freedom", [math.inf, 2.2, 8.0])
def test_the_misfit_is_minus_twice_the_log_density(freedom, rng):
    residual = rng.standard_normal(50)
    own = 0.4 if math.isinf(freedom) else 0.4 * math.sqrt((freedom + 1) / (freedom + 3))
    density = norm(0, own) if math.isinf(freedom) else t(freedom, 0, own)
    wanted = 2 * 0.4**2 * (density.logpdf(0.0) - density.logpdf(residual))
    np.testing.assert_allclose(PixelNoise(0.4, freedom).misfit(residual), wanted, rtol=1e-12)
    step = 1e-6
    ahead, behind = (misfit_and_slope(residual + s, 0.4, freedom)[0] for s in (step, -step))
    slope = misfit_and_slope(residual, 0.4, freedom)[1]
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("freedom", [math.inf, 2.2, 8.0])
def test_whitened_residuals_have_the_scale_as_standard_deviation(freedom, rng):
    own = 0.4 if math.isinf(freedom) else 0.4 * math.sqrt((freedom + 1) / (freedom + 3))
    drawn = rng.standard_normal(COUNT) if math.isinf(freedom) else rng.standard_t(freedom, COUNT)
    white = PixelNoise(0.4, freedom).whitened(own * drawn)
    # The fourth moment is at most that of normal numbers, so that these are at least five standard errors.
    assert np.mean(white**2) == pytest.approx(0.4**2, rel=5 * math.sqrt(2 / COUNT))


@pytest.mark.parametrize("freedom", [math.inf, 5.0])
def test_noise_is_drawn_from_its_density(seed, freedom):
    """A change of variables: the cumulative distribution of draws is uniform (Kolmogorov-Smirnov)."""
    draws = PixelNoise(0.3, freedom).draw(np.random.default_rng(seed), 4000)
    density = norm(scale=0.3) if math.isinf(freedom) else t(freedom, scale=student_scale(0.3, freedom))
    assert kstest(draws, density.cdf).pvalue > 1e-6
    deviation = np.repeat([0.5, 2.0], 2000)
    if math.isinf(freedom):
        draws = PixelNoise(0.3, deviation=deviation).draw(np.random.default_rng(seed), 4000)
        assert kstest(draws / deviation, density.cdf).pvalue > 1e-6


@pytest.mark.parametrize("change", [{"scale": 0.0}, {"freedom": -1.0}, {"deviation": np.array([1.0, 0.0])}])
def test_unusable_noise_of_pixels_is_refused(change):
    with pytest.raises(ConfigError):
        PixelNoise(**({"scale": 0.1} | change))
