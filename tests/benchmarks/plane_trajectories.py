"""Videos of known equations in the plane -> what `discover` finds, its errors over the Cramer-Rao bound, and its time.

    PYTHONPATH=tests/benchmarks python tests/benchmarks/plane_trajectories.py measure FILE [--names ...] [--window]
    python tests/benchmarks/plane_trajectories.py table FILE

`measure` adds a row of JSON for every case that FILE lacks, and may be interrupted. Noise is its standard deviation
over that of the clean field. The bound is the inverse Fisher information about coefficients and initial state, with the
prior of the latter, at the truth and for the true terms; with `--window`, from the pixels of the inner two thirds of
every axis, which are then all that `discover` gets. CPU seconds are those of one thread, user and system.
"""

import json
import resource
import time
from dataclasses import replace
from functools import cache, partial
from itertools import product

import numpy as np
from laboratory.measure import SPLINE
from laboratory.oracle import cramer_rao
from result_table import Table, command_line, measure_or_print
from scipy.stats import norm

import bayespde as bp
from bayespde.stages.fit_trajectories import trajectory_data

SQUARE = {"extent": {"y": 20.0, "x": 20.0}, "times": {"start": 0.0, "stop": 4.0, "frames": 60}}
WAVES = {"kind": "random_waves", "modes": 3, "seed": 2}
NUCLEI = {"kind": "nuclei", "nuclei": [[6, 7, 2.5, 1.0, 1.0], [14, 6, 2, 0.9, 1.0], [10, 14, 3, 0.8, 1.0]]}
FOURTH_ORDER = ["u_xxxx", "u_xxyy", "u_yyyy"]
# Equation, and what differs from the others in its simulation.
CASES = {
    "fisher_kpp": ("u_t = u - u**2 + 0.5*u_xx + 0.15*u_yy", {"initial": WAVES | {"offset": 0.5, "amplitude": 0.2}}),
    "advection": ("u_t = -0.6*u_x + 0.3*u_y + 0.2*u_xx + 0.1*u_xy + 0.2*u_yy", {"initial": WAVES}),
    "burgers": ("u_t = 0.3*u_xx + 0.2*u_yy - u*u_x - 0.5*u*u_y", {"initial": WAVES}),
    "allen_cahn": ("u_t = u - u**3 + 0.3*u_xx + 0.3*u_yy", {"initial": WAVES}),
    "front": ("u_t = -0.3*u + 1.3*u**2 - u**3 + 0.3*u_xx + 0.3*u_yy", {"initial": NUCLEI}),
    "swift_hohenberg": (
        "u_t = -0.5*u - u**3 - 2*u_xx - 2*u_yy - u_xxxx - 2*u_xxyy - u_yyyy",
        {"initial": WAVES | {"amplitude": 0.5}, "times": {"start": 0.0, "stop": 3.0, "frames": 60}},
    ),
}
NOISES, SEEDS, LEVEL = (0.05, 0.2, 0.5), range(3), 0.9
# A term is within reach where it is this many standard deviations of the bound away from zero.
WITHIN_REACH = 6.0


@cache
def clean(name, points=64):
    """The field without noise, and the true coefficient of every term."""
    text, differs = CASES[name]
    spec = bp.SimulationSpec(equation=text, points={"y": points, "x": points}, **(SQUARE | differs))
    return bp.simulate(spec), bp.Equation.from_string(text)


def library(name):
    """The default terms; for an equation of fourth order with those of fourth order added."""
    terms = bp.polynomial_library("u", space=2)
    if name != "swift_hohenberg":
        return terms
    return bp.Library.from_strings([*terms.names, *FOURTH_ORDER])


def window_of(field):
    """The inner two thirds of every axis of space."""
    return field.isel({d: slice(n // 6, n // 6 + round(2 * n / 3)) for d, n in field.sizes.items() if d != "time"})


def measure(name, noise, seed, *, window, settings):
    """One case."""
    video, truth = clean(name)
    field = bp.add_noise(video, noise, seed=seed)
    data = trajectory_data(bp.fit_field(field, options=SPLINE))
    if window:
        field = window_of(field)
        data = replace(data, field=field.reindex_like(video))
    deviation = cramer_rao(data, truth, video.values[0], noise=noise * float(video.std()))
    begin, wall = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), time.time()
    found = bp.discover(field, library=library(name), seed=seed, **settings)
    seconds = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - begin
    best, likelihood = bp.equations(found.posterior, top=1)[0], found.posterior.likelihood
    weak = bp.equations(found.weak_posterior, top=1)[0]
    return {
        "name": name,
        "noise": noise,
        "seed": seed,
        "right": set(best.names) == set(truth.names),
        "weak_right": set(weak.names) == set(truth.names),
        "likelihood": likelihood.kind,
        "reason": likelihood.reason,
        "within_reach": bool((np.abs(truth.coefficients) > WITHIN_REACH * deviation).all()),
        "truth": truth.as_dict(),
        "bound": dict(zip(truth.names, deviation.tolist(), strict=True)),
        "found": dict(zip(best.names, map(float, best.coefficients), strict=True)),
        "sd": dict(zip(best.names, map(float, best.sd), strict=True)),
        "fits": 0 if found.trajectories is None else len(found.trajectories.trajectories),
        "seconds": seconds,
        "wall": time.time() - wall,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def table(rows):
    """A line for every equation and noise, and one for all."""
    width = norm.isf((1 - LEVEL) / 2)
    columns = ("noise", 6), ("right", 8), ("weak", 6), ("pixels", 8), ("error/bound", 13), ("cover", 7), ("CPU s", 14)
    yield f"{'':<16}" + "".join(f"{name:>{n}}" for name, n in (*columns, ("reach", 7)))
    groups = [(n, e) for n, e in product(CASES, NOISES) if any((r["name"], r["noise"]) == (n, e) for r in rows)]
    for name, noise in [*groups, ("all", None)]:
        here = [r for r in rows if noise is None or (r["name"], r["noise"]) == (name, noise)]
        right = [r for r in here if r["right"]]
        ratio = [(r["found"][n] - v) / r["bound"][n] for r in right for n, v in r["truth"].items()]
        cover = [abs(r["found"][n] - v) < width * r["sd"][n] for r in right for n, v in r["truth"].items()]
        seconds = [r["seconds"] for r in here]
        counts = [f"{len(right)}/{len(here)}", sum(r["weak_right"] for r in here)]
        counts += [sum(r["likelihood"] == "observation" for r in here)]
        rms, share = np.sqrt(np.mean(np.square(ratio))) if ratio else np.nan, np.mean(cover) if cover else np.nan
        yield (
            f"{name:<16}{'' if noise is None else noise:>6}{counts[0]:>8}{counts[1]:>6}{counts[2]:>8}{rms:>13.2f}"
            f"{share:>7.2f}{np.median(seconds):>7.0f}{max(seconds):>7.0f}{sum(r['within_reach'] for r in here):>7}"
        )


def main():
    """Measure what is missing, or print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--names", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--noise", nargs="+", type=float, default=NOISES)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--window", action="store_true")
    parser.add_argument("--settings", type=json.loads, default={})
    options = parser.parse_args()
    rows = Table(options.file, ("name", "noise", "seed"))
    cases = (case[::-1] for case in product(options.seeds, options.noise, options.names))
    one = partial(measure, window=options.window, settings=options.settings)
    measure_or_print(rows, options, cases, one, table)


if __name__ == "__main__":
    main()
