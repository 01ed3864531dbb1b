"""Scores of forecasts against closed forms."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.results.forecast_verification import format_scores

TIMES, X = np.linspace(2.0, 3.0, 5), np.linspace(0, 10, 101)


def forecast(frames, *, noise=0.0, boundary="periodic"):
    """Frames `[draws, time, x]` as `forecast` gives them."""
    u = xr.DataArray(
        frames,
        dims=("draw", "time", "x"),
        coords={"draw": np.arange(len(frames)), "time": TIMES, "x": X},
        attrs={"units": "K"},
    )
    attrs = {"field": "u", "noise_scale": noise, "boundary": boundary, "initial_time": 1.5, "fraction_diverged": 0.0}
    return xr.Dataset({"u": u}, attrs=attrs)


def frames(values, times=TIMES):
    return xr.DataArray(values, dims=("time", "x"), coords={"time": times, "x": X}, name="u")


def gaussian(mean, sd, y):
    """Continuous ranked probability score of a normal distribution."""
    z = (y - mean) / sd
    return sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_scores_of_normal_draws_are_those_of_the_normal_distribution(rng):
    mean, sd = np.sin(X), 0.3
    draws = mean + sd * rng.standard_normal((400, len(TIMES), len(X)))
    truth = mean + sd * rng.standard_normal((len(TIMES), len(X)))
    scores = bp.verify_forecast(forecast(draws), frames(truth))
    # errors of a mean over 101 pixels, and of 400 draws
    np.testing.assert_allclose(scores["rmse"], np.sqrt(((truth - mean) ** 2).mean(axis=1)), atol=5 * sd / 20 / 10)
    np.testing.assert_allclose(scores["crps"], gaussian(mean, sd, truth).mean(axis=1), atol=5 * sd / 20 / 10)
    assert np.all(np.abs(scores["coverage"] - 0.9) < 5 * np.sqrt(0.09 / len(X)))
    np.testing.assert_allclose(scores["width"], 2 * 1.645 * sd, rtol=0.05)
    assert scores["draws"].values.tolist() == [400] * len(TIMES)


def test_few_draws_do_not_bias_the_score(rng):
    """The mean over many sets of three draws is the score of the distribution."""
    y = np.full(len(X), 0.4)
    found = [
        float(
            bp.verify_forecast(forecast(rng.standard_normal((3, 5, len(X)))), frames(np.tile(y, (5, 1))))["crps"].mean()
        )
        for _ in range(60)
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - gaussian(0, 1, 0.4)) < 5 * error


@pytest.mark.parametrize("count", [20, 50])
def test_bands_of_few_draws_have_their_nominal_coverage(count, rng):
    """What is drawn like them is inside with the probability of the band: 5 000 pixels."""
    times = np.arange(50.0)
    draws = xr.DataArray(
        rng.standard_normal((count, 50, len(X))), dims=("draw", "time", "x"), coords={"time": times, "x": X}
    )
    ahead = xr.Dataset(
        {"u": draws}, attrs={"field": "u", "noise_scale": 0.0, "boundary": "dirichlet", "initial_time": 0.0}
    )
    scores = bp.verify_forecast(ahead, frames(rng.standard_normal((50, len(X))), times))
    assert abs(float(scores["coverage"].mean()) - 0.9) < 5 * np.sqrt(0.09 / 5050) + 0.002


def test_bands_include_the_noise_of_pixels(rng):
    draws = np.tile(np.sin(X), (300, len(TIMES), 1))
    truth = np.sin(X) + 0.2 * rng.standard_normal((len(TIMES), len(X)))
    noisy = bp.verify_forecast(forecast(draws, noise=0.2), frames(truth))
    bare = bp.verify_forecast(forecast(draws, noise=0.2), frames(truth), is_noisy=False)
    assert np.all(np.abs(noisy["coverage"] - 0.9) < 5 * np.sqrt(0.09 / len(X)))
    assert float(bare["coverage"].max()) == 0
    assert bool((bare["rmse"] == noisy["rmse"]).all())


def test_draws_that_diverged_and_missing_pixels_are_left_out():
    draws = np.tile(np.sin(X), (4, len(TIMES), 1))
    draws[1, 3:] = np.nan
    truth = np.tile(np.sin(X), (len(TIMES), 1)) + 0.1
    truth[:, :50] = np.nan
    scores = bp.verify_forecast(forecast(draws), frames(truth))
    assert scores["draws"].values.tolist() == [4, 4, 4, 3, 3]
    np.testing.assert_allclose(scores["rmse"], 0.1)
    draws[:, 4] = np.nan
    scores = bp.verify_forecast(forecast(draws), frames(truth))
    assert np.isnan(scores["rmse"][4])
    assert "until 2.75, when the last draw diverged: forecast 0.1;" in format_scores(scores)
    film = bp.figures.plot_forecast(forecast(draws))
    assert sum(bool(a.get_title()) for a in film.axes) == 4
    with pytest.raises(ConfigError, match="no frame to draw"):
        bp.figures.plot_forecast(forecast(np.full_like(draws, np.nan)))


def test_a_travelling_wave_is_forecast_by_constant_velocity():
    def at(t):
        return np.exp(-((X - 3 - 0.8 * t) ** 2))

    clock = np.linspace(0, 1.5, 61)
    before = frames(np.array([at(t) for t in clock]), clock)
    truth = frames(np.array([at(t) for t in TIMES]))
    scores = bp.verify_forecast(forecast(truth.values[None], boundary="dirichlet"), truth, before=before)
    wanted = [np.sqrt(np.mean((at(1.5) - at(t)) ** 2)) for t in TIMES]
    np.testing.assert_allclose(scores["persistence"], wanted, rtol=1e-12)
    assert np.all(scores["constant_velocity"] < 0.1 * scores["persistence"])
    np.testing.assert_allclose(scores["horizon"], TIMES - 1.5)
    assert "forecast 0, persistence" in format_scores(scores)


def test_fronts_are_found_between_pixels():
    speed, width = 0.37, 0.5
    places = 4 + speed * TIMES
    values = np.tanh((X - places[:, None]) / width)
    found = bp.track_front(frames(values))
    np.testing.assert_allclose(found, places, atol=2e-3)
    assert np.isnan(bp.track_front(frames(values), level=2.0)).all()
    gaps = values.copy()
    gaps[:, 5:9] = np.nan
    np.testing.assert_allclose(bp.track_front(frames(gaps)), places, atol=2e-3)
    plane = xr.concat([frames(values), frames(np.tanh((X - 1 - places[:, None]) / width))], dim="y")
    np.testing.assert_allclose(bp.track_front(plane).isel(y=1), places + 1, atol=2e-3)


def test_scores_of_a_front(rng):
    shift = 0.2 * rng.standard_normal((500, 1, 1))
    places = (4 + 0.3 * TIMES)[:, None]
    draws = np.tanh((X - places - shift) / 0.5)
    truth = frames(np.tanh((X - places - 0.1) / 0.5))
    scores = bp.verify_front_position(forecast(draws), truth, crossing=0.0)
    np.testing.assert_allclose(scores["observed"], places[:, 0] + 0.1, atol=2e-3)
    np.testing.assert_allclose(scores["forecast"], places[:, 0], atol=5 * 0.2 / np.sqrt(500) + 2e-3)
    np.testing.assert_allclose(scores["upper"] - scores["lower"], 2 * 1.645 * 0.2, rtol=0.2)
    assert bool((scores["coverage"] == 1).all())
    assert bool(
        (bp.verify_front_position(forecast(draws), truth + 0 * truth, level=0.1, crossing=0.0)["coverage"] == 0).all()
    )


def test_other_frames_are_refused():
    draws = forecast(np.zeros((2, len(TIMES), len(X))))
    other = frames(np.zeros((len(TIMES), len(X))), TIMES + 0.01)
    with pytest.raises(ConfigError, match="not at the times and places"):
        bp.verify_forecast(draws, other)
    with pytest.raises(ConfigError, match="not at the times and places"):
        bp.verify_forecast(draws, frames(np.zeros((len(TIMES), len(X)))).isel(x=slice(50)))
    moved = frames(np.zeros((len(TIMES), len(X)))).assign_coords(x=X + 3)
    with pytest.raises(ConfigError, match="not at the times and places"):
        bp.verify_forecast(draws, moved)
    with pytest.raises(ConfigError, match="another grid"):
        bp.verify_forecast(draws, frames(np.zeros((len(TIMES), len(X)))), before=moved)
    right = frames(np.zeros((len(TIMES), len(X))))
    with pytest.raises(ConfigError, match="level"):
        bp.verify_forecast(draws, right, level=1.0)
    with pytest.raises(ConfigError, match="velocity"):
        bp.verify_forecast(draws, right, before=right.isel(time=slice(1)))
