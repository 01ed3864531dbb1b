"""Scattered samples: drifted videos, random places, parts of videos on disk; against the fields they come from."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import BayespdeError, FieldError
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.fit import observe
from bayespde.smooth.network.config import NetworkConfig

T, Y, X = np.linspace(0, 2, 21), np.linspace(0, 3, 25), np.linspace(-2, 2, 31)
NETWORK = NetworkConfig(width=16, depth=3, batch=512, collocation=64, learning_rate=1e-2, check_every=50, members=1)
QUICK = bp.SmoothingConfig(networks=(NETWORK,), steps=400, weight=0.0)

ROW = np.arange(200.0)
YEARS = np.arange("2020", "2040", dtype="M8[Y]")


def truth(t, x):
    return np.tanh(2 * (x - 0.5 * t)) + 0.3 * t


def slope(t, x):
    return 2 * (1 - np.tanh(2 * (x - 0.5 * t)) ** 2)


@pytest.fixture
def scattered(rng):
    t, x = rng.uniform(0, 2, 3000), rng.uniform(-2, 2, 3000)
    values = truth(t, x) + 0.05 * rng.standard_normal(3000)
    return bp.make_scattered(values, t=t, x=x, units={"u": "K", "x": "nm", "time": "s"})


@pytest.mark.parametrize("smoother", ["spline", "network"])
def test_a_field_is_found_from_random_samples(scattered, rng, smoother):
    smooth = bp.fit_field(scattered, options=QUICK, smoother=smoother, seed=0)
    t, x = rng.uniform(0.1, 1.9, 500), rng.uniform(-1.8, 1.8, 500)
    points = np.column_stack([t, x])
    for orders, exact, bound in (((0, 0), truth(t, x), 0.03), ((0, 1), slope(t, x), 0.12)):
        mean, sd = smooth.at_points(orders, points)
        assert np.linalg.norm(mean - exact) < bound * np.linalg.norm(exact)
        assert np.all(sd > 0)
    assert smooth.noise_scale == pytest.approx(0.05, rel=0.1)
    assert smooth.field.attrs["units"] == "K"
    assert smooth.field["x"].attrs["units"] == "nm"
    assert bp.differentiate(smooth)["u_x"].attrs["units"] in ("K nm^-1", "nm^-1 K")


def test_values_are_moved_to_the_nodes(rng):
    """Without noise the nodes have the values of the field, not means over their neighbourhood."""
    t, x = rng.uniform(0, 2, 6000), rng.uniform(-2, 2, 6000)
    data = observe(bp.make_scattered(truth(t, x), t=t, x=x))
    exact = truth(data.field.time.values[:, None], data.field.x.values)
    plain = np.abs(_binned(data, truth(t, x)) - exact)
    moved = np.abs(data.field.values - exact)
    inner = np.isfinite(exact + plain + moved)
    assert np.sqrt(np.mean(moved[inner] ** 2)) < 0.15 * np.sqrt(np.mean(plain[inner] ** 2))


def _binned(data, values):
    sums, counts = (np.bincount(data.nodes, weights=w, minlength=data.field.size) for w in (values, values * 0 + 1))
    with np.errstate(invalid="ignore"):
        return (sums / counts).reshape(data.field.shape)


def test_a_drift_is_undone_by_coordinates(rng):
    """A video whose frames drift by ten pixels: the field in the frame of the sample, nothing resampled."""
    drift = 0.8 * np.sin(np.linspace(0, 5, len(T)))
    values = truth(T[:, None], X + drift[:, None]) + 0.05 * rng.standard_normal((len(T), len(X)))
    video = bp.make_field(values, t=T, x=X)
    samples = bp.scattered_from_video(video, shift={"x": drift})
    assert samples.size == video.size
    np.testing.assert_allclose(samples["x"].values.reshape(values.shape), X + drift[:, None])
    np.testing.assert_array_equal(samples.values.reshape(values.shape), values)
    t, x = rng.uniform(0.1, 1.9, 400), rng.uniform(-1, 1, 400)
    points, exact = np.column_stack([t, x]), truth(t, x)
    errors = [
        np.linalg.norm(bp.fit_field(given, options=QUICK, smoother=name, seed=0).at_points((0, 0), points)[0] - exact)
        for given in (samples, video)
        for name in ("spline", "network")
    ]
    assert max(errors[:2]) < 0.04 * np.linalg.norm(exact) < 0.2 * min(errors[2:])


def test_times_of_frames_stay_an_axis_and_gaps_are_few(rng):
    drift = 0.1 * rng.standard_normal(len(T))
    values = rng.standard_normal((len(T), len(Y), len(X)))
    video = bp.make_field(values, t=T, y=Y, x=X)
    data = observe(bp.scattered_from_video(video, shift={"x": drift, "y": -drift}))
    np.testing.assert_allclose(data.field.time, T)
    assert np.isnan(data.field.values).mean() <= 0.1
    assert data.field.size > 0.3 * video.size
    # Without a drift the grid is that of the video.
    again = observe(bp.scattered_from_video(video))
    np.testing.assert_allclose(again.field.values, video.values, atol=1e-12)


@pytest.mark.slow
def test_sparse_pixels_of_a_drifting_video_make_every_axis_coarser(rng):
    """A tenth of the pixels: the grid of the video cannot be filled, nor by making only the drifting axis coarser."""
    t, y, x = (np.arange(n, dtype=float) for n in (40, 30, 30))
    video = xr.DataArray(rng.standard_normal((40, 30, 30)), dims=("time", "y", "x"), coords={"time": t, "y": y, "x": x})
    samples = bp.scattered_from_video(video, shift={"x": 3 * np.sin(t)}, count=4000)
    data = observe(samples)
    assert np.isnan(data.field.values).mean() <= 0.1
    assert min(data.field.shape) >= 8
    smooth = bp.fit_field(samples, smoother="spline")
    assert 0 <= data.left_out < 0.3
    assert f"{data.samples.size} samples" in smooth.summary()


def test_hidden_samples_are_predicted_without_them(scattered):
    data = observe(scattered)
    mask = np.zeros(scattered.size, dtype=bool)
    mask[::10] = True
    smooth = bp.fit_field(scattered, smoother="spline")
    found = data.held_out_residual(smooth.spline, smooth.spline_config, mask)
    rest = bp.fit_field(scattered[~mask], smoother="spline")
    points = np.column_stack([scattered[d].values[mask] for d in ("time", "x")])
    wanted = scattered.values[mask] - rest.at_points((0, 0), points)[0]
    # Two grids, and one pilot spline that had seen them: the same to a part of the noise.
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.4 * 0.05
    assert np.sqrt(np.mean(found**2)) == pytest.approx(0.05, rel=0.25)


def test_a_part_of_a_video_on_disk_is_read_frame_by_frame(tmp_path, rng):
    clean = truth(T[:, None, None], X) + 0 * Y[:, None]
    noisy = (clean + 0.05 * rng.standard_normal(clean.shape)).astype(np.float32)
    file = np.memmap(tmp_path / "video.raw", dtype=np.float32, mode="w+", shape=noisy.shape)
    file[:] = noisy
    file.flush()
    mapped = np.memmap(tmp_path / "video.raw", dtype=np.float32, mode="r", shape=noisy.shape)
    video = xr.DataArray(mapped, dims=("time", "y", "x"), coords={"time": T, "y": Y, "x": X}, name="u")
    samples = bp.scattered_from_video(video, count=8000, seed=1)
    assert abs(samples.size - 8000) <= len(T)
    assert np.array_equal(samples.values, bp.scattered_from_video(video, count=8000, seed=1).values)
    index = [np.searchsorted(a, samples[d].values) for d, a in (("time", T), ("y", Y), ("x", X))]
    assert np.array_equal(samples.values, noisy[tuple(index)].astype(float))
    smooth = bp.fit_field(samples, smoother="spline")
    found = smooth.evaluate((0, 0, 0))
    wanted = truth(smooth.field.time.values[:, None, None], smooth.field.x.values) + 0 * found
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)


@pytest.mark.parametrize("drifts", [False, True])
def test_a_file_gives_back_the_samples(tmp_path, rng, scattered, drifts):
    if drifts:
        values = truth(T[:, None], X) + 0.05 * rng.standard_normal((len(T), len(X)))
        scattered = bp.scattered_from_video(bp.make_field(values, t=T, x=X), shift={"x": 0.6 * np.sin(3 * T)})
    given = bp.fit_field(scattered, options=replace(QUICK, steps=50, uncertainty=False), smoother="network")
    to_dataset(given).to_netcdf(tmp_path / "smooth.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "smooth.nc", engine="h5netcdf") as dataset:
        back = from_dataset(dataset.load())
    assert back.data.samples.identical(given.data.samples)
    assert back.field.identical(given.field)
    assert np.array_equal(back.evaluate((0, 1)), given.evaluate((0, 1)))
    assert np.array_equal(back.spline.evaluate((0, 1)), given.spline.evaluate((0, 1)))
    assert (back.noise_scale, back.summary()) == (given.noise_scale, given.summary())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bp.make_scattered(np.ones(200), t=np.arange(200), x=np.arange(199)), "differ in length"),
        (lambda: bp.make_scattered(np.arange(20), t=np.arange(20), x=np.arange(20)), "too few"),
        (lambda: bp.make_scattered(np.arange(200), t=np.ones(200), x=np.arange(200)), "do not vary"),
        (lambda: bp.make_scattered(np.ones(200), t=np.arange(200), x=np.arange(200)), "do not vary"),
        (lambda: bp.make_scattered(ROW, t=np.append(np.arange(199), np.inf), x=ROW), "not finite"),
        (lambda: bp.make_scattered(np.arange(200) * 1j, t=np.arange(200), x=np.arange(200)), "real numbers"),
        (lambda: bp.fit_field(xr.DataArray(np.zeros(200), dims="sample")), "not scattered data"),
        # All on one line in space and time: no grid of two dimensions.
        (lambda: bp.fit_field(bp.make_scattered(np.sin(ROW), t=ROW**1.5, x=ROW**1.5)), "fill no grid"),
        (lambda: bp.scattered_from_video(xr.DataArray(np.zeros((9, 9)), dims=("x", "time"))), "cannot be converted"),
        (lambda: bp.scattered_from_video(_small(), shift={"x": [1.0]}), "shift does not fit"),
        (lambda: bp.scattered_from_video(_small(), shift={"q": np.zeros(20)}), "shift does not fit"),
        (lambda: bp.scattered_from_video(_small(), count=5, seed=0), "too few"),
        (lambda: bp.scattered_from_video(_small(), seed=-1), "seed"),
        (lambda: bp.scattered_from_video(_small(), count=-5), "at least 1"),
        (lambda: bp.scattered_from_video(np.zeros((20, 9))), "must be an xarray.DataArray"),
        (lambda: bp.scattered_from_video(_small().assign_coords(time=YEARS)), "plain numbers"),
        (lambda: bp.make_scattered(np.sin(ROW), t=ROW, x=ROW, z=ROW), "not scattered data"),
        (lambda: bp.make_scattered(np.sin(ROW), t=ROW, x=ROW, units={"v": "K"}), "unknown names"),
        (lambda: bp.make_scattered([[1.0], [2.0, 3.0]], t=ROW, x=ROW), "not an array"),
    ],
)  # fmt: skip
def test_samples_that_cannot_be_used_are_refused(call, message):
    with pytest.raises(BayespdeError, match=message):
        call()


def _small():
    return bp.make_field(np.random.default_rng(0).standard_normal((20, 9)), t=np.arange(20), x=np.arange(9))


def test_missing_pixels_are_not_samples(rng):
    values = truth(T[:, None], X) + 0.05 * rng.standard_normal((len(T), len(X)))
    values[3, 5:9] = np.nan
    samples = bp.scattered_from_video(bp.make_field(values, t=T, x=X))
    assert samples.size == values.size - 4
    with pytest.raises(FieldError):
        bp.fit_field("movie.tif")
