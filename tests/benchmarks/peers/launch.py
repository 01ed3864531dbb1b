"""Name of a peer and a problem file -> its answers, run in its own environment as a subprocess."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from peers.problem import read, write_text

HERE = Path(__file__).parent
PEERS = {
    "particles": ("particles/bin/python", "run_particles.py"),
    "millipede": ("millipede/bin/python", "run_millipede.py"),
    "bms": ("Rscript", "run_bms.R"),
    "flips_and_swaps": (sys.executable, "run_flips_and_swaps.py"),
}


def run_peer(name, problem, answer, *, threads=1, timeout=600, **options):
    """Run a peer's adapter on a problem file; options become command-line options. Skips where it is not installed.

    Returns:
        One dict a seed: `inclusion` (in the library's order), `seconds`, `steps`, `seed` and what the peer adds.
    """
    interpreter, script = PEERS[name]
    if "/" in interpreter:
        interpreter = Path(os.environ.get("BAYESPDE_PEERS", "peers")) / interpreter
        if not interpreter.exists():
            pytest.skip(f"{name} is not installed: see tests/benchmarks/peers/README.md")
    elif shutil.which(interpreter) is None:
        pytest.skip(f"{name} is not installed: see tests/benchmarks/peers/README.md")
    content = None
    if script.endswith(".R"):
        content = read(problem)
        problem = Path(answer).with_suffix(".csv")
        write_text(problem, content)
    command = [str(interpreter), str(HERE / script), str(problem), str(answer)]
    for key, value in options.items():
        if value is True:
            command.append(f"--{key}")
        elif value is not False:
            command += [f"--{key}", *map(str, value if isinstance(value, list | tuple) else [value])]
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    environment |= {"OPENBLAS_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, env=environment, timeout=timeout, capture_output=True, text=True)
    answers = json.loads(Path(answer).read_text())
    if content is not None:  # peers that read text answer in the order of their columns
        for found in answers:
            found["inclusion"] = content.in_library_order(found["inclusion"]).tolist()
    return answers
