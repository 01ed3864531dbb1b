"""The cost of weak rows: against pysindy's in one process, with the number of pixels, and of a long video.

Processor seconds stand in `extra_info`, because other work on the machine does not stretch them; run with
OMP_NUM_THREADS=1 for figures of one thread. Nothing is asserted on a clock. The smooth field is ready in all of them:
it is made once, whatever the rows.
"""

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.weak.moments import weak_problem
from bayespde.weak.observed_field import ObservedField
from bayespde.weak.placement import dense_test_functions

SPLINE = bp.SmoothingConfig(smoother="spline")
LIBRARY = bp.polynomial_library("u", space=1)
NOISE = 0.05
# Every nth frame and pixel of the finest field, and with it 1, 2, 4 and 8 times the pixels of the coarsest.
STEPS = {1: (2, 4), 2: (2, 2), 4: (1, 2), 8: (1, 1)}


@pytest.fixture(scope="module")
def fine():
    """Viscous Burgers without noise, 201 frames of 1024 pixels."""
    spec = bp.SimulationSpec(
        equation="u_t = -u*u_x + 0.1*u_xx",
        extent={"x": 16.0},
        points={"x": 1024},
        times={"start": 0.0, "stop": 10.0, "frames": 201},
        initial={"kind": "random_waves", "modes": 4, "seed": 1},
    )
    return bp.simulate(spec)


@pytest.fixture(scope="module")
def line(fine):
    """101 frames of 256 pixels, 5 % noise, and its spline."""
    return _noisy(fine, STEPS[1])


@pytest.fixture(scope="module")
def video():
    """100 frames of 120 x 224 pixels, 5 % noise: waves that spread and drift, and their spline."""
    t, y, x = np.linspace(0, 4, 100)[:, None, None], np.linspace(0, 12, 120)[:, None], np.linspace(0, 22.4, 224)
    waves = np.random.default_rng(0).uniform(-1.5, 1.5, (8, 2))
    values = sum(np.exp(-0.1 * (a**2 + b**2) * t) * np.sin(a * (x - t) + b * y + i) for i, (a, b) in enumerate(waves))
    field = bp.add_noise(bp.make_field(values, t=t.ravel(), y=y.ravel(), x=x), NOISE, seed=0)
    return field, bp.fit_field(field, options=SPLINE)


def _noisy(fine, steps):
    frames, pixels = steps
    field = bp.add_noise(fine[::frames, ::pixels], NOISE, seed=0)
    return field, bp.fit_field(field, options=SPLINE)


def _seconds(function, rounds=5):
    """Median processor seconds after one call that fills caches."""
    function()
    return _median(function, rounds)


def _median(function, rounds):
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def _peak_megabytes(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def _record(benchmark, **values):
    benchmark.extra_info.update({k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in values.items()})


@pytest.mark.parametrize("kind", ["coarse", "dense"])
def test_moments_against_pysindy(benchmark, line, kind):
    """19 terms on 256 x 101 pixels: all our moments, with their first variations, against 500 subdomains of pysindy."""
    weak_sindy = pytest.importorskip("weak_sindy")
    field, smooth = line
    options, fields = bp.WeakForm(), (ObservedField(field, smooth.spline),)
    coarse = weak_problem(LIBRARY, fields, options=options).test_functions
    dense = dense_test_functions(coarse, tuple(map(str, field.dims)), options) if kind == "dense" else None

    def ours():
        return weak_problem(LIBRARY, fields, options=options, test_functions=dense)

    shares = dict(zip(("twentieth", "tenth"), weak_sindy.SHARES, strict=False))
    theirs = {k: _seconds(lambda s=s: weak_sindy.weak_rows(field, share=s, seed=0), 3) for k, s in shares.items()}
    seconds, rows = _seconds(ours), len(ours().target)
    benchmark.pedantic(ours, rounds=5)
    _record(benchmark, rows=rows, processor_seconds=seconds, pysindy_rows=weak_sindy.SUBDOMAINS)
    for name, value in theirs.items():
        each = (value / weak_sindy.SUBDOMAINS) / (seconds / rows)
        _record(
            benchmark, **{f"pysindy_{name}": value, f"ratio_{name}": value / seconds, f"ratio_per_row_{name}": each}
        )


def test_moments_are_linear_in_pixels(benchmark, fine, line):
    """The same test functions on 1, 2, 4 and 8 times the pixels, in space and time."""
    first = weak_problem(LIBRARY, (ObservedField(line[0], line[1].spline),), options=bp.WeakForm())
    seconds, rows = {}, set()
    for times, steps in STEPS.items():
        field, smooth = line if times == 1 else _noisy(fine, steps)
        fields, refined = (ObservedField(field, smooth.spline),), _refined(first.test_functions, field)

        def work(fields=fields, refined=refined):
            return weak_problem(LIBRARY, fields, options=bp.WeakForm(), test_functions=refined)

        seconds[times] = _seconds(work)
        rows.add(len(work().target))
    assert rows == {len(first.target)}
    slope = float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])
    benchmark.pedantic(work, rounds=3)
    _record(benchmark, rows=rows.pop(), exponent=slope, **{f"pixels_x{k}": v for k, v in seconds.items()})


def _refined(test_functions, field):
    """The same bumps on a finer grid; its last sample may lie a little farther out."""
    factors = [round((n - 1) / (w.samples - 1)) for n, w in zip(field.shape, test_functions, strict=True)]
    return tuple(
        replace(w, centres=w.centres * f, radius=w.radius * f, samples=n, spacing=w.spacing / f)
        for f, n, w in zip(factors, field.shape, test_functions, strict=True)
    )


def test_moments_of_a_video(benchmark, video):
    """23 terms on 2.7 million pixels, with the coarse test functions and the dense ones."""
    field, smooth = video
    library, options = bp.polynomial_library("u", space=2), bp.WeakForm()
    fields = (ObservedField(field, smooth.spline),)
    problem = weak_problem(library, fields, options=options)
    dense = dense_test_functions(problem.test_functions, tuple(map(str, field.dims)), options)
    for name, chosen in {"coarse": None, "dense": dense}.items():

        def work(chosen=chosen):
            return weak_problem(library, fields, options=options, test_functions=chosen)

        found = {"rows": len(work().target), "seconds": _median(work, 3), "megabytes": _peak_megabytes(work)}
        _record(benchmark, **{f"{name}_{key}": value for key, value in found.items()})
    benchmark.pedantic(work, rounds=1)
    _record(benchmark, field_megabytes=field.nbytes / 1e6)


def test_assembly_of_a_video(benchmark, request, video):
    """From the smooth field to compressed rows; memory as Python and numpy see it, measured in a second run."""
    if not request.config.getoption("--full"):
        pytest.skip("takes minutes: --full")
    field, smooth = video
    library = bp.polynomial_library("u", space=2)

    def work():
        return bp.assemble(library, smooth)

    seconds = _median(work, 1)
    peak = _peak_megabytes(work)
    benchmark.pedantic(lambda: None, rounds=1)
    _record(benchmark, processor_seconds=seconds, megabytes=peak, field_megabytes=field.nbytes / 1e6)
