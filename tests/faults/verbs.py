"""Every verb of the command line, as a process that can be killed, limited, or run on a file system that fails.

A new verb is one line of `VERBS`, or a name in `READ_ONLY` if it writes nothing.
"""

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from errno import EIO
from functools import cache
from hashlib import sha256
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

import xarray as xr
from failing_system import FailingSystem
from tiny_run import REFERENCE, SPEC, TERMS
from tqdm import tqdm

from bayespde.core import checksum, netcdf, output_stream

SETTINGS = """
[smooth]
smoother = "spline"
steps = 20
[[smooth.networks]]
width = 4
depth = 2
members = 1
batch = 64
collocation = 16
check_every = 10
[sample]
particles = 4
runs = 2
final_passes = 1
"""
DISCOVER = "discover {work}/field.nc -o {work}/new --terms u_xx,u*u_x --config {work}/settings.toml --holdout-frames 4"
# Their arguments, in a folder `work` that holds a video, settings, a model, and a finished run.
VERBS = {
    "simulate": "simulate {work}/model -o {work}/simulated.nc",
    "smooth": "smooth {work}/field.nc -o {work}/smoothed.nc",
    "discover": DISCOVER,
    "run": "run {work}/model -o {work}/declared",
    "derivatives": "derivatives {work}/run --smoother network",
    "forecast": "forecast {work}/run --until 3 --frames 4 --draws 4",
    "report": "report {work}/run",
    "models check": "models check {work}/model --write",
}
READ_ONLY = {"diagnose", "compare", "models list", "models show"}
# Few particles find rough coefficients; the text makes the file longer than a limit.
WIDE = {"sd_tolerance": 20, "relative_tolerance": 1, "source": "known " * 1000}
# Times and durations: what differs between two runs with the same results.
TIMES = {"created_at", "sampling_time", "settings", "sampling", checksum.CHECKSUM}


def declaration():
    """The small video as a model."""
    lines = ['title = "small"', "seed = 1", SETTINGS, "[library]", f"terms = {json.dumps(TERMS)}", "[simulate]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in SPEC.items() if not isinstance(value, dict)]
    for key in ("extent", "points", "times", "initial"):
        lines += [f"[simulate.{key}]", *(f"{k} = {json.dumps(v)}" for k, v in SPEC[key].items())]
    return "\n".join(lines)


def prepare(work):
    """A folder with everything that a verb reads."""
    (work / "model").mkdir(parents=True)
    (work / "model" / "model.toml").write_text(declaration())
    (work / "model" / "reference.json").write_text(json.dumps(REFERENCE | WIDE))
    (work / "settings.toml").write_text(SETTINGS)
    assert run("simulate {work}/model -o {work}/field.nc", work) == 0
    assert run(DISCOVER.replace("/new", "/run"), work) == 0, output(work)
    return work


def copy(source, target):
    shutil.copytree(source, target)
    return target


# Processes

_FORKS = multiprocessing.get_context("forkserver")


@cache
def _warm():
    """Start the process that is forked for every verb, with everything imported and compiled."""
    here = Path(__file__).parent
    path = [str(here), str(here.parent), os.environ.get("PYTHONPATH", "")]
    _FORKS.set_forkserver_preload(["verbs_preloaded"])
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(path), OMP_NUM_THREADS="1"):
        forkserver.ensure_running()


def start(arguments, work, limit=None, failing=None):
    """Start a verb: `limit` bytes a file at most, or a failing function of the file system and its n-th call."""
    _warm()
    process = _FORKS.Process(target=_verb, args=(arguments.format(work=work).split(), _output(work), limit, failing))
    process.start()
    return process


def run(arguments, work, **faults):
    """Run a verb to its end; its exit status."""
    process = start(arguments, work, **faults)
    process.join(300)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{arguments} did not end; see {output(work)}")
    return process.exitcode


def kill(arguments, work, after):
    """Kill a verb after some seconds, if it still runs by then; whether it did."""
    process = start(arguments, work)
    time.sleep(after)
    process.kill()
    process.join()
    return process.exitcode < 0


def output(work):
    """What the last process said."""
    return _output(work).read_text(errors="replace")


@cache
def _outputs():
    return tempfile.TemporaryDirectory(prefix="bayespde-verbs-")


def _output(work):
    """Beside the prepared folders, never on the file system that is full."""
    return Path(_outputs().name) / f"{sha256(str(work).encode()).hexdigest()[:16]}.txt"


def _verb(arguments, output, limit, failing):
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if failing is not None and failing[0] == "read":
        netcdf.seal_of = FailingSystem("seal_of", failing[1], EIO, of=checksum).seal_of
    elif failing is not None:
        output_stream.os = FailingSystem(*failing)
    # Forked processes share the lock of the bars: one that is killed while it holds it would stop all others.
    tqdm.set_lock(threading.RLock())
    from bayespde.cli import main

    sys.argv = ["bayespde", *arguments]
    main()


# Results


def results(work):
    """Everything in a folder, without times and durations, to be compared."""
    found = {}
    for file in sorted(work.rglob("*")):
        if file.is_file():
            found[str(file.relative_to(work))] = _result(file)
    return found


def _result(file):
    if file.suffix == ".nc":
        with xr.open_datatree(file, engine="h5netcdf", decode_times=False) as tree:
            tree.load()
            parts = [node.to_dataset(inherit=False) for node in tree.subtree]
            return [part.assign_attrs(dict.fromkeys(TIMES & set(part.attrs), "")) for part in parts]
    if file.name == "provenance.json":
        return json.loads(file.read_text())["stages"]
    if file.suffix == ".html":
        return file.stat().st_size > 0
    return file.read_bytes()


def temporaries(work):
    """Temporary files that were left."""
    return [file.name for file in work.rglob(f"{output_stream.PREFIX}*")]
