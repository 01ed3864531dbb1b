"""Seconds and peak memory per stage on simulated videos; run by `make bench`, never asserted on a clock."""

import tracemalloc

import numpy as np
import pytest

import bayespde as bp
from bayespde.smc import SMCConfig, enumerate_exact, run_all

SPLINE = bp.SmoothingConfig(smoother="spline")


@pytest.fixture(scope="module")
def line():
    """Viscous Burgers, 101 frames of 256 pixels, 5 % noise."""
    return _simulated("u_t = -u*u_x + 0.1*u_xx", {"x": 16.0}, {"x": 256}, 10.0, 101)


@pytest.fixture(scope="module")
def plane():
    """Driven Allen-Cahn, 60 frames of 64 x 48 pixels, 5 % noise."""
    return _simulated("u_t = 0.2*u - u**3 + u_xx + u_yy", {"y": 64.0, "x": 48.0}, {"y": 64, "x": 48}, 20.0, 60)


def _simulated(equation, extent, points, stop, frames):
    spec = bp.SimulationSpec(
        equation=equation,
        extent=extent,
        points=points,
        times={"start": 0.0, "stop": stop, "frames": frames},
        initial={"kind": "random_waves", "modes": 4, "seed": 1},
        noise=0.05,
    )
    return bp.simulate(spec)


def _peak_megabytes(function):
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return round(peak, 1)


@pytest.mark.parametrize("name", ["line", "plane"])
def test_spline(benchmark, request, name):
    field = request.getfixturevalue(name)
    benchmark.extra_info["megabytes"] = _peak_megabytes(lambda: bp.fit_field(field, options=SPLINE))
    benchmark(lambda: bp.fit_field(field, options=SPLINE))


@pytest.mark.parametrize("name", ["line", "plane"])
def test_weak_rows(benchmark, request, name):
    field = request.getfixturevalue(name)
    smooth = bp.fit_field(field, options=SPLINE)
    library = bp.Library.from_strings(["u", "u**2", "u**3", "u_x", "u_xx", "u*u_x"])

    def work():
        return bp.assemble(library, smooth)

    benchmark.extra_info["megabytes"] = _peak_megabytes(work)
    benchmark(work)


def _model(terms):
    rng = np.random.default_rng(0)
    design = rng.normal(size=(200, terms)) @ (np.eye(terms) + 0.3 * rng.normal(size=(terms, terms)))
    target = design[:, :3].sum(axis=1) + rng.normal(size=200)
    return bp.SpinModel(bp.SufficientStatistics.from_rows(design, target), None)


@pytest.mark.parametrize("terms", [16, 19, 23])
def test_enumeration(benchmark, terms):
    model = _model(terms)
    benchmark.extra_info["megabytes"] = _peak_megabytes(lambda: enumerate_exact(model))
    benchmark.pedantic(lambda: enumerate_exact(model), rounds=3)


@pytest.mark.parametrize("terms", [19, 50])
def test_sampling(benchmark, terms):
    model = _model(terms)
    config = SMCConfig(particles=2048, runs=1)
    benchmark.pedantic(lambda: run_all(model, config=config, seed=0), rounds=3, warmup_rounds=1)
