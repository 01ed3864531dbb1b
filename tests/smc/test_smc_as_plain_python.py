"""The compiled functions as plain Python: the same numbers, and no index beyond the end of an array.

Compiled code reads and writes beyond an array in silence.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import compiled
import engines
import numpy as np
import pytest
from oracles import random_rows

import bayespde as bp
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.smc.kernels.factorisation import build, store_basis
from bayespde.smc.kernels.layout import copy_active_set, make_active_set
from bayespde.smc.kernels.neighbour_odds import refresh

HERE, PACKAGE = Path(__file__).parent, Path(bp.__file__).parent


@pytest.fixture(scope="module")
def plain():
    """What a process without the compiler found."""
    folders = [PACKAGE.parent, HERE, HERE.parent]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(map(str, folders))}
    done = subprocess.run(
        [sys.executable, HERE / "engines.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_every_sampler_gives_the_same_numbers_without_the_compiler(plain):
    slow, fast = plain["answers"], engines.answers()
    assert slow.keys() == fast.keys()
    for name in fast:
        # Compiled sums may be in another order.
        bound = 100 * compiled.rounding(name.partition(",")[0])
        np.testing.assert_allclose(slow[name], fast[name], rtol=1e-12, atol=bound, err_msg=name)


def test_every_compiled_function_of_samplers_and_models_has_run_without_the_compiler(plain):
    """Also one that is added tomorrow."""
    wanted = set()
    for file in [*PACKAGE.glob("smc/**/*.py"), *PACKAGE.glob("model/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any("jit" in ast.unparse(d) for d in node.decorator_list):
                wanted.add(f"{file.relative_to(PACKAGE).as_posix()}:{node.name}")
    assert len(wanted) > 40
    assert wanted - set(plain["called"]) == set()


@pytest.mark.parametrize("spins", [(0, 0, 0, 0, 0), (1, 0, 1, 1, 0), (1, 1, 1, 1, 1)])
def test_a_copy_of_a_configuration_holds_every_number_of_it(spins):
    """By the plain function, into room that another configuration has left full."""
    model = SpinModel(SufficientStatistics.from_rows(*random_rows(np.random.default_rng(0), 60, 5, noise=2.0)))
    problem, tempered, source = compiled.prepared(model, 0.7)
    target = make_active_set(5, 5)
    for state, on in ((source, spins), (target, (0, 1, 1, 0, 0))):
        build(state, problem, np.array(on, dtype=bool))
        store_basis(state, problem)
        refresh(state, problem, tempered)
    compiled.plain(copy_active_set)(source, target)
    k = int(sum(spins))
    for name in ("place", "vectors", "number", "size"):
        np.testing.assert_array_equal(getattr(target, name), getattr(source, name), err_msg=name)
    for name in ("terms", "rows", "basis", "inflation", "solution"):
        np.testing.assert_array_equal(getattr(target, name)[:k], getattr(source, name)[:k], err_msg=name)
    np.testing.assert_array_equal(np.triu(target.inverse[:k, :k]), np.triu(source.inverse[:k, :k]))
