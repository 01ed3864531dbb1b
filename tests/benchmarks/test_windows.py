"""Windows of larger periodic fields: what `discover` says of them by the rows and by the pixels."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayespde as bp

pytestmark = pytest.mark.slow

NOISE = 0.1
# Equation; length and points of the larger field; duration and frames; pixels of the window, the first of them; waves.
CASES = {
    "advection-diffusion": ("u_t = 0.05*u_xx - 0.8*u_x", (16.0, 256), (10.0, 101), (96, 100), 8),
    "burgers": ("u_t = 0.1*u_xx - u*u_x", (16.0, 256), (10.0, 101), (96, 60), 8),
    "heat": ("u_t = 0.3*u_xx", (16.0, 256), (10.0, 101), (96, 100), 8),
    "allen_cahn": ("u_t = 0.1*u_xx + u - u**3", (16.0, 256), (4.0, 81), (96, 100), 8),
    "ks": ("u_t = -u*u_x - u_xx - u_xxxx", (64.0, 256), (10.0, 101), (128, 60), 19),
}


@pytest.fixture(scope="module")
def table(request):
    """Collect one row per run and leave them as JSON for the documentation."""
    rows = []
    yield rows
    file = Path(request.config.rootpath) / ".benchmarks" / "windows.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(rows, indent=1))


def window_of(name, seed):
    """The noisy window, and the coefficient of every true term."""
    text, (length, points), (duration, frames), (pixels, first), waves = CASES[name]
    rng, x, start = np.random.default_rng(seed), length / points * np.arange(points), 0.0
    for k in range(1, waves + 1):
        a, b = rng.normal(size=2)
        turn = 2 * np.pi * k * x / length
        start = start + (a * np.cos(turn) + b * np.sin(turn)) * np.exp(-k / 6)
    equation, times = bp.Equation.from_string(text), np.linspace(0, duration, frames)
    clean = bp.integrate(equation, xr.DataArray(start / start.std(), dims="x", coords={"x": x}, name="u"), times)
    seen = clean.values[:, first : first + pixels]
    noisy = seen + NOISE * seen.std() * rng.normal(size=seen.shape)
    return bp.make_field(noisy, t=times, x=x[first : first + pixels]), equation.as_dict()


@pytest.mark.parametrize("name", list(CASES))
def test_pixels_know_a_window_better_than_rows(table, name):
    field, truth = window_of(name, 0)
    start = time.process_time()
    found = bp.discover(field, config=bp.DiscoverConfig(smoothing=bp.SmoothingConfig(smoother="spline")), seed=0)
    seconds = time.process_time() - start
    likelihood = found.posterior.likelihood
    assert (likelihood.kind, likelihood.boundary) == ("observation", "open"), likelihood
    best, before = (bp.equations(p, top=1)[0] for p in (found.posterior, found.weak_posterior))
    assert set(best.names) == set(truth)
    for one in (before, best):
        errors = [
            [n, c / truth.get(n, np.inf) - 1, s / abs(truth.get(n, np.inf))]
            for n, c, s in zip(one.names, one.coefficients, one.sd, strict=True)
        ]
        table.append({"data": name, "probability": one.probability, "errors": errors, "seconds": seconds})
    for term, value, sd in zip(best.names, best.coefficients, best.sd, strict=True):
        assert abs(value - truth[term]) < 5 * sd
        assert term not in before.names or sd < dict(zip(before.names, before.sd, strict=True))[term]
