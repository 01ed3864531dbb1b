"""Verbs that are killed at random times: after a rerun everything is as if they had never been."""

import time

import numpy as np
import pytest
import verbs
from file_kinds import equal

# Kills of one folder before a verb runs to its end there.
IN_A_ROW = 4


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return verbs.prepare(tmp_path_factory.mktemp("killed") / "work")


@pytest.mark.slow
@pytest.mark.parametrize("verb", verbs.VERBS)
def test_killed_verbs_end_with_the_same_results(prepared, tmp_path, seed, request, verb):
    arguments, rng = verbs.VERBS[verb], np.random.default_rng([seed, *verb.encode()])
    undisturbed = verbs.copy(prepared, tmp_path / "undisturbed")
    started = time.monotonic()
    assert verbs.run(arguments, undisturbed) == 0, verbs.output(undisturbed)
    duration, wanted = time.monotonic() - started, verbs.results(undisturbed)
    left, killed = -(-request.config.getoption("--kills") // len(verbs.VERBS)), 0
    while left > 0:
        work = verbs.copy(prepared, tmp_path / f"work{left}")
        for _ in range(min(left, IN_A_ROW)):
            killed += verbs.kill(arguments, work, rng.uniform(0, duration))
            left -= 1
        assert verbs.run(arguments, work) == 0, verbs.output(work)
        found = verbs.results(work)
        assert verbs.temporaries(work) == []
        assert found.keys() == wanted.keys()
        assert not [name for name in wanted if not equal(found[name], wanted[name])]
    assert killed > 0
