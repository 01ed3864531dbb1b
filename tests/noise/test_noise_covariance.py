"""What the noise is made of, found in simulated residuals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg, optimize, stats
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from bayespde.noise.covariance import NoiseCovariance, estimate_noise
from bayespde.noise.front_jitter import jitter_and_walk
from bayespde.noise.pixels import correlated_noise, shot_noise

FRAMES, PLACES, SPACING = 160, 120, 0.1
X = SPACING * np.arange(PLACES)


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


def front(shift):
    return 1 / (1 + np.exp(-(X - 6 - shift[:, None]) / 0.8))


def smooth_front():
    position = 0.01 * np.arange(FRAMES)
    values = front(position)
    return values, values * (1 - values) / 0.8


def estimated(raw, values, slope, kind="auto"):
    return estimate_noise(raw, values, (slope,), float(np.nanstd(raw - values)), kind)


def test_white_noise_is_called_white(rng):
    values, slope = smooth_front()
    raw = values + 0.05 * rng.standard_normal(values.shape)
    raw[3, 4] = np.nan
    model = estimate_noise(raw, values, (slope,), 0.05, "auto")
    assert model.kind == "white"
    assert not model.patterns
    assert np.allclose(model.pixel, 0.05)
    # Around a missing pixel that repeats the noise of the others these count for more, else it is one pixel fewer.
    assert model.counted[3, 4] == pytest.approx(0.05 / np.sqrt(1 - 1 / 49))
    assert replace(model, kept=0.0).counted[3, 4] == pytest.approx(0.05 * np.sqrt(1 - 1 / 49))
    assert np.allclose(model.counted[10:], 0.05)


@pytest.mark.parametrize("scale", 10.0 ** np.arange(-12, 7, 3))
def test_a_hole_has_noise_whatever_its_size_and_scale(rng, scale):
    values, slope = smooth_front()
    raw = scale * (values + 0.05 * rng.standard_normal(values.shape))
    for size in (7, 9, 15, 30):
        time, place = rng.integers(0, np.subtract(raw.shape, size))
        raw[time : time + size, place : place + size] = np.nan
    model = estimate_noise(raw, scale * values, (scale * slope,), scale * 0.05, "auto")
    assert model.kind == "white"
    assert np.allclose(model.pixel, scale * 0.05, rtol=1e-6)
    # A seventh is the least that counts as seen.
    assert np.all((model.counted >= 0.99 * model.pixel) & (model.counted <= np.sqrt(7.01) * model.pixel))


def test_missing_pixels_say_nothing_of_a_front(rng):
    values, slope = smooth_front()
    raw = values - 0.3 * rng.standard_normal(FRAMES)[:, None] * slope + 0.01 * rng.standard_normal(values.shape)
    raw[rng.random(raw.shape) < 0.25] = np.nan
    model = estimated(raw, values, slope)
    assert model.kind == "front"
    assert model.pixel[~np.isnan(raw)].max() == pytest.approx(0.01, rel=6 / np.sqrt(2 * values.size))


def test_a_jittering_front_is_found_with_its_sizes(seed):
    values, slope = smooth_front()
    sizes = []
    for s in range(20):
        rng = np.random.default_rng([seed, s])
        jitter, walk = 0.3 * rng.standard_normal(FRAMES), 0.05 * np.cumsum(rng.standard_normal(FRAMES))
        raw = values - (jitter + walk)[:, None] * slope + 0.01 * rng.standard_normal(values.shape)
        # A smoother follows the walk, and knows nothing of the jitter.
        followed = values - walk[:, None] * slope
        model = estimated(raw, followed, slope)
        assert model.kind == "front"
        assert np.array_equal(model.patterns[0], slope)
        assert model.pixel.max() == pytest.approx(0.01, rel=5 / np.sqrt(2 * values.size))
        sizes.append((*model.jitter, model.walk))
    mean, error = np.mean(sizes, axis=0), np.std(sizes, axis=0, ddof=1) / np.sqrt(20)
    # Pixel noise moves the measured position too: sd 0.01 sqrt(places) spacing over a step of one, independently.
    wanted = np.hypot(0.3, 0.01 * np.sqrt(PLACES) * SPACING)
    assert abs(mean[0] - wanted) < 5 * error[0] + 0.005
    assert abs(mean[1] - 0.05) < 5 * error[1] + 0.02


@pytest.mark.parametrize(("kind", "found"), [("white", "white"), ("auto", "correlated")])
def test_correlated_residuals_without_a_net_step_are_no_front(rng, kind, found):
    values = np.exp(-((X - 6) ** 2)) + np.zeros((FRAMES, 1))
    slope = -2 * (X - 6) * values
    raw = values - 0.2 * rng.standard_normal((FRAMES, 1)) * slope
    assert estimated(raw, values, slope, kind).kind == found


def test_smeared_noise_on_a_field_with_a_net_step_is_no_front(rng):
    values, slope = smooth_front()
    noise, _ = smeared(rng, values.shape, np.ones(5))
    assert estimated(values + 0.05 * noise, values, slope).kind == "correlated"


def test_asked_for_kinds_are_obeyed(rng):
    values, slope = smooth_front()
    shaken = values - 0.3 * rng.standard_normal((FRAMES, 1)) * slope
    assert estimated(shaken, values, slope, "white").kind == "white"
    quiet = values + 0.01 * rng.standard_normal(values.shape)
    assert estimated(quiet, values, slope, "front_jitter").kind == "front"


def test_clean_data_and_planes_are_white():
    values, slope = smooth_front()
    assert estimated(values, values, slope).kind == "white"
    cube = np.stack([values] * 3, axis=1)
    assert estimate_noise(cube + 0.1, cube, (cube,), 0.1, "auto").kind == "white"


def test_frames_put_back_leave_the_noise_of_their_pixels_and_a_jitter(rng):
    """The field may have any shape then: what was displaced is known."""
    wave, slope = np.sin(X + 0.02 * np.arange(FRAMES)[:, None]), np.cos(X + 0.02 * np.arange(FRAMES)[:, None])
    raw = wave + 0.05 * rng.standard_normal(wave.shape)
    model = estimate_noise(raw, wave, (slope,), 0.05, "auto", (0.3,))
    assert (model.kind, model.jitter, model.walk) == ("frame_jitter", (0.3,), 0.0)
    assert np.allclose(model.pixel, 0.05)
    assert np.array_equal(model.patterns[0], slope)


# Shot noise


def counts(rng, electrons, read=0.0):
    """A field between 0.2 and 1.2 counted in electrons, and its clean values."""
    clean = 0.7 + 0.5 * np.sin(X) * np.cos(0.1 * np.arange(FRAMES))[:, None]
    return rng.poisson(electrons * clean) / electrons + read * rng.standard_normal(clean.shape), clean


def test_the_gain_of_counted_electrons_is_one_over_the_electrons(seed):
    found = []
    for s in range(20):
        raw, clean = counts(np.random.default_rng([seed, s]), 50.0, read=0.05)
        variance, gain, is_visible = shot_noise((raw - clean).ravel(), clean.ravel())
        assert is_visible
        assert np.allclose(variance, clean.ravel() / 50 + 0.05**2, rtol=0.15)
        found.append(gain)
    assert abs(np.mean(found) - 1 / 50) < 5 * np.std(found, ddof=1) / np.sqrt(20)


def test_shot_noise_is_told_from_white_noise(rng):
    raw, clean = counts(rng, 50.0)
    slope = np.gradient(clean, SPACING, axis=1)
    model = estimate_noise(raw, clean, (slope,), float((raw - clean).std()), "auto")
    assert model.kind == "shot"
    assert np.sqrt(np.mean(model.pixel**2)) == pytest.approx(float((raw - clean).std()))
    white = clean + 0.1 * rng.standard_normal(clean.shape)
    assert estimate_noise(white, clean, (slope,), 0.1, "auto").kind == "white"
    assert estimate_noise(raw, clean, (slope,), 0.1, "white").kind == "white"


def test_a_constant_field_has_no_gain():
    variance, gain, is_visible = shot_noise(np.ones(10), np.ones(10))
    assert (gain, is_visible) == (0.0, False)
    assert np.all(variance == 1)


# What a smoother missed


def test_small_residuals_that_are_mostly_bias_do_not_count_as_noise(rng):
    clean, slope = smooth_front()
    bias = 0.01 * np.sin(0.2 * np.arange(FRAMES))[:, None] * (-1.0) ** np.arange(PLACES)
    raw = clean + 0.002 * rng.standard_normal(clean.shape)
    model = estimated(raw, clean + bias, slope)
    assert model.kind == "white"
    assert model.pixel.max() == pytest.approx(0.002, rel=0.05)
    assert estimated(clean, clean + bias, slope).pixel.max() < 1e-4
    # Residuals that are large are noise, whatever they look like.
    assert estimated(raw, clean + 10 * bias, slope).pixel.max() > 0.05


# Correlated noise


def smeared(rng, shape, weights):
    """Noise of unit variance passed through a filter along every space axis, and its correlations."""
    noise = rng.standard_normal((shape[0], *(n + len(weights) - 1 for n in shape[1:])))
    for axis in range(1, len(shape)):
        noise = np.apply_along_axis(np.convolve, axis, noise, weights, mode="valid")
    lags = np.correlate(weights, weights, "full")[len(weights) - 1 :]
    return noise / lags[0] ** ((len(shape) - 1) / 2), lags / lags[0]


@pytest.mark.parametrize("shape", [(160, 120), (60, 40, 50)])
def test_correlations_are_measured_without_the_slow_noise_that_the_smoother_took(seed, shape):
    scales, found = [], []
    for s in range(20):
        noise, wanted = smeared(np.random.default_rng([seed, s]), shape, np.array([0.5, 1.0, 0.7]))
        # A smoother follows what is slow in time, at all frequencies in space.
        residual = noise - uniform_filter1d(noise, 31, axis=0, mode="nearest")
        residual[3, 4] = np.nan
        scale, lags = correlated_noise(residual)
        assert np.array_equal(lags[0], [1.0])
        scales.append(scale)
        found.append([axis[:3] for axis in lags[1:]])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(20)
    assert np.all(np.abs(mean - wanted[:3]) < 5 * error + 1e-3)
    assert abs(np.mean(scales) - 1) < 5 * np.std(scales, ddof=1) / np.sqrt(20) + 1e-3


@pytest.mark.parametrize(("places", "lags"), [(7, 0), (12, 1), (40, 5)])
def test_short_axes_are_measured_at_as_many_lags_as_they_have_room_for(rng, places, lags):
    residual = gaussian_filter1d(rng.standard_normal((300, places)), 1.5, axis=1, mode="wrap")
    _, (_, found) = correlated_noise(residual)
    # Of a Gaussian filter of sd s: exp(-d^2 / 4 s^2).
    wanted = np.exp(-(np.arange(min(lags, 2) + 1) ** 2) / (4 * 1.5**2))
    assert found[: len(wanted)] == pytest.approx(wanted, abs=0.1)
    assert len(found) <= lags + 1


def test_independent_pixels_are_not_called_correlated(rng):
    values, slope = smooth_front()
    assert [len(c) for c in correlated_noise(rng.standard_normal((40, 30, 30)))[1]] == [1, 1, 1]
    assert estimated(values + 0.05 * rng.standard_normal(values.shape), values, slope, "correlated").kind == "white"


def test_noise_may_hang_together_and_grow_with_the_value(rng):
    clean = 0.7 + 0.5 * np.sin(X) * np.cos(0.1 * np.arange(FRAMES))[:, None]
    noise, _ = smeared(rng, clean.shape, np.array([0.5, 1.0, 0.5]))
    slope = np.gradient(clean, SPACING, axis=1)
    model = estimate_noise(clean + 0.1 * np.sqrt(clean) * noise, clean, (slope,), 0.08, "auto")
    assert model.kind == "correlated"
    assert model.pixel**2 == pytest.approx(0.01 * clean, rel=0.25)


def test_a_filter_over_test_functions_is_a_filter_over_the_noise():
    lags, samples = np.array([1.0, 0.45, 0.1]), 80
    noise = NoiseCovariance(np.ones((1, samples)), correlation=(np.ones(1), lags))
    bumps = np.stack([np.exp(-(((np.arange(samples) - c) / 6.0) ** 2)) for c in (35, 40, 44)])
    seen = noise.seen_by(bumps, 1)
    assert noise.seen_by(bumps, 0) is bumps
    wanted = bumps @ linalg.toeplitz(np.pad(lags, (0, samples - 3))) @ bumps.T
    assert np.allclose(seen @ seen.T, wanted, rtol=1e-5)
