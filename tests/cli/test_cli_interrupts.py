"""Ctrl-C: exit code 130, one line that says what is kept, and a rerun that resumes after it."""

import os
import signal
import subprocess
import sys
import time

import pytest
import small_problem

from bayespde.cli import interrupts
from bayespde.cli.interrupts import interruptible
from bayespde.stages.run_folder import finished_files

# A process that a shell starts in the background ignores interrupts.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
MAIN = LISTEN + "from bayespde.cli import main; main()"
# Sampling that does not end while the test waits for it.
LONG = """
trajectory_matching = "never"
enumerate_up_to = 0
[library]
terms = ["u", "u**2", "u_x", "u_xx", "u*u_x", "u*u_xx"]
[sample]
particles = 100000
runs = 1000
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a console event there")


def interrupted(command, folder, when):
    """Start a command, interrupt it as soon as `when` is true, and return its exit code with what it has said."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not when() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            out, said = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, out, said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_discovery_says_what_is_kept_and_how_to_resume(workers, tmp_path):
    small_problem.video().to_netcdf(tmp_path / "video.nc")
    (tmp_path / "long.toml").write_text(LONG)
    command = [sys.executable, "-c", MAIN, "discover", "video.nc", "-o", "run", "--config", "long.toml"]
    command += ["--workers", workers]
    code, out, said = interrupted(command, tmp_path, lambda: "statistics.nc" in finished_files(tmp_path / "run"))
    assert code == 130
    (line,) = [line for line in said.splitlines() if "interrupted" in line]
    assert line == (
        "interrupted: smooth.nc, statistics.nc are finished in run; run the same command again to resume after them"
    )
    assert "Traceback" not in said
    assert "written:" not in out
    assert not (tmp_path / "run" / "posterior.nc").exists()


def test_an_interrupt_while_results_are_drawn_says_that_all_stages_are_finished(tmp_path):
    small_problem.video().to_netcdf(tmp_path / "video.nc")
    (tmp_path / "short.toml").write_text(LONG.replace("100000", "64").replace("1000", "2"))
    slow = "import time, bayespde.discovery.files as f\nf.write_results = lambda *_: time.sleep(600)\n"
    command = [sys.executable, "-c", slow + MAIN, "discover", "video.nc", "-o", "run", "--config", "short.toml"]
    code, _, said = interrupted(command, tmp_path, lambda: "posterior.nc" in finished_files(tmp_path / "run"))
    assert code == 130
    assert "interrupted: smooth.nc, statistics.nc, posterior.nc are finished in run" in said


def test_what_writes_nothing_says_so(tmp_path):
    spec = '[simulate]\nequation = "u_t = u_xx"\nextent = { x = 16.0 }\npoints = { x = 4096 }\n'
    spec += "times = { start = 0.0, stop = 6.0, frames = 60000 }\n"
    spec += 'initial = { kind = "random_waves", modes = 4, seed = 1 }\n'
    (tmp_path / "model.toml").write_text(spec)
    begin = time.monotonic()
    command = [sys.executable, "-c", MAIN, "simulate", "model.toml"]
    code, _, said = interrupted(command, tmp_path, lambda: time.monotonic() - begin > 4)
    assert code == 130
    assert "interrupted: nothing was written" in said
    assert [f.name for f in tmp_path.iterdir()] == ["model.toml"]


def test_an_interrupt_ends_even_work_that_does_not_notice_it(tmp_path):
    """Compiled code may run for minutes before Python sees the signal."""
    stuck = (
        LISTEN + "import os, threading, time\n"
        "from bayespde.cli.interrupts import interruptible\n"
        "threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "with interruptible():\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(60)\n"
        "        except KeyboardInterrupt:\n"
        "            pass\n"
    )
    done = subprocess.run([sys.executable, "-c", stuck], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert "interrupted: nothing was written" in done.stderr


def test_without_an_interrupt_nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(interrupts.os, "_exit", lambda _: pytest.fail("ended the process"))
    open_before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(3):
        with interruptible():
            pass
    assert signal.set_wakeup_fd(-1) == -1
    time.sleep(0.2)
    if open_before is not None:
        assert len(os.listdir("/proc/self/fd")) <= open_before
