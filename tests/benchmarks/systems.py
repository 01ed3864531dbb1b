"""Fields that move each other: equations found, errors over stated deviations, and the last quarter of frames foretold.

OMP_NUM_THREADS=1 python tests/benchmarks/systems.py excited spiral --noise 0.05 0.1 --seeds 3
"""

import argparse
import json
import sys
import time

import numpy as np
import xarray as xr

import bayespde as bp
from bayespde.solve.config import SolverConfig

EXCITED = ["u_t = u - u**3 - v + 0.5*u_xx", "v_t = 0.5*u - 0.3*v + 0.1*v_xx"]
# r' = r - r^3 and a turn by r^2: the lambda-omega system of many papers.
SPIRAL = [
    "u_t = 0.1*u_xx + 0.1*u_yy + u - u**3 - u*v**2 + u**2*v + v**3",
    "v_t = 0.1*v_xx + 0.1*v_yy + v - v**3 - u**2*v - u**3 - u*v**2",
]


def excited():
    """A line of excitable matter, 96 x 121."""
    x, wave = 20 * np.arange(96) / 96, 2 * np.pi / 20
    start = {
        "u": np.sin(wave * x) + 0.6 * np.cos(2 * wave * x),
        "v": 0.4 * np.cos(wave * x) + 0.3 * np.sin(3 * wave * x),
    }
    frames = xr.Dataset({name: ("x", values) for name, values in start.items()}, coords={"x": x})
    return bp.CoupledEquations.from_strings(EXCITED), frames, np.linspace(0, 12, 121), SolverConfig()


def spiral(points=96):
    """A spiral between walls, in the plane, 96 x 96 x 101."""
    x = 20 * ((np.arange(points) + 0.5) / points - 0.5)
    place, along = np.meshgrid(x, x)
    radius, angle = np.hypot(place, along), np.arctan2(along, place)
    start = {"u": np.tanh(radius) * np.cos(angle - radius), "v": np.tanh(radius) * np.sin(angle - radius)}
    frames = xr.Dataset({name: (("y", "x"), v) for name, v in start.items()}, coords={"y": x, "x": x})
    method = SolverConfig().with_boundary("neumann")
    return bp.CoupledEquations.from_strings(SPIRAL), frames, np.linspace(0, 10, 101), method


def noisy(clean, noise, seed):
    fields = {}
    for i, name in enumerate(clean.data_vars):
        axes = {"t" if d == "time" else d: clean[d].values for d in clean[name].dims}
        fields[name] = bp.add_noise(bp.make_field(clean[name].values, name=name, **axes), noise, seed=100 * seed + i)
    return xr.Dataset(fields)


def judged(found, system, clean, held):
    """What was found of each equation, and how far the law is off the clean frames to come."""
    prediction, _ = found.forecast_holdout(seed=0)
    report = {}
    for equation in system.equations:
        name = equation.variable
        part, rest = found[name], clean[name].isel(time=slice(-held, None))
        scores = bp.verify_forecast(
            bp.select_field(prediction, name), rest, before=clean[name].isel(time=slice(0, -held)), is_noisy=False
        )
        on = part.posterior.library.spins(equation.names)
        design = np.concatenate(part.statistics.factors)[:, :-1][:, on]
        sd = np.sqrt(np.diagonal(np.linalg.inv(design.T @ design)))
        names = [n for n, o in zip(part.posterior.library.names, on, strict=True) if o]
        error = part.statistics.least_squares(on)[on] - [equation.as_dict()[n] for n in names]
        first = part.equations(top=1)[0]
        report[name] = {
            "right": set(first.names) == set(equation.names),
            "probability": round(first.probability, 3),
            "error_in_sd": round(float(np.sqrt(np.mean((error / sd) ** 2))), 2),
            "verdict": str(bp.diagnose(part.posterior)).partition(":")[0],
            "ratio": round(float(np.sqrt((scores["persistence"] ** 2).mean() / (scores["rmse"] ** 2).mean())), 1),
            "coverage": [round(float(v), 2) for v in scores["coverage"][[0, held // 2, -1]]],
        }
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=["excited", "spiral"])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.05, 0.1])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    config = bp.DiscoverConfig(smoothing=bp.SmoothingConfig(smoother="spline"))
    for name in arguments.names:
        system, start, times, method = {"excited": excited, "spiral": spiral}[name]()
        clean = bp.integrate(system, start, times, method=method)
        held = len(times) // 4
        for noise in arguments.noise:
            for seed in range(arguments.seeds):
                begin = time.process_time()
                found = bp.discover(noisy(clean, noise, seed), config=config, holdout_frames=held, seed=seed)
                seconds = round(time.process_time() - begin, 1)
                row = {"data": name, "noise": noise, "seed": seed, "seconds": seconds}
                sys.stdout.write(json.dumps(row | judged(found, system, clean, held)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
