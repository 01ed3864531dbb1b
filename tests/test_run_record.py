"""The record of a test run that a time limit ends: what did not run, and what failed, are named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import run_record

HERE = Path(__file__).parent
TOY = """
import pathlib, signal, os
import pytest

@pytest.mark.parametrize("number", range(4))
def test_of(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    assert number != 1
"""

SLOW_TOY = """
import pytest

@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_of(number):
    pass
"""


def test_what_did_not_run_and_what_failed_is_printed(tmp_path):
    (tmp_path / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (tmp_path / "test_toy.py").write_text(TOY)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--record=record/run.txt"]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, env={"PYTHONPATH": str(HERE)})
    not_run, failed, count = run_record.missing(tmp_path / "record" / "run.txt")
    assert not_run == ["test_toy.py::test_of[2]", "test_toy.py::test_of[3]"]
    assert failed == ["test_toy.py::test_of[1]"]
    assert count == 4
    done = subprocess.run(
        [sys.executable, HERE / "run_record.py", tmp_path / "record" / "run.txt"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "2 of 4 tests did not run in the time given:"
    assert "  test_toy.py::test_of[1]" in done.stdout.splitlines()


@pytest.mark.slow
def test_make_records_the_slow_tests_of_all_processes_run_after_run(tmp_path):
    """The file that the first process makes must not change what the other processes, or the next run, understand."""
    (tmp_path / "tests").mkdir()
    for name in ("conftest.py", "run_record.py"):
        (tmp_path / "tests" / name).write_text((HERE / name).read_text())
    (tmp_path / "tests" / "test_toy.py").write_text(SLOW_TOY)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["tests"]\nmarkers = ["slow"]\n')
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environment = os.environ | {"PYTEST_XDIST_AUTO_NUM_WORKERS": "2"}
    for _ in range(2):
        command = ["make", "-f", HERE.parent / "Makefile", "-o", ".venv/.test", "test-slow"]
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert run_record.missing(tmp_path / ".pytest_cache" / "slow-tests.txt") == ([], [], 4)
