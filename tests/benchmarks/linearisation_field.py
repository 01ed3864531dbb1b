"""The weak form about the field of the spline and about that of the networks, and trajectories begun at either.

Networks have no Gaussian posterior that can be conditioned on an equation. Their field is projected on the basis of the
spline, in which it loses nothing, and takes the covariance of the spline's posterior. Errors are those of the true
terms, whatever equation is found; all forms have the same noise, so that differences are paired.

OMP_NUM_THREADS=1 python tests/benchmarks/linearisation_field.py measure --noise 0.1 0.5 --draws 2 >> rows.jsonl
OMP_NUM_THREADS=1 python tests/benchmarks/linearisation_field.py measure --data allen_cahn fisher_kpp >> rows.jsonl
python tests/benchmarks/linearisation_field.py table rows.jsonl
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import random_equations
from laboratory import known

import bayespde as bp
from bayespde.core.errors import BayespdeError
from bayespde.stages.fit_trajectories import trajectory_data
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.find_mode import find_mode
from bayespde.trajectory.fit import initial_state
from bayespde.trajectory.laplace import laplace
from bayespde.trajectory.problem import TrajectoryProblem

LINES = (*known.SETS, "random 33", "random 41", "random 22", "random 199")
# 40 frames of 48 x 48 pixels that begin at random waves.
PLANES = {
    "allen_cahn": ("u_t = u - u**3 + 0.3*u_xx + 0.3*u_yy", {"offset": 0.0, "amplitude": 1.0}),
    "fisher_kpp": ("u_t = u - u**2 + 0.5*u_xx + 0.15*u_yy", {"offset": 0.5, "amplitude": 0.2}),
}
PLANE_TERMS = ["u", "u**2", "u**3", "u_x", "u_y", "u_xx", "u_xy", "u_yy", "u*u_x", "u*u_y", "u*u_xx", "u*u_yy"]
FORMS = {"conditioned": bp.WeakForm(), "unconditioned": bp.WeakForm(condition_on_equation=False)}
SMOOTHERS = ("spline", "networks")


@cache
def problem(name):
    """A field without noise, its true coefficients by term, and the candidate terms."""
    if name in PLANES:
        text, waves = PLANES[name]
        spec = bp.SimulationSpec(
            equation=text,
            extent={"y": 20.0, "x": 20.0},
            points={"y": 48, "x": 48},
            times={"start": 0.0, "stop": 4.0, "frames": 40},
            initial={"kind": "random_waves", "modes": 3, "seed": 2} | waves,
        )
        return bp.simulate(spec), bp.Equation.from_string(text).as_dict(), bp.Library.from_strings(PLANE_TERMS)
    if name in known.SETS:
        return *known.clean(name), random_equations.LIBRARY
    seed = int(name.removeprefix("random "))
    return random_equations.clean(seed), random_equations.draw(seed)[0], random_equations.LIBRARY


def with_mean(smooth, values):
    """The smoothed field with another mean of its spline, on the grid of the data."""
    for axis, grid in enumerate(smooth.spline.grids):
        values = np.moveaxis(np.tensordot(grid.T, values, axes=(1, axis)), 0, axis)
    return replace(smooth, spline=smooth.spline.with_coefficients(values))


def row(name, noise, draw):
    """All that is measured of one noisy field."""
    clean, truth, library = problem(name)
    field, begin = bp.add_noise(clean, noise, seed=100 + draw), time.process_time()
    options = bp.SmoothingConfig(smoother="network", uncertainty=False)
    trained = bp.fit_field(field, options=options, seed=draw)
    seconds, plain = time.process_time() - begin, bp.fit_field(field)
    smooths = {"spline": plain, "networks": with_mean(plain, trained.evaluate((0,) * field.ndim))}
    forms = {
        label: {s: weak_form(library, smooths[s], truth, form) for s in SMOOTHERS} for label, form in FORMS.items()
    }
    measured = {"data": name, "noise": noise, "draw": draw, "training": seconds, "forms": forms}
    if field.ndim > 2:
        return measured
    return measured | {"trajectory": first_states(smooths, forms["conditioned"]["spline"]["fit"])}


def weak_form(library, smooth, truth, form):
    """Whether the most probable equation is the true one, and the fit of the true one."""
    begin = time.process_time()
    statistics = bp.assemble(library, smooth, form=form)
    seconds = time.process_time() - begin
    exact, on = bp.enumerate_models(bp.SpinModel(statistics, library)), library.spins(list(truth))
    design = np.concatenate(statistics.factors)[:, :-1][:, on]
    names = [n for n, o in zip(library.names, on, strict=True) if o]
    true, fit = np.array([truth[n] for n in names]), statistics.least_squares(on)
    error, sd = fit[on] - true, np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    return {
        "right": bool((exact.spins[np.argmax(exact.probability)] == on).all()),
        "error": float(np.abs(error / true).max()),
        "deviations": float(np.sqrt(np.mean((error / sd) ** 2))),
        "chi2": float(statistics.block_residuals(fit).sum() / (statistics.rows - on.sum())),
        "seconds": seconds,
        "fit": dict(zip(names, map(float, fit[on]), strict=True)),
    }


def first_states(smooths, coefficients):
    """Modes of the true equation, searched from the first frame of either field, all else equal."""
    config, data = TrajectoryConfig(), trajectory_data(smooths["spline"])
    equation = bp.Equation.from_string(random_equations.text_of(coefficients))
    _, basis = initial_state(data, config)
    fits = TrajectoryProblem.of(equation, data, basis, config.method)
    found, none = {}, (0,) * data.field.ndim
    for name, smooth in smooths.items():
        begin, start = time.process_time(), fits.start(smooth.spline.evaluate(none)[0])
        try:
            mode = find_mode(fits, start, iterations=config.iterations, tolerance=config.tolerance)
        except BayespdeError as error:
            return {"failed": f"{name}: {str(error).splitlines()[0]}"}
        found[name] = {"steps": mode.steps, "seconds": time.process_time() - begin}
        fit = laplace(mode, data.field, config)
        found[name] |= {"coefficients": fit.equation.coefficients, "sd": fit.sd.tolist()}
    return found


def table(rows):
    """Lines of the two tables, by dimension and noise."""
    groups = sorted({("plane" if r["data"] in PLANES else "line", r["noise"]) for r in rows})
    for kind, noise in groups:
        here = [r for r in rows if (r["data"] in PLANES) == (kind == "plane") and r["noise"] == noise]
        yield f"{kind}, {noise:.0%}: {len(here)} fields, training {mean([r['training'] for r in here])} s"
        for form in FORMS:
            pairs = [r["forms"][form] for r in here]
            yield f"  {form}"
            for smoother in SMOOTHERS:
                numbers = {k: np.array([p[smoother][k] for p in pairs]) for k in ("right", "error", "chi2", "seconds")}
                yield (
                    f"    {smoother}: right {numbers['right'].sum()}, median error {np.median(numbers['error']):.4f}, "
                    f"deviations {rms([p[smoother]['deviations'] for p in pairs]):.2f}, "
                    f"chi2 {mean(numbers['chi2'])}, seconds {mean(numbers['seconds'])}"
                )
            ratio = [np.log(p["networks"]["error"] / p["spline"]["error"]) for p in pairs]
            apart = [p["networks"]["deviations"] - p["spline"]["deviations"] for p in pairs]
            yield f"    networks less spline: log error {mean(ratio)}, deviations {mean(apart)}"
        yield from trajectory_lines([r["trajectory"] for r in here if "trajectory" in r])


def trajectory_lines(found):
    """Searches from either first frame."""
    kept = [f for f in found if "failed" not in f]
    if not kept:
        return
    apart = [np.max(np.abs(np.subtract(*(f[s]["coefficients"] for s in SMOOTHERS))) / f["spline"]["sd"]) for f in kept]
    yield f"  trajectories: {len(kept)} of {len(found)}, modes at most {max(apart):.3f} sd apart"
    for key in ("steps", "seconds"):
        difference = [f["networks"][key] - f["spline"][key] for f in kept]
        yield f"    {key}: spline {mean([f['spline'][key] for f in kept])}, networks less spline {mean(difference)}"


def mean(values):
    """Mean and its standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.3f} ({error:.3f})"


def rms(values):
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def main():
    """Measure, or print the table of what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    measure = kinds.add_parser("measure")
    measure.add_argument("--data", nargs="+", default=LINES, choices=(*LINES, *PLANES))
    measure.add_argument("--noise", nargs="+", type=float, default=[0.2, 0.5])
    measure.add_argument("--draws", type=int, default=2)
    kinds.add_parser("table").add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.kind == "table":
        rows = [json.loads(line) for line in arguments.file.read_text().splitlines()]
        sys.stdout.write("\n".join(table(rows)) + "\n")
        return
    for name in arguments.data:
        for noise in arguments.noise:
            for draw in range(arguments.draws):
                sys.stdout.write(json.dumps(row(name, noise, draw)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
