"""One-line bugs in the compiled kernels, each in a copy of the package -> the named test that fails on it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bayespde

TESTS = Path(__file__).parents[1]
JUMPS, GEOMETRIC_PATH = "smc/test_smc_locally_balanced.py", "smc/test_smc_geometric_path.py"
PATHS = f"{JUMPS}::test_simulated_paths_follow_the_matrices"
BUGS = {
    "none": ("kernels/jumps.py", "return key, left", "return key, left", PATHS),
    "a dropped term explained nothing": (
        "kernels/neighbour_odds.py",
        "rss = number[RSS] + state.solution[i] ** 2 / state.inflation[i]",
        "rss = number[RSS]",
        f"{JUMPS}::test_flips_are_in_detailed_balance_and_leave_the_target_invariant",
    ),
    "the product with what one column alone explains has the wrong sign": (
        "kernels/swap_odds.py",
        "product = vectors[PRODUCT, j] + cross[j] * explained",
        "product = vectors[PRODUCT, j] - cross[j] * explained",
        f"{JUMPS}::test_swaps_leave_the_target_invariant",
    ),
    "the determinant shrinks when a column is added": (
        "kernels/factorisation.py",
        "state.number[LOGDET] += math.log(square)",
        "state.number[LOGDET] -= math.log(square)",
        PATHS,
    ),
    "waiting times of rate one": (
        "kernels/jumps.py",
        "wait = -math.log(uniform(key)) / total if total > 0.0 else math.inf",
        "wait = -math.log(uniform(key)) if total > 0.0 else math.inf",
        PATHS,
    ),
    "conditional probabilities of the opposite state": (
        "kernels/jumps.py",
        "conditional[j] += time * (1.0 - rate if state.place[j] >= 0 else rate)",
        "conditional[j] += time * (rate if state.place[j] >= 0 else 1.0 - rate)",
        PATHS,
    ),
    "cached rates of another inverse temperature": (
        "kernels/cached_jumps.py",
        "if slot < 0 or stamp[slot] != call:",
        "if slot < 0 or stamp[slot] < 0:",
        f"{JUMPS}::test_both_kernels_find_what_enumeration_finds",
    ),
    "a swapped term is still coupled with the others": (
        "kernels/swap_odds.py",
        "field -= target.couplings[own, j]",
        "field -= 0.0",
        f"{JUMPS}::test_swaps_leave_the_target_invariant",
    ),
    "couplings at full strength along a geometric path": (
        "geometric_path.py",
        "return prior + (1 - beta) * (path.logits - prior), beta",
        "return prior + (1 - beta) * (path.logits - prior), 1.0",
        f"{GEOMETRIC_PATH}::test_moves_leave_the_path_invariant",
    ),
    "prior odds that do not follow the geometric path": (
        "geometric_path.py",
        "return prior + (1 - beta) * (path.logits - prior), beta",
        "return prior, beta",
        f"{GEOMETRIC_PATH}::test_moves_leave_the_path_invariant",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_in_a_kernel_is_caught(name, seed, tmp_path):
    file, line, bug, check = BUGS[name]
    shutil.copytree(Path(bayespde.__file__).parent, tmp_path / "bayespde", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "bayespde" / "smc" / file
    text = source.read_text(encoding="utf-8")
    assert text.count(line) == 1 or name == "none"
    source.write_text(text.replace(line, bug), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--seed", str(seed)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    answer = subprocess.run(
        [*command, str(TESTS / check)], env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=900
    )
    # a wrong kernel may also read outside its arrays, which ends the process
    wanted = {pytest.ExitCode.OK} if name == "none" else {pytest.ExitCode.TESTS_FAILED, -signal.SIGSEGV}
    assert answer.returncode in wanted, answer.stdout[-2000:]
