"""Frames that jitter: detected, registered, and their jitter measured; and other noise that resembles it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import bayespde as bp
from bayespde.smooth.registration import is_displaced, register
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline

FRAMES, POINTS = 120, 96
T, X = np.linspace(0, 3, FRAMES), np.linspace(0, 10, POINTS)
READOUT = 0.02


def value(x):
    """A hump and a wave that drift and fade."""
    t = T[:, None]
    return np.exp(-((x - 3 - 0.8 * t) ** 2)) + 0.5 * np.exp(-0.2 * t) * np.sin(1.7 * x + t)


def jittered(seed, jitter=0.1, readout=READOUT):
    rng = np.random.default_rng([11, seed])
    moved = jitter * rng.standard_normal(FRAMES)
    shown = value(X + moved[:, None]) + readout * rng.standard_normal((FRAMES, POINTS))
    return bp.make_field(shown, t=T, x=X), moved


def registered(field):
    return register(field, config=SplineConfig(), spline=fit_spline(field))


def test_frames_are_registered_and_their_jitter_is_measured(seed):
    sizes = []
    for k in range(5):
        field, moved = jittered(5 * seed + k)
        assert is_displaced(field, fit_spline(field))
        found = registered(field)
        # Slow displacements cannot be distinguished from motion: consecutive frames are compared.
        steps = np.diff(found.displacements[:, 0]) - np.diff(moved)
        assert np.std(steps) < 0.2 * np.std(np.diff(moved))
        assert found.spline.noise_scale == pytest.approx(READOUT, rel=0.06)
        sizes.append(found.jitter[0])
    error = np.std(sizes, ddof=1) / np.sqrt(5)
    # Five draws determine their own scatter to a third.
    assert abs(np.mean(sizes) - 0.1) < 6 * error + 0.005


def test_the_field_is_not_blurred(seed):
    """Without registration, jitter d blurs the field by half the variance of d times its second derivative."""
    field, _ = jittered(seed, jitter=0.25)
    blurred, found = fit_spline(field), registered(field)
    clean, curvature = value(X), np.gradient(np.gradient(value(X), X, axis=1), X, axis=1)
    inside = (slice(5, -5), slice(8, -8))

    def share(spline):
        error = (spline.evaluate((0, 0)) - clean)[inside]
        return np.sum(error * curvature[inside]) / np.sum(curvature[inside] ** 2) / (0.25**2 / 2)

    assert share(blurred) > 0.7
    assert abs(share(found.spline)) < 0.25


def test_the_noise_of_pixels_is_unchanged():
    field, _ = jittered(3)
    found = registered(field)
    left = field.values - value(X + found.displacements)
    np.testing.assert_allclose((found.field.values - found.spline.evaluate((0, 0))).std(), left.std(), rtol=0.1)


def test_missing_pixels_stay_missing():
    field, moved = jittered(4)
    gone = np.random.default_rng(0).random(field.shape) < 0.2
    gappy = field.copy(data=np.where(gone, np.nan, field.values))
    assert is_displaced(gappy, fit_spline(gappy))
    found = registered(gappy)
    assert np.array_equal(np.isnan(found.field.values), gone)
    assert np.corrcoef(np.diff(found.displacements[:, 0]), np.diff(moved))[0, 1] > 0.95


def noise_of(kind, rng, clean):
    if kind == "white":
        return 0.1 * rng.standard_normal(clean.shape)
    if kind == "correlated":
        return 0.1 * gaussian_filter1d(rng.standard_normal(clean.shape), 2.0, axis=1) * 2.6
    if kind == "shot":
        return rng.poisson(30 * (clean + 0.7)) / 30 - clean - 0.7
    return np.zeros(clean.shape)


@pytest.mark.parametrize("kind", ["white", "correlated", "shot", "none"])
def test_other_noise_is_not_taken_for_jitter(seed, kind):
    clean = value(X)
    for k in range(5):
        rng = np.random.default_rng([12, seed, k])
        field = bp.make_field(clean + noise_of(kind, rng, clean), t=T, x=X)
        assert not is_displaced(field, fit_spline(field))


def test_a_spline_that_lags_behind_a_motion_is_not_jitter(rng):
    """The field oscillates; a spline without that motion leaves displacements that are correlated in time."""
    shown = value(X + 0.3 * np.sin(4 * T)[:, None]) + READOUT * rng.standard_normal((FRAMES, POINTS))
    field = bp.make_field(shown, t=T, x=X)
    stiff = fit_spline(bp.make_field(value(X), t=T, x=X))
    assert not is_displaced(field, stiff)


def test_planes_jitter_in_two_directions(seed):
    rng = np.random.default_rng([13, seed])
    y, x, t = np.linspace(0, 4, 30), np.linspace(0, 6, 40), np.linspace(0, 1, 40)
    moved = rng.standard_normal((40, 2)) * [0.05, 0.15]
    places = np.meshgrid(y, x, indexing="ij")
    frames = [
        np.sin(1.5 * (places[0] + d[0])) * np.cos(1.2 * (places[1] + d[1]) + s) for s, d in zip(t, moved, strict=True)
    ]
    field = bp.make_field(np.array(frames) + 0.02 * rng.standard_normal((40, 30, 40)), t=t, y=y, x=x)
    assert is_displaced(field, fit_spline(field))
    found = registered(field)
    for axis in range(2):
        assert np.corrcoef(np.diff(found.displacements[:, axis]), np.diff(moved[:, axis]))[0, 1] > 0.95
    # Forty frames: a standard deviation is known to a ninth.
    np.testing.assert_allclose(found.jitter, [0.05, 0.15], rtol=0.6)
