"""A trajectory that is read from a file equals the one that was fitted bit for bit, and so do its draws."""

from dataclasses import fields

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError, FileError
from bayespde.core.noise import NoiseModel
from bayespde.forecasting.ensemble import ensemble_from_trajectories
from bayespde.forecasting.propagate import propagate
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory
from bayespde.trajectory.trajectory import Trajectory

X, T = 2 * np.pi * np.arange(32) / 32, np.linspace(0, 1, 25)
LIBRARY = bp.Library.from_strings({"u": 1.0, "u_x": 1.0, "u_xx": 2.0, "u*u_x": 1.5})
UNITS = {"u": "mV", "time": "s", "x": "nm"}


def line(kind):
    """Moving waves in one dimension: plain, displaced frames with gaps, or a window; the equation has complexities."""
    rng = np.random.default_rng(0)
    clean = sum(
        a * np.exp(-0.2 * k**2 * T[:, None]) * np.sin(k * (X - 0.7 * T[:, None])) for k, a in ((1, 1), (2, 0.7))
    )
    values = clean + 0.1 * rng.standard_normal(clean.shape)
    noise, draws, config = NoiseModel(0.1), None, TrajectoryConfig()
    if kind == "frames":
        values[3, 5:7] = np.nan
        noise, draws = NoiseModel(0.1, jitter=(0.2,)), clean[0] + 0.1 * rng.standard_normal((20, 32))
    if kind == "window":
        config = TrajectoryConfig(padding=0.5, iterations=5)
    field = bp.make_field(values, t=T, x=X, units=UNITS)
    first = field.isel(time=0, drop=True).copy(data=clean[0])
    equation = bp.Equation.from_library(LIBRARY, np.array([0.0, -0.7, 0.2, 0.0]))
    return fit_trajectory(equation, TrajectoryData(field, noise, first, draws), config=config)


def plane():
    rng = np.random.default_rng(1)
    t, y, x = np.linspace(0, 1, 10), np.arange(12) / 2, np.arange(14) * 3 / 7
    times, ys, xs = np.meshgrid(t, y, x, indexing="ij")
    k = 2 * np.pi / 6
    clean = np.exp(-0.5 * k**2 * times) * np.sin(k * xs) * np.cos(2 * k * ys) + np.exp(-0.1 * k**2 * times) * np.cos(
        k * xs
    )
    field = bp.make_field(clean + 0.05 * rng.standard_normal(clean.shape), t=t, y=y, x=x, name="phi")
    data = TrajectoryData(field, NoiseModel(0.05), field.isel(time=0, drop=True).copy(data=clean[0]))
    return fit_trajectory(bp.Equation.from_string("phi_t = 0.1*phi_xx + 0.1*phi_yy", variable="phi"), data)


@pytest.fixture(scope="module", params=["line", "frames", "window", "plane"])
def pair(request, tmp_path_factory):
    """A trajectory, and the same from a netCDF file."""
    fitted = plane() if request.param == "plane" else line(request.param)
    file = tmp_path_factory.mktemp("trajectory") / "trajectory.nc"
    fitted.to_dataset().to_netcdf(file, engine="h5netcdf")
    with xr.open_dataset(file, engine="h5netcdf", decode_times=False) as dataset:
        return fitted, Trajectory.from_dataset(dataset.load())


def test_every_part_is_equal(pair):
    fitted, read = pair
    assert read.mode is None
    for name in {f.name for f in fields(Trajectory)} - {"mode", "state", "start", "fitted", "displacements"}:
        assert getattr(read, name) == getattr(fitted, name), name
    assert read.time == fitted.time
    xr.testing.assert_identical(read.fitted, fitted.fitted)
    xr.testing.assert_identical(read.start, fitted.start)
    assert read.fitted["time"].attrs == fitted.fitted["time"].attrs
    np.testing.assert_array_equal(read.displacements, fitted.displacements)
    np.testing.assert_array_equal(read.sd, fitted.sd)
    assert read.state.shape == fitted.state.shape
    for name in ("parameters", "scale", "covariance", "precision", "modes"):
        np.testing.assert_array_equal(getattr(read.state, name), getattr(fitted.state, name))


@pytest.mark.parametrize("draws", [1, 2, 33])
def test_draws_are_equal(pair, draws):
    drawn = [one.state.draw(draws, np.random.default_rng(7)) for one in pair]
    for first, second in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first, second)


def test_forecasts_are_equal(pair):
    fitted, read = pair
    terms = fitted.equation.terms
    library = bp.Library(terms, fitted.equation.target, fitted.equation.variable)
    times = fitted.fitted["time"].values[-1] + np.array([0.1, 0.2])
    found = [
        propagate(ensemble_from_trajectories([one], np.ones(1), library, 5, np.random.default_rng(3)), times)
        for one in (fitted, read)
    ]
    np.testing.assert_array_equal(found[0].frames, found[1].frames)


def test_what_needs_the_mode_is_refused(pair):
    fitted, read = pair
    with pytest.raises(ConfigError, match="read from a file"):
        read.known_mode()
    assert fitted.known_mode() is fitted.mode


def test_a_dataset_without_a_part_is_refused(pair):
    with pytest.raises(FileError, match="no trajectory"):
        Trajectory.from_dataset(pair[0].to_dataset().drop_vars("start"))


def test_terms_are_parsed_and_never_evaluated(pair):
    dataset = pair[0].to_dataset()
    names = dataset.attrs["terms"].replace('["', '["__import__(1)*', 1)
    with pytest.raises(bp.BayespdeError):
        Trajectory.from_dataset(dataset.assign_attrs(terms=names))
