"""Videos of known equations in one dimension -> which likelihood `discover` ends with, whether it is right, its time.

    PYTHONPATH=tests/benchmarks python tests/benchmarks/line_trajectories.py measure FILE [--noise ...]
    python tests/benchmarks/line_trajectories.py table FILE

`measure` adds a row of JSON for every case that FILE lacks, and may be interrupted. Cases are the random equations
of `random_equations.py` and the shipped models, with their default libraries and settings: dispersive and chaotic ones
are the hard ones. CPU seconds are those of one thread.
"""

import time
from dataclasses import replace

import numpy as np
import random_equations
from result_table import Table, command_line, measure_or_print

import bayespde as bp
from bayespde.core.errors import IllPosedError
from bayespde.zoo.declaration import read_declaration

MODELS = ("heat", "burgers", "swift_hohenberg", "korteweg_de_vries", "kuramoto_sivashinsky")
EVERY = (random_equations.SEEDS, random_equations.MORE_SEEDS)
RANDOM = [str(seed) for drawn in EVERY for seeds in drawn.values() for seed in seeds]
NOISES = (0.05, 0.2, 0.5)


def clean(name):
    """The field without noise, and the true coefficient of every term."""
    if name in RANDOM:
        return random_equations.clean(int(name)), random_equations.draw(int(name))[0]
    declared = read_declaration(name)
    spec = bp.SimulationSpec.from_mapping(declared.settings["simulate"])
    return bp.simulate(replace(spec, noise=0.0)), declared.references[""].coefficients


def measure(name, noise):
    """One case."""
    try:
        video, truth = clean(name)
    except IllPosedError as error:
        return {"name": name, "noise": noise, "left_out": str(error).splitlines()[0]}
    begin = time.process_time()
    found = bp.discover(bp.add_noise(video, noise, seed=1), seed=0)
    seconds = time.process_time() - begin
    best, likelihood = bp.equations(found.posterior, top=1)[0], found.posterior.likelihood
    return {
        "name": name,
        "noise": noise,
        "right": set(best.names) == set(truth),
        "likelihood": likelihood.kind,
        "reason": likelihood.reason,
        "truth": truth,
        "found": dict(zip(best.names, map(float, best.coefficients), strict=True)),
        "sd": dict(zip(best.names, map(float, best.sd), strict=True)),
        "seconds": seconds,
    }


def table(rows):
    """A line for every noise, and the slowest cases."""
    yield f"{'noise':>6}{'cases':>7}{'right':>7}{'pixels':>8}{'CPU s, median':>15}{'90 %':>7}{'worst':>7}"
    here = [r for r in rows if "left_out" not in r]
    for noise in sorted({r["noise"] for r in here}):
        some = [r for r in here if r["noise"] == noise]
        seconds = [r["seconds"] for r in some]
        right, pixels = sum(r["right"] for r in some), sum(r["likelihood"] == "observation" for r in some)
        most = f"{np.quantile(seconds, 0.9):>7.0f}{max(seconds):>7.0f}"
        yield f"{noise:>6}{len(some):>7}{right:>7}{pixels:>8}{np.median(seconds):>15.1f}{most}"
    for row in sorted(here, key=lambda r: -r["seconds"])[:8]:
        yield f"{row['name']}, {row['noise']}: {row['seconds']:.0f} CPU s, {row['likelihood']}; {row['reason']}"
    for row in rows:
        if "left_out" in row:
            yield f"{row['name']}, {row['noise']}: left out; {row['left_out']}"


def main():
    """Measure what is missing, or print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--noise", nargs="+", type=float, default=NOISES)
    options = parser.parse_args()
    rows = Table(options.file, ("name", "noise"))
    cases = ((name, noise) for noise in options.noise for name in (*MODELS, *RANDOM))
    measure_or_print(rows, options, cases, measure, table)


if __name__ == "__main__":
    main()
