"""One seed, one result: bit for bit, whatever the threads, workers, hash seed, locale, time zone and folder."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bayespde as bp

TESTS = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
USUAL = {"threads": "1", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
OTHERS = {
    "two threads, two workers, another locale": USUAL
    | {"threads": "2", "PYTHONHASHSEED": "7", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "workers": "2"},
    "four threads": USUAL | {"threads": "4", "PYTHONHASHSEED": "random", "LC_ALL": "C"},
}


def results(folder, threads, workers="1", **environment):
    settings = os.environ | dict.fromkeys(THREADS, threads) | environment
    settings["PYTHONPATH"] = os.pathsep.join([str(TESTS), *sys.path])
    command = [sys.executable, str(TESTS / "results_of_all_stages.py"), workers]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return results(tmp_path_factory.mktemp("usual"), **USUAL)


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_one_seed_gives_one_result(usual, tmp_path, case):
    assert results(tmp_path, **OTHERS[case]) == usual


def sums_in_one_order(function):
    while function is not None:
        if function.__code__.co_qualname.startswith("in_one_order."):
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def test_every_long_function_sums_in_one_order():
    """What takes long enough to show progress multiplies matrices, whose last digits depend on the threads else."""
    functions = [getattr(bp, name) for name in dir(bp)]
    long = [f for f in functions if inspect.isfunction(f) and "progress" in inspect.signature(f).parameters]
    assert {bp.discover, bp.assemble, bp.sample} <= set(long)
    assert [f.__name__ for f in long if not sums_in_one_order(f)] == []
