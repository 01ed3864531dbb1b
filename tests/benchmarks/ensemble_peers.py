"""Draws of a reaction-diffusion law in a plane: together, and one after the other by py-pde compiled with numba.

    python tests/benchmarks/ensemble_peers.py

The error is the distance of the last frame of one draw from a solution with tight tolerances at twice the points, over
its deviation. Compiling is not counted: of py-pde one compiled stepper is timed, as if all draws could share it.
"""

import argparse
import json
import sys
import time

import numpy as np
import pde
import torch

import bayespde as bp
from bayespde.core.equation import Equation
from bayespde.forecasting.ensemble import ForecastEnsemble, occurring_terms
from bayespde.forecasting.propagate import propagate
from bayespde.solve.config import SolverConfig
from bayespde.solve.initial import initial_state

POINTS, LENGTH, END, REPEATS = 128, 100.0, 10.0, 5
LAW = {"u": 1.0, "u**3": -1.0, "u_xx": 1.0, "u_yy": 1.0}
PEERS = {
    "Runge-Kutta, adaptive": ("runge-kutta", {"adaptive": True, "tolerance": 1e-3}, 0.1),
    "Euler": ("euler", {}, 0.1),
}


def first_frame(points):
    axis = LENGTH * np.arange(points) / points
    return initial_state("random_waves", {"y": axis, "x": axis}, modes=8, amplitude=0.5, seed=0)


def exact():
    """The last frame at the pixels, from twice the points."""
    law = Equation.from_string("u_t = " + " + ".join(f"{c}*{n}" for n, c in LAW.items()))
    fine = bp.integrate(law, first_frame(2 * POINTS), np.array([0.0, END]), method=SolverConfig(rtol=1e-10, atol=1e-12))
    return fine.values[-1, ::2, ::2]


def error(frame, wanted):
    return float(np.sqrt(np.mean((frame - wanted) ** 2)) / wanted.std())


def together(draws, wanted, accuracy):
    library = bp.Library.from_strings(list(LAW))
    laws = np.array(list(LAW.values())) * (1 + 0.02 * np.random.default_rng(0).standard_normal((draws, len(LAW))))
    laws[0] = list(LAW.values())
    frame = first_frame(POINTS)
    method = SolverConfig(rtol=accuracy / 10, atol=accuracy / 1000)
    launch = ForecastEnsemble(
        *occurring_terms(library, laws),
        states=np.repeat(frame.values[None], draws, axis=0),
        time=0.0,
        frame=frame,
        method=method,
    )
    begin = time.perf_counter()
    found = propagate(launch, np.array([END]), accuracy=accuracy)
    seconds = time.perf_counter() - begin
    points = " x ".join(map(str, found.points))
    return {
        "method": f"together, accuracy {accuracy:g}",
        "points": points,
        "seconds": seconds,
        "error": error(found.frames[0, 0], wanted),
    }


def one_by_one(name, draws, wanted):
    kind, settings, step = PEERS[name]
    grid = pde.CartesianGrid([[0, LENGTH]] * 2, POINTS, periodic=True)
    state = pde.ScalarField(grid, first_frame(POINTS).values.T)
    equation = pde.PDE({"c": "c - c**3 + laplace(c)"})
    solver = pde.solvers.SolverBase.from_name(kind, equation, backend="numba", **settings)
    stepper = solver.make_stepper(state.copy(), dt=step)
    stepper(state.copy(), 0.0, step)
    seconds = []
    for _ in range(REPEATS):
        last = state.copy()
        begin = time.perf_counter()
        stepper(last, 0.0, END)
        seconds.append(time.perf_counter() - begin)
    return {
        "method": f"py-pde, {name}",
        "points": f"{POINTS} x {POINTS}",
        "seconds": draws * min(seconds),
        "error": error(last.data.T, wanted),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = exact()
    for accuracy in (1e-1, 1e-2):
        # Compiles.
        together(arguments.draws, wanted, accuracy)
        sys.stdout.write(json.dumps(together(arguments.draws, wanted, accuracy)) + "\n")
    for name in PEERS:
        sys.stdout.write(json.dumps(one_by_one(name, arguments.draws, wanted)) + "\n")


if __name__ == "__main__":
    main()
