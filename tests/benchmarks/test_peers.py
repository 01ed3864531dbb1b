"""bayespde and the weak form of pysindy on identical noisy fields: support, coefficients, seconds; a page of the docs.

Without `--full`, one noise draw at 5 and 20 % of two equations, which takes minutes, and no page is touched.
"""

import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import peer_page
import pytest
import random_equations
import weak_sindy
from data_sets import TRUTH, load
from result_table import Table

import bayespde as bp
from bayespde.core.conjugate import CoefficientPosterior

pytestmark = pytest.mark.slow

SPLINE = bp.SmoothingConfig(smoother="spline")
LEVELS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5)
# The first ten published seeds, equations of one, two, three and four terms in turn.
DRAWN = [seed for group in zip(*random_equations.SEEDS.values(), strict=True) for seed in group][:10]


def pytest_generate_tests(metafunc):
    if "case" not in metafunc.fixturenames:
        return
    full = metafunc.config.getoption("--full")
    levels, draws = (LEVELS, 3) if full else ((0.05, 0.2), 1)
    # Seed by seed, so that a run that is cut short has every noise level.
    known = {n: [(n, v, s) for s in range(draws) for v in levels if v or not s] for n in ("burgers", "kdv", "ks")}
    cases = known["burgers"] + known["kdv"]
    if full:  # the slowest last
        cases += [("random", v, seed) for v in (0.0, 0.05, 0.2, 0.5) for seed in DRAWN] + known["ks"]
    metafunc.parametrize("case", cases, ids=lambda c: "-".join(map(str, c)))


@pytest.fixture(scope="module")
def table(request):
    return Table(Path(request.config.rootpath) / ".benchmarks" / "peers.json", keys=("data", "noise", "seed", "method"))


@pytest.fixture
def problem(request, case):
    """The noisy field and the true equation."""
    name, noise, seed = case
    if name == "random":
        return bp.add_noise(random_equations.clean(seed), noise, seed=seed), random_equations.draw(seed)[0]
    return load(request.getfixturevalue("data_folder"), name, noise=noise, seed=seed), TRUTH[name]


def by_bayespde(field):
    """The most probable equation with default settings; its rows are made from the spline whatever the smoother."""
    library = bp.polynomial_library("u", space=1)
    statistics = bp.assemble(library, bp.fit_field(field, options=SPLINE))
    exact = bp.enumerate_models(bp.SpinModel(statistics, library))
    best = exact.spins[np.argmax(exact.probability)]
    names = [name for name, on in zip(library.names, best, strict=True) if on]
    return dict(zip(names, map(float, CoefficientPosterior.of(statistics, best).mean), strict=True))


@pytest.fixture(scope="module")
def warm():
    """Compile and fill caches, so that the first row's seconds are like the others."""
    field = bp.add_noise(random_equations.clean(DRAWN[0]), 0.05, seed=0)
    by_bayespde(field)
    weak_sindy.blind(field, seed=0)


def measured(method, case, truth, find):
    """Run a method: its row of the table."""
    wall, processor = time.perf_counter(), time.process_time()
    found = find()
    seconds = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
    used = {"bayespde": version("bayespde"), "pysindy": version("pysindy")}
    return dict(zip(("data", "noise", "seed"), case, strict=True)) | {
        "method": method,
        "coefficients": found,
        **weak_sindy.agreement(found, truth),
        **seconds,
        "versions": used,
    }


@pytest.mark.usefixtures("warm")
def test_side_by_side(table, case, problem):
    field, truth = problem
    seed = case[2]
    methods = {
        "bayespde": lambda: by_bayespde(field),
        "pysindy blind": lambda: weak_sindy.blind(field, seed=seed),
        "pysindy tuned": lambda: weak_sindy.tuned(field, truth, seed=seed),
        "pysindy tuned, smoothed": lambda: weak_sindy.tuned(field, truth, seed=seed, window=weak_sindy.WINDOW),
    }
    ours, blind, tuned, _ = rows = [measured(method, case, truth, find) for method, find in methods.items()]
    for row in rows:
        table.append(row)
    # The oracle sees what the blind choice sees, and more.
    assert tuned["tpr"] >= blind["tpr"]
    if case[0] != "random" and case[1] <= 0.2:
        assert ours["exact"], ours


@pytest.mark.data
@pytest.mark.parametrize(("name", "largest"), [("burgers", 0.004), ("kdv", 0.004)])
def test_pysindy_is_used_as_it_should_be(data_folder, name, largest):
    """On clean data the tuned choice finds the equation, and its terms are those of the default library."""
    field = load(data_folder, name)
    rows = weak_sindy.weak_rows(field, share=weak_sindy.BLIND_SHARE, seed=0)
    assert set(rows.names) == set(bp.polynomial_library("u", space=1).names)
    row = weak_sindy.agreement(weak_sindy.tuned(field, TRUTH[name], seed=0), TRUTH[name])
    assert row["exact"]
    assert row["error"] <= largest


def test_the_page_is_written(request, table):
    if not request.config.getoption("--full"):
        pytest.skip("the page is written with --full only")
    text = peer_page.page(table.everything())
    (Path(request.config.rootpath) / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")
    assert text.count("\n## ") >= 1
