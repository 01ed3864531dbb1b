"""What `bayespde.diagnose` notices of planted failures, by their strength, and how often it cries wolf.

    python -m pytest tests/benchmarks/test_diagnose.py -m slow --full

The table of the documentation is `.benchmarks/diagnose.json`; without `--full` ten seeds per cell in place of forty.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
from planted_failures import PLANTED, healthy

import bayespde as bp

pytestmark = pytest.mark.slow
HEALTHY = 100
NOTICED_BY = {
    "frozen_runs": {"agreement", "precision"},
    "few_particles": {"precision", "evidence", "agreement"},
    "near_duplicates": {"groups", "condition"},
    "noise_taken_as_white": {"noise", "residual"},
    "too_much_power": {"information matrix"},
}
CELLS = [(plant, strength, k) for plant, strengths in PLANTED.items() for k, strength in enumerate(strengths)]


@pytest.fixture(scope="module")
def table(request):
    """Collect one row per cell, and leave them as JSON for the documentation."""
    rows = []
    yield rows
    file = Path(request.config.rootpath) / ".benchmarks" / "diagnose.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(rows, indent=1))


@pytest.mark.parametrize(("plant", "strength", "rank"), CELLS)
def test_planted_failures_are_noticed(plant, strength, rank, table, request, seed):
    count, name = 40 if request.config.getoption("--full") else 10, plant.__name__
    found = [bp.diagnose(plant(strength, seed * count + s)) for s in range(count)]
    failed = [{c.name for c in f.failed} for f in found]
    noticed = sum(bool(f & NOTICED_BY[name]) for f in failed)
    table.append(
        {
            "planted": name,
            "strength": strength,
            "noticed": noticed,
            "of": count,
            "by": Counter(n for f in failed for n in f),
        }
    )
    # At the last strength of each it hardly matters any more.
    if rank == 0:
        assert noticed == count
    if rank == 1:
        assert noticed >= 0.7 * count


def test_a_healthy_posterior_is_hardly_ever_doubted(table, seed):
    failed = [{c.name for c in bp.diagnose(healthy(seed * HEALTHY + s)).failed} for s in range(HEALTHY)]
    alarms = sum(map(bool, failed))
    table.append({"planted": "nothing", "noticed": alarms, "of": HEALTHY, "by": Counter(n for f in failed for n in f)})
    # One in twenty, and three standard errors of a hundred.
    assert alarms <= 5 + 3 * (HEALTHY * 0.05 * 0.95) ** 0.5
