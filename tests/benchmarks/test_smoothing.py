"""Errors of derivatives, coverage of their intervals and seconds of the automatic smoothing; a table as JSON.

`--full` takes six noise draws of every set; without it, one of the quickest.
"""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import smoothing_sets
from result_table import Table

import bayespde as bp
from bayespde.core.terms import derivative_name
from bayespde.smooth.fit import with_uncertainty

pytestmark = pytest.mark.slow

ROWS = (
    ("burgers", 0.1),
    ("burgers", 0.5),
    ("kdv", 0.1),
    ("ks", 0.1),
    ("ks_wide", 0.1),
    ("advected_front", 0.2),
    ("allen_cahn", 0.1),
    ("fisher", 0.1),
)
# Relative L2 errors to reach with automatic settings.
LIMITS = {
    ("burgers", 0.1): {"u_x": 0.022, "u_xx": 0.065, "u_xxx": 0.16},
    ("burgers", 0.5): {"u_x": 0.075, "u_xx": 0.20},
    ("kdv", 0.1): {"u_t": 0.018, "u_x": 0.018, "u_xx": 0.06, "u_xxx": 0.20},
    ("ks", 0.1): {"u_x": 0.035, "u_xx": 0.075, "u_xxx": 0.17, "u_xxxx": 0.28},
    ("advected_front", 0.2): {"u_t": 0.035, "u_x": 0.025, "u_xx": 0.08, "u_xy": 0.065},
}
POINTS = 600


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full")
        rows = [(n, v, s) for s in range(6) for n, v in ROWS] if full else [("burgers", 0.1, 0)]
        metafunc.parametrize("row", rows, ids=lambda r: "-".join(map(str, r)))


@pytest.fixture(scope="module")
def table(request):
    return Table(Path(request.config.rootpath) / ".benchmarks" / "smoothing.json", keys=("data", "noise", "seed"))


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compilation is not what is timed."""
    times, x = np.linspace(0, 1, 20), np.linspace(0, 1, 30)
    field = bp.add_noise(bp.make_field(np.sin(3 * x + times[:, None]), t=times, x=x), 0.1, seed=0)
    bp.fit_field(field, options=bp.SmoothingConfig(smoother="auto", steps=2))


def errors(evaluate, derivatives, dims):
    """Relative L2 error by name."""
    return {
        derivative_name("u", o, dims): float(np.linalg.norm(evaluate(o) - exact) / np.linalg.norm(exact))
        for o, exact in derivatives.items()
    }


def errors_of_members(smooth, derivatives):
    """Median over the networks of their own errors, by name, at random grid points."""
    rng = np.random.default_rng(0)
    places = tuple(np.stack([rng.integers(0, n, POINTS) for n in smooth.field.shape]))
    points = np.stack([smooth.field[d].values[p] for d, p in zip(smooth.dims, places, strict=True)], axis=1)
    scales = smooth.spline.scales
    unit = np.column_stack([2 * scales.to_unit(d, points[:, i]) - 1 for i, d in enumerate(smooth.dims)])
    each, found = smooth.network.ensemble.each(unit, list(derivatives)), {}
    for column, (orders, exact) in enumerate(derivatives.items()):
        factor = scales.amplitude * scales.derivative_factor(orders) * 2.0 ** sum(orders)
        wanted = exact[places] - (0 if any(orders) else scales.offset)
        sizes = np.linalg.norm(each[..., column] * factor - wanted, axis=1) / np.linalg.norm(exact[places])
        found[derivative_name("u", orders, smooth.dims)] = float(np.median(sizes))
    return found


def coverage(smooth, derivatives, *, seed):
    """Share of random grid points at which the 90 % interval of a derivative holds the truth, by name."""
    field, rng = smooth.field, np.random.default_rng(seed)
    places = np.stack([rng.integers(0, n, POINTS) for n in field.shape])
    points = np.stack([field[d].values[p] for d, p in zip(field.dims, places, strict=True)], axis=1)
    found = {}
    for orders, exact in derivatives.items():
        mean, sd = smooth.at_points(orders, points)
        inside = np.abs(mean - exact[tuple(places)]) < 1.6449 * sd
        found[derivative_name("u", orders, smooth.dims)] = float(inside.mean())
    return found


def test_automatic_smoothing(table, row):
    name, noise, seed = row
    clean, derivatives = smoothing_sets.clean(name)
    field = bp.add_noise(clean, noise, seed=seed)
    start = time.process_time()
    options = bp.SmoothingConfig(smoother="auto", uncertainty=False)
    smooth = bp.fit_field(field, options=options, seed=seed)
    seconds = time.process_time() - start
    smooth = with_uncertainty(smooth)
    found = {
        "data": name,
        "noise": noise,
        "seed": seed,
        "seconds": seconds,
        "chosen": smooth.chosen,
        "choice": json.loads(smooth.choice.to_json()),
        "members": errors_of_members(smooth, derivatives),
        "error": errors(smooth.evaluate, derivatives, smooth.dims),
        "spline": errors(smooth.spline.evaluate, derivatives, smooth.dims),
        "coverage": coverage(smooth, derivatives, seed=seed),
    }
    limits = LIMITS.get((name, noise), {})
    found["missed"] = [n for n, limit in limits.items() if found["error"][n] > limit]
    table.append(found)
    low = [n for n in found["error"] if sum(map(n.count, "txy")) <= 2]
    ratio = np.exp(np.mean([np.log(found["error"][n] / found["spline"][n]) for n in low]))
    # The choice is never much worse than the spline, which is always there.
    assert ratio < 1.05
    assert min(found["coverage"].values()) > 0.5
