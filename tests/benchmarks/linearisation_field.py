"""The weak form about the fields of different smoothers, and trajectories that begin at their first frames.

Networks have no Gaussian posterior that can be conditioned on an equation. Their field is projected on the basis of the
spline, without loss, and takes the covariance of the spline's posterior. So does the exact field: no smoother can be
closer. Errors are those of the true terms, and differences are paired; with `--true-terms` there are no other terms.

OMP_NUM_THREADS=1 python tests/benchmarks/linearisation_field.py measure --noise 0.1 0.5 --trajectories >> rows.jsonl
python tests/benchmarks/linearisation_field.py table rows.jsonl
"""

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import random_equations
from laboratory import known

import bayespde as bp
from bayespde.stages.fit_trajectories import trajectory_data
from bayespde.trajectory.find_mode import find_mode
from bayespde.trajectory.fit import initial_state
from bayespde.trajectory.laplace import laplace
from bayespde.trajectory.problem import TrajectoryProblem

LINES = (*known.SETS, "random 33", "random 41", "random 22", "random 199")
PLANES = {
    "allen_cahn": ("u_t = u - u**3 + 0.3*u_xx + 0.3*u_yy", {"offset": 0.0, "amplitude": 1.0}),
    "fisher_kpp": ("u_t = u - u**2 + 0.5*u_xx + 0.15*u_yy", {"offset": 0.5, "amplitude": 0.2}),
    "burgers": ("u_t = 0.3*u_xx + 0.2*u_yy - u*u_x - 0.5*u*u_y", {"offset": 0.0, "amplitude": 1.0}),
}
PLANE_TERMS = ["u", "u**2", "u**3", "u_x", "u_y", "u_xx", "u_xy", "u_yy", "u*u_x", "u*u_y", "u*u_xx", "u*u_yy"]
FORMS = {"conditioned": bp.WeakForm(), "unconditioned": bp.WeakForm(condition_on_equation=False)}
NETWORKS = bp.SmoothingConfig(smoother="network", uncertainty=False)
SMOOTHERS = ("spline", "networks", "exact")


@dataclass(frozen=True, eq=False)
class CountedProblem(TrajectoryProblem):
    """Counts its slopes, on all grids and of all parts of the frames."""

    count: Counter = field(default_factory=Counter)

    def slopes(self, parameters):
        self.count.update(["slopes"])
        return super().slopes(parameters)


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


def fields_of(name, noise, draw, smoothers):
    """The spline of a noisy field, with the mean of every smoother, and the seconds that networks were trained for."""
    clean = problem(name)[0]
    noisy = bp.add_noise(clean, noise, seed=100 + draw)
    plain, begin = bp.fit_field(noisy), time.process_time()
    found = {"spline": plain, "exact": with_mean(plain, clean.values)}
    if "networks" in smoothers:
        trained = bp.fit_field(noisy, options=NETWORKS, seed=draw)
        found["networks"] = with_mean(plain, trained.evaluate((0,) * noisy.ndim))
    return {s: found[s] for s in smoothers}, time.process_time() - begin


def row(name, noise, draw, options):
    """All that is measured of one noisy field."""
    clean, truth, library = problem(name)
    library = library.chosen(library.spins(list(truth))) if options.true_terms else library
    smooths, seconds = fields_of(name, noise, draw, options.smoothers)
    forms = {f: {s: weak_form(library, smooth, truth, FORMS[f]) for s, smooth in smooths.items()} for f in FORMS}
    measured = {"data": name, "noise": noise, "draw": draw, "training": seconds, "forms": forms}
    if options.trajectories and clean.ndim == 2:
        measured["trajectory"] = first_states(smooths, forms["conditioned"]["spline"]["fit"])
    return measured


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
    """Modes of the true equation, searched from the first frame of every smoother, all else equal."""
    config, data = bp.TrajectoryConfig(), trajectory_data(smooths["spline"])
    equation = bp.Equation.from_string(random_equations.text_of(coefficients))
    _, basis = initial_state(data, config)
    found, none = {}, (0,) * data.field.ndim
    for name, smooth in smooths.items():
        fits, begin = CountedProblem.of(equation, data, basis, config.method), time.process_time()
        start = fits.start(smooth.spline.evaluate(none)[0])
        mode = find_mode(fits, start, iterations=config.iterations, tolerance=config.tolerance)
        found[name] = {"steps": fits.count.total(), "seconds": time.process_time() - begin}
        fit = laplace(mode, data.field, config)
        found[name] |= {"coefficients": fit.equation.coefficients, "sd": fit.sd.tolist()}
    return found


def table(rows):
    """Lines by dimension and noise: of every smoother its means, and paired differences from the spline."""
    for is_plane, noise in sorted({(r["data"] in PLANES, r["noise"]) for r in rows}):
        here = [r for r in rows if (r["data"] in PLANES) == is_plane and r["noise"] == noise]
        yield f"{'plane' if is_plane else 'line'}, {noise:.0%}: training {mean([r['training'] for r in here])} s"
        for smoother in SMOOTHERS:
            for form in FORMS:
                if pairs := [r["forms"][form] for r in here if smoother in r["forms"][form]]:
                    yield f"  {form}, {smoother}, {len(pairs)} fields: {weak_line(pairs, smoother)}"
            if pairs := [t for r in here if smoother in (t := r.get("trajectory", {}))]:
                yield f"  trajectories, {smoother}, {len(pairs)} fields: {trajectory_line(pairs, smoother)}"


def weak_line(pairs, smoother):
    """Of the weak form about the field of one smoother."""
    own = {k: np.array([p[smoother][k] for p in pairs]) for k in ("right", "error", "deviations", "chi2", "seconds")}
    ratio = mean(np.log(own["error"] / [p["spline"]["error"] for p in pairs]))
    apart = mean(own["deviations"] - [p["spline"]["deviations"] for p in pairs])
    return (
        f"{own['right'].sum()} right, median error {np.median(own['error']):.4f}, error over sd "
        f"{np.sqrt(np.mean(own['deviations'] ** 2)):.2f}, chi2 {own['chi2'].mean():.3f}, "
        f"{own['seconds'].mean():.1f} s; less the spline's: log error {ratio}, error over sd {apart}"
    )


def trajectory_line(pairs, smoother):
    """Of searches from the first frame of one smoother."""
    numbers = [f"{k} {mean([p[smoother][k] for p in pairs])}" for k in ("steps", "seconds")]
    numbers += [f"{k} less {mean([p[smoother][k] - p['spline'][k] for p in pairs])}" for k in ("steps", "seconds")]
    moved = [np.subtract(p[smoother]["coefficients"], p["spline"]["coefficients"]) / p["spline"]["sd"] for p in pairs]
    return f"{', '.join(numbers)}; modes at most {max(np.abs(m).max() for m in moved):.3f} sd apart"


def mean(values):
    """Mean and its standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.3f} ({error:.3f})"


def main():
    """Measure, or print the table of what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    measure = kinds.add_parser("measure")
    measure.add_argument("--data", nargs="+", default=LINES, choices=(*LINES, *PLANES))
    measure.add_argument("--noise", nargs="+", type=float, default=[0.2, 0.5])
    measure.add_argument("--draws", type=int, default=2)
    measure.add_argument("--smoothers", nargs="+", default=SMOOTHERS, choices=SMOOTHERS)
    measure.add_argument("--true-terms", action="store_true")
    measure.add_argument("--trajectories", action="store_true")
    kinds.add_parser("table").add_argument("file", type=Path)
    options = parser.parse_args()
    if options.kind == "table":
        rows = [json.loads(line) for line in options.file.read_text().splitlines()]
        print(*table(rows), sep="\n")
        return
    for draw, name, noise in product(range(options.draws), options.data, options.noise):
        print(json.dumps(row(name, noise, draw, options)), flush=True)


if __name__ == "__main__":
    main()
