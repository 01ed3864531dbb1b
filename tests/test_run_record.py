"""The record of a test run that a time limit ends: what did not run, and what failed, are named."""

import subprocess
import sys
from pathlib import Path

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


def test_what_did_not_run_and_what_failed_is_printed(tmp_path):
    (tmp_path / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (tmp_path / "test_toy.py").write_text(TOY)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--record", "record/run.txt"]
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
