"""A run folder with one small file of every kind, in seconds: what the tests of damaged files read and damage."""

import json
from dataclasses import replace
from pathlib import Path

import bayespde as bp
from bayespde.discovery.files import write_derivatives, write_forecast
from bayespde.forecasting.config import ForecastConfig
from bayespde.io.write import write_field
from bayespde.smc.config import SMCConfig
from bayespde.smooth.network.config import NetworkConfig
from bayespde.zoo.reference import write_reference_posterior

HELD_OUT = 4
SPEC = {
    "equation": "u_t = -u*u_x + 0.1*u_xx",
    "extent": {"x": 8.0},
    "points": {"x": 32},
    "times": {"start": 0.0, "stop": 2.0, "frames": 16 + HELD_OUT},
    "initial": {"kind": "gaussian_pulses", "centres": [4.0], "heights": [1.0], "widths": [0.9]},
    "noise": 0.01,
    "seed": 1,
}
NETWORK = NetworkConfig(width=4, depth=2, members=1, steps=20, batch=64, collocation=16, check_every=10)
SMOOTHING = bp.SmoothingConfig(smoother="spline", uncertainty=False, networks=(NETWORK,))
CONFIG = bp.DiscoverConfig(
    smoothing=SMOOTHING,
    sampler=SMCConfig(particles=4, runs=2, final_passes=1),
    trajectory_matching="auto",
    holdout_frames=HELD_OUT,
)
TERMS = ("u_xx", "u*u_x")
REFERENCE = {"coefficients": {"u*u_x": -1.0, "u_xx": 0.1}, "relative_tolerance": 0.05, "sd_tolerance": 3}


def video():
    return bp.simulate(bp.SimulationSpec.from_mapping(SPEC))


def discover(folder, **settings):
    """The discovery of the small video, resumed from the folder where that holds stages."""
    library = bp.Library.from_strings(TERMS)
    return bp.discover(video(), library=library, config=replace(CONFIG, **settings), folder=folder)


def write_all(folder):
    """Write every kind of file that the package reads back."""
    folder = Path(folder)
    write_field(video(), folder / "field.nc")
    write_field(video(), folder / "field.npz")
    found = discover(folder)
    write_derivatives(found.smoothed_by("network"), folder / "derivatives_network.nc", space=1, time=0)
    ahead, scores = found.forecast_holdout(options=ForecastConfig(draws=4))
    write_forecast(ahead, folder, found.holdout, scores, animation="none")
    (folder / "reference.json").write_text(json.dumps(REFERENCE), encoding="utf-8")
    write_reference_posterior(found, folder / "reference.json")
    return found
