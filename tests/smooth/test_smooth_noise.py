"""Noise that is not Gaussian, through spline and networks: outliers, counts, and what cannot be."""

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline

T, X = np.linspace(0, 1, 61), np.linspace(-1, 1, 101)


def test_impossible_noise_and_devices_are_refused_before_training():
    field = bp.make_field(wave(), t=T, x=X)
    for change, match in (({"noise": "logit"}, "logit noise"), ({"device": "abacus"}, "device")):
        with pytest.raises(ConfigError, match=match):
            bp.fit_field(field, options=bp.SmoothingConfig(**change))


def wave():
    return np.sin(3 * X - 2 * T[:, None])


def spoilt(rng, share=0.05):
    """Normal noise of 0.1, and some outliers."""
    values = wave() + 0.1 * rng.standard_normal(wave().shape)
    bad = rng.random(values.shape) < share
    return np.where(bad, values + rng.choice([-5.0, 5.0], values.shape), values), bad


def test_a_robust_spline_is_as_good_as_one_without_the_outliers(rng):
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
        bp.fit_field(
            field,
            options=bp.SmoothingConfig(
                smoother="auto", networks=(network,), steps=400, weight=0.0, noise=n, uncertainty=False
            ),
        )
        for n in ("auto", "gaussian")
    )
    assert smooth.choice.noise.startswith("student_t")
    assert smooth.spline_config.noise == "student_t"
    assert "noise student_t" in smooth.summary()
    errors = [np.sqrt(np.mean((s.evaluate((0, 0)) - wave()) ** 2)) for s in (smooth, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert plain.choice.noise.startswith("gaussian")
    # The noise is written as well.
    back = from_dataset(to_dataset(smooth))
    assert back.network.ensemble.fits[0].noise.freedom == smooth.network.ensemble.fits[0].noise.freedom
    assert np.array_equal(back.spline.coefficients, smooth.spline.coefficients)


@pytest.mark.slow
def test_intervals_of_counts_follow_their_mean(rng):
    mean = np.exp(1.5 + 2.5 * np.exp(-((X - 0.6 * T[:, None]) ** 2) / 0.1))
    field = bp.make_field(rng.poisson(mean).astype(float), t=T, x=X)
    network = NetworkConfig(width=16, depth=2, batch=512, learning_rate=1e-2)
    smooth, plain, asked = (
        bp.fit_field(
            field, smoother="network", options=bp.SmoothingConfig(networks=(network,), steps=300, weight=0.0, noise=n)
        )
        for n in ("auto", "gaussian", "poisson")
    )
    assert smooth.choice.noise == asked.choice.noise == "poisson: counts"
    # The mean is the same, the intervals are not.
    assert np.array_equal(smooth.evaluate((0, 1)), plain.evaluate((0, 1)))
    points = np.column_stack([np.full(3, 0.5), np.array([-0.8, 0.3, 0.9])])
    sd, other = (s.at_points((0, 0), points)[1] for s in (smooth, plain))
    assert sd[0] < 0.8 * other[0]
    assert sd[1] > 1.2 * other[1]
    assert np.array_equal(asked.at_points((0, 0), points)[1], sd)
    back = from_dataset(to_dataset(smooth))
    assert np.array_equal(back.at_points((0, 0), points)[1], sd)
