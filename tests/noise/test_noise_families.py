"""Noise families: densities and misfits against scipy, numbers against simulation, and the choice between them."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm, t

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.noise.families import NoiseFamily, PixelNoise, choose_noise, misfit_and_slope
from bayespde.noise.frame_jitter import displacement
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline

COUNT = 20_000
T, X = np.linspace(0, 1, 61), np.linspace(-1, 1, 101)


def simulated(family, rng, count=COUNT):
    """Observed values and their mean."""
    if family == "poisson":
        mean = rng.uniform(1, 30, count)
        return rng.poisson(mean).astype(float), mean
    if family == "detector":
        mean = rng.uniform(1, 3, count)
        return mean + np.sqrt(0.02 + 0.1 * (mean - 1)) * rng.standard_normal(count), mean
    mean = rng.uniform(0.05, 0.95, count)
    if family == "logit":
        return expit(logit(mean) + 0.5 * rng.standard_normal(count)), mean
    noise = rng.standard_t(3.0, count) if family == "student_t" else rng.standard_normal(count)
    return mean + 0.1 * noise, mean


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


def test_the_numbers_of_a_family_are_those_that_made_the_data(rng):
    """Within five standard errors, which are those of maximum likelihood: from the Fisher information."""
    error = 5 / math.sqrt(2 * COUNT)
    assert NoiseFamily.fit("gaussian", *simulated("gaussian", rng)).scale == pytest.approx(0.1, rel=error)
    assert NoiseFamily.fit("logit", *simulated("logit", rng)).scale == pytest.approx(0.5, rel=error)
    heavy = NoiseFamily.fit("student_t", *simulated("student_t", rng))
    assert heavy.scale == pytest.approx(0.1, rel=5 * 1.3 / math.sqrt(COUNT))
    assert heavy.freedom == pytest.approx(3.0, rel=5 * 4.0 / math.sqrt(COUNT))
    observed, mean = simulated("detector", rng)
    detector = NoiseFamily.fit("poisson", observed, mean)
    ends = detector.variance(np.array([1.0, 3.0]))
    np.testing.assert_allclose(ends, [0.02, 0.22], rtol=5 * 4 / math.sqrt(COUNT))
    counts = NoiseFamily.fit("poisson", *simulated("poisson", rng))
    assert (counts.counts, counts.offset, counts.slope) == (True, 0.0, 1.0)
    assert counts.variance(np.array([7.0])) == pytest.approx(7.0)


@pytest.mark.parametrize("family", ["gaussian", "student_t", "poisson", "detector", "logit"])
def test_the_family_that_made_the_data_is_chosen(family, rng):
    observed, mean = simulated(family, rng, 4000)
    noise, scores = choose_noise(observed, mean, seed=0)
    assert noise.family == ("poisson" if family == "detector" else family)
    assert max(scores, key=scores.get) == noise.family or family == "gaussian"
    assert noise.describe().startswith(noise.family)


def test_grey_values_are_not_counts(rng):
    """Eight bits of a camera with gain: integers whose variance is not their mean."""
    mean = rng.uniform(20, 200, 4000)
    observed = np.round(mean + np.sqrt(4 + 3 * mean) * rng.standard_normal(4000)).clip(0, 255)
    noise, _ = choose_noise(observed, mean, seed=0)
    assert (noise.family, noise.counts) == ("poisson", False)
    assert noise.slope == pytest.approx(3.0, rel=0.2)


def test_few_pixels_are_taken_for_normal_ones(rng):
    noise, scores = choose_noise(rng.standard_t(2, 30), np.zeros(30), seed=0)
    assert (noise.family, scores) == ("gaussian", {})


def test_what_cannot_be_is_refused_before_anything_is_trained():
    field = bp.make_field(wave(), t=T, x=X)
    for change, match in (({"noise": "logit"}, "logit noise"), ({"device": "abacus"}, "device")):
        with pytest.raises(ConfigError, match=match):
            bp.fit_field(field, options=bp.SmoothingConfig(**change))


def test_normal_noise_is_seldom_taken_for_another(rng):
    """Three standard errors and a hundredth of a nat: at most one false alarm in 60 is within chance."""
    means = [rng.uniform(0.2, 0.8, 1000) for _ in range(60)]
    found = [choose_noise(m + 0.05 * rng.standard_normal(1000), m, seed=k)[0].family for k, m in enumerate(means)]
    assert sum(family != "gaussian" for family in found) <= 1


def test_pixels_that_cannot_be_without_noise_are_not():
    noise = NoiseFamily("poisson", slope=1.0, counts=True).pixel_noise(np.array([0.0, 4.0, 4.0, 4.0, 400.0]), 2.0)
    variances = np.array([0.04, 4, 4, 4, 400])
    assert noise.scale == pytest.approx(np.sqrt(variances.mean()) / 2)
    np.testing.assert_allclose(noise.deviation, np.sqrt(variances / variances.mean()), rtol=1e-6)


@pytest.mark.parametrize(("family", "values"), [("logit", [0.2, 1.0]), ("cauchy", [0.0, 1.0])])
def test_a_family_that_the_values_cannot_have_is_refused(family, values):
    with pytest.raises(ConfigError, match="noise"):
        NoiseFamily.fit(family, np.array(values), np.array([0.5, 0.5]))


@pytest.mark.parametrize("change", [{"scale": 0.0}, {"freedom": -1.0}, {"deviation": np.array([1.0, 0.0])}])
def test_unusable_noise_of_pixels_is_refused(change):
    with pytest.raises(ConfigError):
        PixelNoise(**({"scale": 0.1} | change))


def wave():
    return np.sin(3 * X - 2 * T[:, None])


def spoilt(rng, share=0.05):
    """Normal noise of 0.1, and some pixels far out."""
    values = wave() + 0.1 * rng.standard_normal(wave().shape)
    bad = rng.random(values.shape) < share
    return np.where(bad, values + rng.choice([-5.0, 5.0], values.shape), values), bad


def test_a_robust_spline_is_as_good_as_one_that_never_saw_the_outliers(rng):
    values, bad = spoilt(rng)
    fields = [bp.make_field(v, t=T, x=X) for v in (values, np.where(bad, np.nan, values))]
    configs = (SplineConfig(noise="student_t"), SplineConfig(noise="gaussian"))
    robust, cleaned, plain = (
        np.sqrt(np.mean((fit_spline(f, config=c).evaluate((0, 0)) - wave()) ** 2))
        for f, c in ((fields[0], configs[0]), (fields[1], configs[1]), (fields[0], configs[1]))
    )
    assert robust < 1.3 * cleaned
    assert robust < 0.4 * plain


def test_a_robust_spline_of_normal_noise_is_the_spline(rng):
    field = bp.make_field(wave() + 0.1 * rng.standard_normal(wave().shape), t=T, x=X)
    fits = [fit_spline(field, config=SplineConfig(noise=n)) for n in ("student_t", "gaussian")]
    errors = [np.sqrt(np.mean((f.evaluate((0, 0)) - wave()) ** 2)) for f in fits]
    assert errors[0] < 1.15 * errors[1]
    assert fits[0].noise_scale == pytest.approx(fits[1].noise_scale, rel=0.05)


def test_outliers_are_found_and_do_not_spoil_the_field(rng):
    field = bp.make_field(spoilt(rng)[0], t=T, x=X)
    network = NetworkConfig(width=16, depth=2, batch=512, learning_rate=1e-2)
    smooth, plain = (
        bp.fit_field(field, options=bp.SmoothingConfig(networks=(network,), steps=400, weight=0.0, noise=n))
        for n in ("auto", "gaussian")
    )
    assert smooth.choice["noise"].startswith("student_t")
    assert smooth.spline_config.noise == "student_t"
    assert "noise student_t" in smooth.summary()
    errors = [np.sqrt(np.mean((s.evaluate((0, 0)) - wave()) ** 2)) for s in (smooth, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert plain.choice["noise"].startswith("gaussian")
    # What is written holds the noise as well.
    back = bp.SmoothField.from_dataset(smooth.to_dataset())
    assert back.network.fits[0].noise.freedom == smooth.network.fits[0].noise.freedom
    assert np.array_equal(back.spline.coefficients, smooth.spline.coefficients)


@pytest.mark.slow
def test_intervals_of_counts_follow_their_mean(rng):
    mean = np.exp(1.5 + 2.5 * np.exp(-((X - 0.6 * T[:, None]) ** 2) / 0.1))
    field = bp.make_field(rng.poisson(mean).astype(float), t=T, x=X)
    network = NetworkConfig(width=16, depth=2, batch=512, learning_rate=1e-2)
    smooth, plain, asked = (
        bp.fit_field(
            field, method="network", options=bp.SmoothingConfig(networks=(network,), steps=300, weight=0.0, noise=n)
        )
        for n in ("auto", "gaussian", "poisson")
    )
    assert smooth.choice["noise"] == asked.choice["noise"] == "poisson: counts"
    # The mean is the same, the intervals are not.
    assert np.array_equal(smooth.evaluate((0, 1)), plain.evaluate((0, 1)))
    points = np.column_stack([np.full(3, 0.5), np.array([-0.8, 0.3, 0.9])])
    sd, other = (s.at_points((0, 0), points)[1] for s in (smooth, plain))
    assert sd[0] < 0.8 * other[0]
    assert sd[1] > 1.2 * other[1]
    assert np.array_equal(asked.at_points((0, 0), points)[1], sd)
    back = bp.SmoothField.from_dataset(smooth.to_dataset())
    assert np.array_equal(back.at_points((0, 0), points)[1], sd)


@pytest.mark.parametrize("axes", [1, 2])
def test_displaced_frames_are_told_from_white_noise(axes, rng):
    coordinates = np.meshgrid(*[np.linspace(-1, 1, 40)] * axes, indexing="ij")
    shifts = 0.02 * rng.standard_normal((300, axes))

    def frame(shift):
        return np.tanh(sum((1 + k) * (c - s) for k, (c, s) in enumerate(zip(coordinates, shift, strict=True))) / 0.5)

    mean = np.stack([frame(np.zeros(axes))] * 300)
    slopes = [(1 - mean**2) * (1 + k) / 0.5 for k in range(axes)]
    shaken = np.stack([frame(s) for s in shifts])
    found = displacement(shaken, [mean, *slopes])
    assert found["share"] > 0.97
    white = 0.02 * rng.standard_normal(mean.shape)
    assert displacement(mean + white, [mean, *slopes])["share"] < 0.01
    assert 0.2 < displacement(shaken + white, [mean, *slopes])["share"] < 0.9
    if axes == 1:
        error = 5 / math.sqrt(2 * 300)
        assert found["scale"][0] == pytest.approx(0.02, rel=error + 0.02)
        # Missing pixels are left out.
        gappy = np.where(rng.random(shaken.shape) < 0.3, np.nan, shaken)
        assert displacement(gappy, [mean, *slopes])["share"] > 0.97
