"""Smooth fields written to netCDF files, and read back."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.noise.frame_jitter import FrameShift
from bayespde.smooth.choice import SmoothingChoice
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.fit import fit_field
from bayespde.smooth.network.config import NetworkConfig

T, X = np.linspace(0, 2, 31), np.linspace(-2, 2, 45)
TINY = NetworkConfig(width=10, depth=2, batch=512, collocation=64, learning_rate=1e-2, check_every=25)
QUICK = bp.SmoothingConfig(networks=(TINY,), steps=75, weight=1e-3)
ORDERS = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)]
POINTS = np.array([[0.3, -1.0], [1.7, 0.4]])
CHOICE = SmoothingChoice(
    smoother="network",
    reason="asked for",
    hold_out="frames",
    held_out_rmse={"spline": 0.1 + 0.2, "tanh 2x10": 1 / 3},
    noise="gaussian: sd 0.3",
    log_density={"gaussian": -1.5},
    displacement=FrameShift(0.7, (1 / 7, 0.2)),
    networks=("tanh 2x10",),
)


@pytest.fixture
def noisy(rng):
    values = np.sin(1.5 * X - T[:, None]) + 0.1 * rng.standard_normal((31, 45))
    return bp.make_field(values, t=T, x=X, units={"u": "K", "time": "s", "x": "nm"})


@pytest.mark.parametrize("choice", [CHOICE, SmoothingChoice("spline", "asked for", "pixels", {"spline": 0.1})])
def test_a_choice_survives_its_json(choice):
    assert SmoothingChoice.from_json(choice.to_json()) == choice
    assert json.loads(choice.to_json())["smoother"] == choice.smoother


def test_a_choice_describes_itself():
    assert CHOICE.describe() == [
        "network chosen for derivatives (asked for); the weak form uses the spline",
        "held out: frames, rmse spline 0.3, tanh 2x10 0.33333",
    ]
    assert CHOICE.describe_noise(("y", "x")) == [
        "noise gaussian: sd 0.3 (log density of a held-out pixel: gaussian -1.5)",
        "70% of the squared residuals are shifts of whole frames: rms 0.143 along y, 0.2 along x",
    ]


@pytest.mark.parametrize("smoother", ["spline", "network"])
def test_a_file_gives_back_the_same_field(tmp_path, noisy, smoother):
    noisy.values[3, 4] = np.nan
    given = fit_field(noisy, smoother=smoother, options=QUICK)
    to_dataset(given).to_netcdf(tmp_path / "smooth.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "smooth.nc", engine="h5netcdf") as dataset:
        back = from_dataset(dataset.load())
    for orders in ORDERS:
        assert np.array_equal(back.evaluate(orders), given.evaluate(orders))
    assert back.choice == given.choice
    assert back.chosen == given.chosen
    assert back.field.identical(given.field)
    assert back.noise_scale == given.noise_scale
    assert back.summary() == given.summary()
    if smoother == "network":
        assert back.network.shrinkage == given.network.shrinkage
        assert np.array_equal(back.at_points((0, 1), POINTS)[1], given.at_points((0, 1), POINTS)[1])
        assert np.array_equal(back.network.ensemble.held_out, given.network.ensemble.held_out)
        assert np.array_equal(back.network.ensemble.residuals, given.network.ensemble.residuals)
        for one, other in zip(back.network.ensemble.fits, given.network.ensemble.fits, strict=True):
            assert one.config == other.config
            assert np.array_equal(one.history.held_out_rmse, other.history.held_out_rmse)


def test_networks_without_uncertainty_are_read_back_without(noisy):
    back = from_dataset(to_dataset(fit_field(noisy, smoother="network", options=replace(QUICK, uncertainty=False))))
    assert back.network.shrinkage is None
    with pytest.raises(ConfigError, match="not calibrated"):
        back.draw(0)
