"""The kind of noise and its size, estimated from simulated residuals."""

import numpy as np
import pytest
from residual_noise import FRAMES, PLACES, SPACING, X, counts, filtered

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.noise.estimate import estimate_noise


def front(shift):
    return 1 / (1 + np.exp(-(X - 6 - shift[:, None]) / 0.8))


def smooth_front():
    position = 0.01 * np.arange(FRAMES)
    values = front(position)
    return values, values * (1 - values) / 0.8


def estimated(raw, values, slope, kind="auto", *, noise_scale=None, jitter=()):
    """The noise model by a smoothed field and its slope along x."""
    scale = float(np.nanstd(raw - values)) if noise_scale is None else noise_scale
    derivatives = {(0,) * raw.ndim: values, (0,) * (raw.ndim - 1) + (1,): slope}
    return estimate_noise(raw, derivatives.__getitem__, scale, kind=kind, jitter=jitter)


def test_white_noise_is_called_white(rng):
    values, slope = smooth_front()
    raw = values + 0.05 * rng.standard_normal(values.shape)
    raw[3, 4] = np.nan
    model = estimated(raw, values, slope, noise_scale=0.05)
    assert model.kind == "white"
    assert not model.jitter
    assert np.allclose(model.sd, 0.05)
    assert model.seen_share[3, 4] == pytest.approx(1 - 1 / 49)
    assert np.all(model.seen_share[10:] == 1)


@pytest.mark.parametrize("scale", 10.0 ** np.arange(-12, 7, 3))
def test_a_hole_has_noise_whatever_its_size_and_scale(rng, scale):
    values, slope = smooth_front()
    raw = scale * (values + 0.05 * rng.standard_normal(values.shape))
    for size in (7, 9, 15, 30):
        time, place = rng.integers(0, np.subtract(raw.shape, size))
        raw[time : time + size, place : place + size] = np.nan
    model = estimated(raw, scale * values, scale * slope, noise_scale=scale * 0.05)
    assert model.kind == "white"
    assert np.allclose(model.sd, scale * 0.05, rtol=1e-6)
    # A seventh is the smallest share that is recorded.
    assert np.all((model.seen_share >= 1 / 7) & (model.seen_share <= 1))


def test_missing_pixels_do_not_change_the_estimate_of_a_front(rng):
    values, slope = smooth_front()
    raw = values - 0.3 * rng.standard_normal(FRAMES)[:, None] * slope + 0.01 * rng.standard_normal(values.shape)
    raw[rng.random(raw.shape) < 0.25] = np.nan
    model = estimated(raw, values, slope)
    assert model.kind == "front_jitter"
    assert model.sd[~np.isnan(raw)].max() == pytest.approx(0.01, rel=6 / np.sqrt(2 * values.size))


def test_a_jittering_front_is_found_with_its_sizes(seed):
    values, slope = smooth_front()
    sizes = []
    for s in range(20):
        rng = np.random.default_rng([seed, s])
        jitter, walk = 0.3 * rng.standard_normal(FRAMES), 0.05 * np.cumsum(rng.standard_normal(FRAMES))
        raw = values - (jitter + walk)[:, None] * slope + 0.01 * rng.standard_normal(values.shape)
        # A smoother follows the walk, and not the jitter.
        followed = values - walk[:, None] * slope
        model = estimated(raw, followed, slope)
        assert model.kind == "front_jitter"
        assert model.sd.max() == pytest.approx(0.01, rel=5 / np.sqrt(2 * values.size))
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


def test_filtered_noise_on_a_field_with_a_net_step_is_no_front(rng):
    values, slope = smooth_front()
    noise, _ = filtered(rng, values.shape, np.ones(5))
    assert estimated(values + 0.05 * noise, values, slope).kind == "correlated"


def test_a_kind_that_is_asked_for_is_used(rng):
    values, slope = smooth_front()
    jittering = values - 0.3 * rng.standard_normal((FRAMES, 1)) * slope
    assert estimated(jittering, values, slope, "white").kind == "white"
    still = values + 0.01 * rng.standard_normal(values.shape)
    assert estimated(still, values, slope, "front_jitter").kind == "front_jitter"


def test_front_jitter_needs_a_front():
    values, slope = smooth_front()
    with pytest.raises(ConfigError, match="no front"):
        estimated(values, values, slope - slope.mean(axis=1, keepdims=True), "front_jitter")
    plane = np.stack([values] * 3, axis=1)
    with pytest.raises(ConfigError, match="one space dimension"):
        estimated(plane, plane, plane, "front_jitter")


def test_clean_data_and_planes_are_white():
    values, slope = smooth_front()
    assert estimated(values, values, slope).kind == "white"
    cube = np.stack([values] * 3, axis=1)
    assert estimated(cube + 0.1, cube, cube, noise_scale=0.1).kind == "white"


def test_registered_frames_leave_the_noise_of_their_pixels_and_a_jitter(rng):
    """The field may have any shape then: the displacements are known."""
    wave, slope = np.sin(X + 0.02 * np.arange(FRAMES)[:, None]), np.cos(X + 0.02 * np.arange(FRAMES)[:, None])
    raw = wave + 0.05 * rng.standard_normal(wave.shape)
    model = estimated(raw, wave, slope, noise_scale=0.05, jitter=(0.3,))
    assert (model.kind, model.jitter, model.walk) == ("frame_jitter", (0.3,), 0.0)
    assert np.allclose(model.sd, 0.05)


def test_shot_noise_is_told_from_white_noise(rng):
    raw, clean = counts(rng, 50.0)
    slope = np.gradient(clean, SPACING, axis=1)
    model = estimated(raw, clean, slope, noise_scale=float((raw - clean).std()))
    assert model.kind == "shot"
    assert np.sqrt(np.mean(model.sd**2)) == pytest.approx(float((raw - clean).std()))
    white = clean + 0.1 * rng.standard_normal(clean.shape)
    assert estimated(white, clean, slope, noise_scale=0.1).kind == "white"
    assert estimated(raw, clean, slope, "white", noise_scale=0.1).kind == "white"


def test_small_residuals_that_are_mostly_bias_do_not_count_as_noise(rng):
    clean, slope = smooth_front()
    bias = 0.01 * np.sin(0.2 * np.arange(FRAMES))[:, None] * (-1.0) ** np.arange(PLACES)
    raw = clean + 0.002 * rng.standard_normal(clean.shape)
    model = estimated(raw, clean + bias, slope)
    assert model.kind == "white"
    assert model.sd.max() == pytest.approx(0.002, rel=0.05)
    assert estimated(clean, clean + bias, slope).sd.max() < 1e-4
    # Residuals that are large count as noise, whatever their correlation.
    assert estimated(raw, clean + 10 * bias, slope).sd.max() > 0.05


def test_independent_pixels_are_not_called_correlated(rng):
    values, slope = smooth_front()
    assert estimated(values + 0.05 * rng.standard_normal(values.shape), values, slope, "correlated").kind == "white"


def test_noise_may_be_correlated_and_grow_with_the_value(rng):
    clean = 0.7 + 0.5 * np.sin(X) * np.cos(0.1 * np.arange(FRAMES))[:, None]
    noise, _ = filtered(rng, clean.shape, np.array([0.5, 1.0, 0.5]))
    slope = np.gradient(clean, SPACING, axis=1)
    model = estimated(clean + 0.1 * np.sqrt(clean) * noise, clean, slope, noise_scale=0.08)
    assert model.kind == "correlated"
    assert model.sd**2 == pytest.approx(0.01 * clean, rel=0.25)
    assert "correlated shot noise" in str(model)


def test_the_spline_and_its_residuals_are_enough(rng):
    """The whole way from a raw field: the noise of a smoothed field is that which was added."""
    values, _ = smooth_front()
    field = bp.make_field(values + 0.05 * rng.standard_normal(values.shape), t=np.arange(FRAMES), x=X)
    spline = bp.fit_field(field, smoother="spline").spline
    model = estimate_noise(field.values, spline.evaluate, spline.noise_scale, kind="auto")
    assert model.kind == "white"
    assert model.rms == pytest.approx(0.05, rel=0.05)
