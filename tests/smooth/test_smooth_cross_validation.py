"""Blocks left out: the score against refitting without them, and noise that is correlated in space and time."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import bayespde as bp
from bayespde.core.errors import ConfigError, FieldError
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.network.hold_out import held_out_blocks
from bayespde.smooth.spline import fit as spline
from bayespde.smooth.spline.basis import AxisBasis, SplineConfig, apply_per_axis
from bayespde.smooth.spline.blocks import correlation_range, first_block, widened
from bayespde.smooth.spline.cross_validation import block_score, choose_weights, frame_score, pixel_score, shrinkage
from bayespde.smooth.spline.fit import fit_spline

WEIGHTS = ((1e-7, 1e-6), (1e-4, 1e-5), (1e-2, 1e-3))


def small(rng, shape=(13, 11)):
    config = SplineConfig(degree=5, penalty_order=2)
    bases = tuple(AxisBasis.build(np.linspace(0, 1, n), config) for n in shape)
    values = rng.standard_normal(shape)
    return bases, values, apply_per_axis([b.grid.T for b in bases], values), [b.penalty for b in bases]


def without(bases, values, penalties, weights, hidden):
    """The penalised least-squares fit to all pixels but some, by dense linear algebra."""
    design = np.einsum("ik,jl->ijkl", *(b.grid for b in bases)).reshape(values.size, -1)
    rough = np.add.outer(*(w * p for w, p in zip(weights, penalties, strict=True))).ravel()
    seen = design[~hidden.ravel()]
    return (design @ np.linalg.solve(seen.T @ seen + np.diag(rough), seen.T @ values[~hidden])).reshape(values.shape)


@pytest.mark.parametrize("half", [(0, 0), (1, 0), (2, 1)])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_score_of_blocks_is_that_of_fits_without_them(rng, half, weights, monkeypatch):
    import bayespde.smooth.spline.cross_validation as module

    monkeypatch.setattr(module, "CENTRES", 9)
    bases, values, data, penalties = small(rng)
    errors = []
    for centre in np.ndindex(3, 3):
        i, j = (
            np.round(np.linspace(h, n - 1 - h, 3)).astype(int)[c]
            for h, n, c in zip(half, (13, 11), centre, strict=True)
        )
        hidden = np.zeros(values.shape, dtype=bool)
        hidden[i - half[0] : i + half[0] + 1, j - half[1] : j + half[1] + 1] = True
        errors.append(values[i, j] - without(bases, values, penalties, weights, hidden)[i, j])
    score = block_score(values, bases, data, np.ones(values.shape, dtype=bool), half)
    assert score(shrinkage(weights, penalties)) == pytest.approx(np.log(np.mean(np.square(errors))), abs=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS[1:])
def test_the_score_of_frames_is_that_of_fits_without_one_in_the_mean(rng, weights):
    """It uses the mean leverage of a mode for that of a frame: nearly the same where all frames are alike."""
    bases, values, data, penalties = small(rng, (40, 9))
    rest = float(np.sum(values**2) - np.sum(data**2))
    errors = []
    for frame in range(40):
        hidden = np.zeros(values.shape, dtype=bool)
        hidden[frame] = True
        errors.append(values[frame] - without(bases, values, penalties, weights, hidden)[frame])
    wanted = np.log(np.sum(np.square(errors)))
    assert frame_score(values, bases, data, rest)(shrinkage(weights, penalties)) == pytest.approx(wanted, abs=0.25)


def test_the_chosen_weights_have_the_smallest_score(rng):
    _, values, data, penalties = small(rng)
    rest = float(np.sum(values**2) - np.sum(data**2))
    score = pixel_score(data**2, rest, share=1.0, observed=values.size)
    chosen = choose_weights(score, penalties, tolerance=0.02)
    best = score(shrinkage(chosen, penalties))
    grid = 10.0 ** np.arange(-9, 6, 0.5)
    assert best <= min(score(shrinkage((a, b), penalties)) for a in grid for b in grid) + 1e-3


def moving(values):
    t, x = np.linspace(0, 1, values.shape[0]), np.linspace(0, 1, values.shape[1])
    return xr.DataArray(values, dims=("time", "x"), coords={"time": t, "x": x}, name="u")


def truth(shape=(80, 100)):
    t, x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    return np.tanh((x - 0.3 - 0.4 * t) / 0.06) + 0.3 * np.sin(4 * np.pi * (x + t))


def correlated(rng, shape, width):
    noise = gaussian_filter(rng.standard_normal(shape), width, mode="wrap")
    return noise / noise.std()


@pytest.mark.parametrize("width", [(0.5, 0.5), (1.0, 1.0), (3.0, 0.0)])
def test_correlated_noise_is_not_followed(rng, width):
    """By pixels the spline follows it; by blocks its error is less than 60 % of that, for each kind of noise."""
    clean = truth()
    noisy = moving(clean + 0.1 * correlated(rng, clean.shape, width))
    errors = {}
    for unit in ("pixels", "auto"):
        fit = fit_spline(noisy, config=SplineConfig(hold_out=unit))
        errors[fit.hold_out] = np.sqrt(np.mean((fit.evaluate((0, 0)) - clean) ** 2))
    assert errors["blocks"] < 0.6 * errors["pixels"]
    assert fit.block[0] >= 2


def test_the_block_grows_along_the_axis_with_the_longer_correlation(rng):
    clean = truth()
    fit = fit_spline(moving(clean + 0.1 * correlated(rng, clean.shape, (3.0, 0.0))))
    assert fit.block[0] > fit.block[1] == 2


def test_pixels_are_left_out_where_noise_is_independent(rng):
    for size in (0.01, 0.1, 0.5):
        clean = truth()
        assert fit_spline(moving(clean + size * rng.standard_normal(clean.shape))).hold_out == "pixels"


def test_missing_pixels_are_not_centres(rng):
    clean = truth()
    values = clean + 0.1 * correlated(rng, clean.shape, 1.0)
    values[20:30, 40:60] = np.nan
    values[rng.random(values.shape) < 0.05] = np.nan
    fit = fit_spline(moving(values))
    assert fit.hold_out == "blocks"
    seen = ~np.isnan(values)
    assert np.sqrt(np.mean((fit.evaluate((0, 0)) - clean)[seen] ** 2)) < 0.06


def test_the_correlation_range_is_the_last_noticeable_lag(rng):
    noise = gaussian_filter(rng.standard_normal((200, 300)), (2.0, 0.0), mode="wrap")
    # Smoothed by a Gaussian of 2 the correlation at a lag of k is exp(-k^2 / 16): above .2 up to 5.
    assert correlation_range(noise) == (5, 0)
    assert correlation_range(np.zeros((20, 20))) == (0, 0)


def test_blocks_grow_to_the_largest_size():
    assert first_block((80, 100)) == (2, 2)
    assert first_block((80, 6)) == (2, 1)
    assert widened((2, 2), (2, 1), (80, 100)) == (2, 2)
    assert widened((2, 2), (3, 1), (80, 100)) == (4, 2)
    assert widened((8, 8), (10, 10), (80, 100)) == (8, 8)
    assert widened((2, 2), (10, 0), (10, 100)) == (2, 2)


def test_scored_pixels_are_far_from_trained_ones():
    shape, half = (30, 40), (2, 1)
    axes = [np.linspace(-1, 1, n) for n in shape]
    coordinates = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    reach = tuple((2 * h + 1) / (n - 1) for h, n in zip(half, shape, strict=True))
    drawn = held_out_blocks(coordinates, reach, share=0.2, seed=1)
    assert not (drawn.scored & drawn.around).any()
    assert 0.2 <= (drawn.scored | drawn.around).mean() < 0.3
    assert 0.02 < drawn.scored.mean() < 0.1
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 2)
    seen = index[~(drawn.scored | drawn.around)]
    for place in index[drawn.scored]:
        assert np.all(np.any(np.abs(seen - place) > half, axis=1))
    same, other = (held_out_blocks(coordinates, reach, share=0.2, seed=s) for s in (1, 2))
    np.testing.assert_array_equal(same.scored, drawn.scored)
    assert not np.array_equal(other.scored, drawn.scored)
    with pytest.raises(FieldError, match="whole field"):
        held_out_blocks(coordinates, (2.0, 2.0), share=0.2, seed=1)


@pytest.mark.parametrize(("kind", "unit"), [("white", "pixels"), ("frames", "frames"), ("correlated", "blocks")])
def test_the_unit_held_out_is_read_back_without_a_search(rng, monkeypatch, kind, unit):
    clean = truth()
    noise = {
        "white": rng.standard_normal(clean.shape),
        "frames": rng.standard_normal((80, 1)) + 0.1 * rng.standard_normal(clean.shape),
        "correlated": correlated(rng, clean.shape, 1.0),
    }[kind]
    given = bp.fit_field(moving(clean + 0.1 * noise), smoother="spline")
    assert given.spline.hold_out == unit

    def searched(*arguments):
        raise AssertionError("the search was repeated")

    for search in ("_has_correlated_noise", "_has_correlated_frames", "_with_blocks"):
        monkeypatch.setattr(spline, search, searched)
    back = from_dataset(to_dataset(given))
    assert np.array_equal(back.evaluate((0, 2)), given.evaluate((0, 2)))
    assert (back.spline.hold_out, back.spline.block) == (given.spline.hold_out, given.spline.block)
    assert back.spline_config == given.spline_config


@pytest.mark.parametrize("block", [(2,), (2, 40), (9, 10), (-1, 2)])
def test_blocks_that_do_not_fit_are_refused(rng, block):
    field = moving(truth() + 0.1 * rng.standard_normal((80, 100)))
    with pytest.raises(ConfigError, match="block"):
        fit_spline(field, config=SplineConfig(hold_out="blocks", block=block))


def test_networks_are_compared_on_held_out_blocks(rng):
    clean = truth((40, 50))
    noisy = moving(clean + 0.1 * correlated(rng, clean.shape, 1.0))
    options = bp.SmoothingConfig(smoother="auto", steps=5, weight=0.0)
    smooth = bp.fit_field(noisy, options=options, seed=1)
    assert smooth.choice.hold_out == smooth.spline.hold_out == "blocks"
    assert "held out: blocks" in smooth.summary()
    # Its error on blocks includes the noise; that of a spline that follows noise would be smaller.
    assert 0.08 < smooth.choice.held_out_rmse["spline"] < 0.3
    by_hand = bp.fit_field(noisy, options=replace(options, hold_out="blocks"), smoother="spline")
    assert by_hand.spline.block == smooth.spline.block
