"""Run the calibration laboratory: draw experiments, run every method on each, keep all results.

    python tests/benchmarks/run_laboratory.py --experiments 300 --workers 8

It can be stopped at any time, and goes on from where it was. What the results say: `laboratory_verdict.py`.
"""

import argparse
from itertools import count
from pathlib import Path

from laboratory.experiments import taken
from laboratory.measure import METHODS
from laboratory.misspecified import misspecified
from laboratory.store import Store, fill

FOLDER = Path(__file__).parents[2] / ".benchmarks" / "laboratory"
DRAWS_AT_A_TIME = 100
ALL = METHODS | {misspecified.__name__: misspecified}


def experiments(store: Store, wanted: int, workers: int) -> list[int]:
    """Seeds of the first so many draws that are taken."""
    found: list[int] = []
    for first in count(0, DRAWS_AT_A_TIME):
        fill(store, "taken", taken, range(first, first + DRAWS_AT_A_TIME), workers=workers)
        found += [s for s in range(first, first + DRAWS_AT_A_TIME) if store.read("taken", s) is None]
        if len(found) >= wanted:
            return found[:wanted]
    raise AssertionError


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(ALL))
    given = parser.parse_args()
    kept = Store(given.folder)
    chosen = experiments(kept, given.experiments, given.workers)
    for name in given.methods:
        fill(kept, name, ALL[name], chosen, workers=given.workers)
