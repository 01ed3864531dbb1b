"""Bugs of one line in the compiled kernels, each in a copy of the package: the named test must fail on it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bayespde

TESTS = Path(__file__).parents[1]
BARKER, BRIDGE = "smc/test_smc_barker.py", "smc/test_smc_bridge.py"
PATHS = f"{BARKER}::test_simulated_paths_follow_the_matrices"
BUGS = {
    "none": ("jumps.py", "return key, left", "return key, left", PATHS),
    "a term that leaves takes nothing along": (
        "odds.py",
        "rss = number[RSS] + state.solution[i] ** 2 / state.spread[i]",
        "rss = number[RSS]",
        f"{BARKER}::test_flips_are_in_detailed_balance_and_leave_the_target_invariant",
    ),
    "what a column alone explained gets the wrong sign": (
        "odds.py",
        "product = vectors[PRODUCT, j] + cross[j] * explained",
        "product = vectors[PRODUCT, j] - cross[j] * explained",
        f"{BARKER}::test_relocations_leave_the_target_invariant",
    ),
    "the determinant shrinks when a column comes": (
        "factored.py",
        "state.number[LOGDET] += math.log(square)",
        "state.number[LOGDET] -= math.log(square)",
        PATHS,
    ),
    "waiting times of rate one": (
        "jumps.py",
        "wait = -math.log(uniform(key)) / total if total > 0.0 else math.inf",
        "wait = -math.log(uniform(key)) if total > 0.0 else math.inf",
        PATHS,
    ),
    "conditional probabilities of the wrong side": (
        "jumps.py",
        "conditional[j] += time * (1.0 - rate if state.place[j] >= 0 else rate)",
        "conditional[j] += time * (rate if state.place[j] >= 0 else 1.0 - rate)",
        PATHS,
    ),
    "rates remembered from another temperature": (
        "lookup.py",
        "if slot < 0 or stamp[slot] != call:",
        "if slot < 0:",
        f"{BARKER}::test_both_kernels_find_what_enumeration_finds",
    ),
    "a term that moves still counts where it was": (
        "odds.py",
        "field -= target.couplings[own, j]",
        "field -= 0.0",
        f"{BARKER}::test_relocations_leave_the_target_invariant",
    ),
    "couplings at full strength from the start of a bridge": (
        "barker.py",
        "share = temperature if isinstance(self.path, GeometricPath) else 1.0",
        "share = 1.0",
        f"{BRIDGE}::test_moves_keep_what_lies_between",
    ),
    "prior odds that do not follow the bridge": (
        "barker.py",
        "logits = prior + (1 - temperature) * (self._start - prior)",
        "logits = prior",
        f"{BRIDGE}::test_moves_keep_what_lies_between",
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
    # A kernel that is led astray may also read where it must not, which ends the process.
    wanted = {pytest.ExitCode.OK} if name == "none" else {pytest.ExitCode.TESTS_FAILED, -signal.SIGSEGV}
    assert answer.returncode in wanted, answer.stdout[-2000:]
