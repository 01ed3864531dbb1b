"""A small simulated Burgers video and settings that solve it in about a second."""

import bayespde as bp
from bayespde.smc.config import SMCConfig

TERMS = ("u", "u**2", "u_x", "u_xx", "u*u_x", "u*u_xx")
TRUTH = {"u*u_x": -1.0, "u_xx": 0.1}
UNITS = {"u": "m s^-1", "time": "s", "x": "m"}
SPEC = {
    "equation": "u_t = -u*u_x + 0.1*u_xx",
    "extent": {"x": 16.0},
    "points": {"x": 128},
    "times": {"start": 0.0, "stop": 6.0, "frames": 61},
    "initial": {"kind": "gaussian_pulses", "centres": [4.0, 9.0], "heights": [1.0, -0.7], "widths": [1.0, 0.8]},
    "noise": 0.02,
    "seed": 1,
    "units": UNITS,
}
CONFIG = bp.DiscoverConfig(
    smoothing=bp.SmoothingConfig(smoother="spline"),
    sampler=SMCConfig(particles=256, runs=4, final_passes=4),
    trajectory_matching="never",
)


def library():
    return bp.Library.from_strings(TERMS)


def video():
    return bp.simulate(bp.SimulationSpec.from_mapping(SPEC))


def discover(field, **settings):
    return bp.discover(field, **({"library": library(), "config": CONFIG} | settings))
