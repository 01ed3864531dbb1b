"""Derivatives of a smooth field on its grid: names, units, dimensions, standard deviations, and single frames."""

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.smooth.differentiate import derivative_frames
from bayespde.smooth.fit import fit_field
from bayespde.smooth.network.config import NetworkConfig

T, X, Y = np.linspace(0, 2, 31), np.linspace(-2, 2, 45), np.linspace(0, 1, 9)
TINY = NetworkConfig(width=10, depth=2, batch=512, collocation=64, learning_rate=1e-2, check_every=25)
QUICK = bp.SmoothingConfig(networks=(TINY,), steps=75, weight=0.0)


@pytest.fixture
def noisy(rng):
    values = np.sin(1.5 * X - T[:, None]) + 0.1 * rng.standard_normal((31, 45))
    return bp.make_field(values, t=T, x=X, units={"u": "K", "time": "s", "x": "nm"})


def test_names_units_and_dimensions_of_derivatives(noisy):
    dataset = bp.differentiate(fit_field(noisy), space=3, time=2)
    names = ["u", "u_t", "u_tt", "u_x", "u_xx", "u_xxx"]
    assert list(dataset.data_vars) == [n + s for n in names for s in ("", "_sd")]
    units = {n: dataset[n].attrs["units"] for n in names}
    assert units["u"] == "K"
    assert {n: sorted(u.split()) for n, u in units.items() if n != "u"} == {
        "u_t": ["K", "s^-1"],
        "u_tt": ["K", "s^-2"],
        "u_x": ["K", "nm^-1"],
        "u_xx": ["K", "nm^-2"],
        "u_xxx": ["K", "nm^-3"],
    }
    assert all(v.dims == ("time", "x") and v.dtype == np.float64 for v in dataset.data_vars.values())
    assert dataset.attrs["smoother"] == "spline"


@pytest.mark.parametrize("smoother", ["spline", "network"])
def test_some_frames_are_those_of_the_points(noisy, smoother):
    smooth = fit_field(noisy, smoother=smoother, options=QUICK)
    some = derivative_frames(smooth, [3, 20])
    assert list(some.data_vars) == ["u", "u_t", "u_x", "u_xx"]
    assert some["u_xx"].attrs["units"] == "K nm^-2"
    np.testing.assert_array_equal(some["time"], T[[3, 20]])
    points = np.stack([np.repeat(T[[3, 20]], X.size), np.tile(X, 2)], axis=1)
    for name, orders in {"u": (0, 0), "u_t": (1, 0), "u_x": (0, 1), "u_xx": (0, 2)}.items():
        np.testing.assert_allclose(some[name].values.ravel(), smooth.at_points(orders, points)[0], rtol=1e-5, atol=1e-5)


def test_two_space_dimensions_have_mixed_derivatives():
    values = np.sin(X)[None, None, :] * np.cos(Y)[None, :, None] * np.exp(-T)[:, None, None]
    smooth = fit_field(bp.make_field(values, t=T, y=Y, x=X), smoother="spline")
    dataset = bp.differentiate(smooth)
    means = [n for n in dataset.data_vars if not n.endswith("_sd")]
    assert set(means) == {"u", "u_t", "u_x", "u_y", "u_xx", "u_xy", "u_yy"}
    wanted = -np.cos(X)[None, None, :] * np.sin(Y)[None, :, None] * np.exp(-T)[:, None, None]
    assert np.linalg.norm(dataset["u_xy"] - wanted) < 1e-2 * np.linalg.norm(wanted)
    assert np.linalg.norm(dataset["u_t"] + values) < 1e-3 * np.linalg.norm(values)
    assert dataset["u_xy"].dims == ("time", "y", "x")


def test_networks_have_standard_deviations_where_asked_for(noisy):
    smooth = fit_field(noisy, smoother="network", options=QUICK)
    dataset = bp.differentiate(smooth)
    assert set(dataset.data_vars) == {"u", "u_t", "u_x", "u_xx"}
    assert dataset.attrs["smoother"] == "network"
    assert np.array_equal(dataset["u_x"].values, smooth.evaluate((0, 1)))
    dataset = bp.differentiate(smooth, deviations=True)
    points = np.stack(np.meshgrid(T, X, indexing="ij"), axis=-1).reshape(-1, 2)[::50]
    for name, orders in (("u", (0, 0)), ("u_xx", (0, 2))):
        mean, sd = smooth.at_points(orders, points)
        np.testing.assert_allclose(dataset[name].values.ravel()[::50], mean, rtol=1e-9)
        np.testing.assert_allclose(dataset[f"{name}_sd"].values.ravel()[::50], sd, rtol=1e-6)


def test_missing_pixels_have_no_standard_deviation(noisy):
    noisy.values[4, 7] = np.nan
    dataset = bp.differentiate(fit_field(noisy))
    assert np.isnan(dataset["u_x_sd"].values[4, 7])
    assert np.isfinite(dataset["u_x"].values).all()
    assert np.isnan(dataset["u_x_sd"].values).sum() == 1


@pytest.mark.parametrize("orders", [{"space": -1}, {"space": 7}, {"time": -1}, {"time": 7}])
def test_orders_out_of_range_are_refused(noisy, orders):
    with pytest.raises(ConfigError, match="out of range"):
        bp.differentiate(fit_field(noisy), **orders)
