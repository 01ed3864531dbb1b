"""The five systems of the table of ensemble weak SINDy [fasel2022] -> how often defaults are right, and how far off.

    PYTHONPATH=tests/benchmarks python tests/benchmarks/published_ensemble_table.py measure FILE [--names ...]
    python tests/benchmarks/published_ensemble_table.py table FILE

The videos are made anew from the equations, grids and initial states of [messengerbortz2021]; that of reaction and
diffusion has half the points along every axis. Noise is its standard deviation over the root mean square of the field.
`discover` knows nothing but the video, and has its default terms. The error is the 2-norm of that of all coefficients
over the norm of these. `measure` adds a row of JSON for every draw that FILE lacks, and may be interrupted.
"""

import time
from functools import cache

import numpy as np
import xarray as xr
from result_table import Table, command_line, measure_or_print
from systems import SPIRAL

import bayespde as bp
from bayespde.solve.config import SolverConfig

DRAWS = 20
# Noise, and success and mean error of 200 draws, in per cent, with thresholds tuned by hand [fasel2022].
PUBLISHED = {
    "inviscid_burgers": (1.0, 100, 2.5),
    "korteweg_de_vries": (1.0, 100, 4.0),
    "kuramoto_sivashinsky": (1.0, 99.5, 24.7),
    "nonlinear_schroedinger": (0.5, 100, 11.3),
    "reaction_diffusion": (0.2, 99.5, 7.1),
}
SCHROEDINGER = ["u_t = 0.5*v_xx + u**2*v + v**3", "v_t = -0.5*u_xx - u*v**2 - u**3"]


def inviscid_burgers():
    """The exact solution: a ramp that steepens, and from t = 2 a shock, 256 x 256."""
    height, slope = 1000.0, 0.5
    t, x = np.meshgrid(np.linspace(0, 4, 256), np.linspace(-4000, 4000, 256), indexing="ij")
    with np.errstate(divide="ignore", invalid="ignore"):
        ramp = -slope * x / (1 - slope * t)
    is_behind = t >= np.maximum(x / height + 1 / slope, 2 * x / height + 1 / slope)
    is_ramp = (height * (t - 1 / slope) < x) & (x <= 0)
    values = np.where(is_behind, height, np.where(is_ramp, ramp, 0.0))
    return ["u_t = -u*u_x"], {"u": bp.make_field(values, t=t[:, 0], x=x[0])}


def korteweg_de_vries():
    """Two solitons, 400 x 601."""
    x = 2 * np.pi * np.arange(400) / 400 - np.pi
    solitons = (3 * a**2 / np.cosh(a * (x + shift) / 2) ** 2 for a, shift in ((25.0, 2.0), (16.0, 1.0)))
    return integrated(["u_t = -u*u_x - u_xxx"], {"u": ("x", sum(solitons))}, {"x": x}, np.linspace(0, 0.006, 601))


def kuramoto_sivashinsky():
    """Chaos, 256 x 301."""
    x = 32 * np.pi * np.arange(256) / 256
    start = np.cos(x / 16) * (1 + np.sin(x / 16))
    return integrated(["u_t = -u*u_x - u_xx - u_xxxx"], {"u": ("x", start)}, {"x": x}, np.linspace(0, 150, 301))


def nonlinear_schroedinger():
    """A breather, 256 x 251."""
    x = 10 * np.arange(256) / 256 - 5
    return integrated(
        SCHROEDINGER, {"u": ("x", 2 / np.cosh(x)), "v": ("x", 0 * x)}, {"x": x}, np.linspace(0, np.pi, 251)
    )


def reaction_diffusion():
    """A spiral, 128 x 128 x 101."""
    x = 20 * np.arange(128) / 128 - 10
    place, along = np.meshgrid(x, x)
    radius, angle = np.hypot(place, along), np.arctan2(along, place)
    start = {"u": np.tanh(radius) * np.cos(angle - radius), "v": np.tanh(radius) * np.sin(angle - radius)}
    frames = {name: (("y", "x"), values) for name, values in start.items()}
    return integrated(SPIRAL, frames, {"y": x, "x": x}, np.linspace(0, 10, 101))


def integrated(texts, frames, coords, times):
    """Equations, and the field of each."""
    start, method = xr.Dataset(frames, coords=coords), SolverConfig(rtol=1e-7, maximum_steps=10**6)
    if len(texts) == 1:
        return texts, {"u": bp.integrate(*equations_of(texts), start["u"], times, method=method)}
    found = bp.integrate(bp.CoupledEquations.from_strings(texts), start, times, method=method)
    return texts, {name: found[name] for name in found.data_vars}


def equations_of(texts):
    """One equation, or those of a system."""
    if len(texts) == 1:
        return (bp.Equation.from_string(texts[0]),)
    return bp.CoupledEquations.from_strings(texts).equations


@cache
def clean(name):
    """The equations as text, and the field of each without noise."""
    return globals()[name]()


def noisy(name, draw):
    """The video that is searched."""
    _, fields = clean(name)
    random, found = np.random.default_rng([7, draw]), {}
    for variable, field in fields.items():
        size = PUBLISHED[name][0] * float(np.sqrt(np.mean(field.values**2)))
        found[variable] = field + size * random.standard_normal(field.shape)
    return found["u"] if len(found) == 1 else xr.Dataset(found)


def measure(name, draw):
    """One draw."""
    truth = {e.variable: e.as_dict() for e in equations_of(clean(name)[0])}
    begin = time.process_time()
    found = bp.discover(noisy(name, draw), seed=draw)
    posteriors = {"u": found.posterior} if len(truth) == 1 else dict(found.posteriors)
    best = {variable: bp.equations(p, top=1)[0] for variable, p in posteriors.items()}
    coefficients = {v: dict(zip(e.names, map(float, e.coefficients), strict=True)) for v, e in best.items()}
    every = {(v, n) for both in (truth, coefficients) for v, e in both.items() for n in e}
    off = [coefficients[v].get(n, 0.0) - truth[v].get(n, 0.0) for v, n in every]
    return {
        "name": name,
        "draw": draw,
        "right": all(set(coefficients[v]) == set(truth[v]) for v in truth),
        "error": float(np.linalg.norm(off) / np.linalg.norm([c for e in truth.values() for c in e.values()])),
        "found": coefficients,
        "probability": {v: float(e.probability) for v, e in best.items()},
        "likelihood": {v: p.likelihood.kind for v, p in posteriors.items()},
        "seconds": time.process_time() - begin,
    }


def table(rows):
    """A line for every system."""
    yield f"{'':<24}{'noise':>6}{'right':>8}{'error, %':>10}{'published: right, error':>26}{'CPU s':>8}"
    for name, (noise, success, error) in PUBLISHED.items():
        here = [r for r in rows if r["name"] == name]
        if not here:
            continue
        errors = [r["error"] for r in here if r["right"]]
        right, seconds = f"{len(errors)}/{len(here)}", np.median([r["seconds"] for r in here])
        mean = 100 * np.mean(errors) if errors else np.nan
        yield f"{name:<24}{noise:>6}{right:>8}{mean:>10.2f}{success:>18} %{error:>6}{seconds:>8.0f}"


def main():
    """Measure what is missing, or print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--names", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    options = parser.parse_args()
    rows = Table(options.file, ("name", "draw"))
    cases = ((name, draw) for draw in range(DRAWS) for name in options.names)
    measure_or_print(rows, options, cases, measure, table)


if __name__ == "__main__":
    main()
