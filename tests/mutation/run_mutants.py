"""A sample of mutants and the tests that reach them -> which are killed, a JSON line each; what is done is not redone.

    pytest -m "not slow" --cov --cov-report= --cov-context=test --junitxml=RESULTS
    python tests/mutation/run_mutants.py --coverage .coverage --durations RESULTS --output mutants.jsonl

A process forks for each mutant, after the libraries are loaded and before the package is. The mutated file lies in a
copy of the repository. Numba's cache does not notice a change of a function that another file calls: a mutant gets a
copy without the functions of its file and of all that import it.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from mutants import sample
from scipy.stats import binomtest
from selection import Reached, read_durations

ROOT = Path(__file__).parents[2]
FOLDERS = tuple(f"bayespde/{name}" for name in ("smc", "model", "weak", "trajectory"))
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".coverage*", "runs", "_build", "*.jsonl")


def copy_of_repository(folder):
    return Path(shutil.copytree(ROOT, Path(folder) / "tree", ignore=LEFT_OUT, symlinks=True))


def load_libraries():
    """Loads what takes long once, and nothing of the package."""
    for name in ("arviz", "matplotlib.pyplot", "numba", "pyro", "pytest", "scipy.stats", "sympy", "torch", "xarray"):
        import_module(name)


class InOrder:
    """Keeps these tests only, in this order."""

    def __init__(self, names):
        self.place = {name: k for k, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items):
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda item: self.place[item.nodeid])


def run_tests(names, tree, limit, log, cache):
    """The exit status of pytest in a fork: 0 passed, 5 no test, others failed, "timeout" after `limit` seconds."""
    child = os.fork()
    if child == 0:
        _become_pytest(names, tree, log, cache)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def _become_pytest(names, tree, log, cache):
    status = 3
    try:
        import numba

        numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(cache)
        os.setsid()
        os.chdir(tree)
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(tree))
        os.environ["PYTHONPATH"] = str(tree)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        import pytest

        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not slow and not system"]
        files = list(dict.fromkeys(name.partition("::")[0] for name in names))
        status = int(pytest.main([*options, *files], plugins=[InOrder(names)]))
    finally:
        os._exit(status)


class Workplace:
    """A copy of the repository with compiled functions that its tests have filled, for one worker."""

    def __init__(self, folder, reached):
        self.tree, self.log, self.warm = copy_of_repository(folder), folder / "log", folder / "compiled"
        self.reached = reached
        compiled = [name for name in reached.durations if name.startswith(("tests/smc/", "tests/model/"))]
        if status := run_tests(compiled, self.tree, 1200, self.log, self.warm):
            raise RuntimeError(f"tests fail without any change: {status}; {self.log.read_text()[-1500:]}")

    def compiled_without(self, module, folder):
        """A copy of the compiled functions, without those that depend on a module."""
        changed = {Path(module).stem} | {Path(file).stem for file in depending_on(module, self.tree)}
        cache = Path(shutil.copytree(self.warm, folder, copy_function=os.link))
        for file in cache.rglob("*.nb?"):
            if file.name.partition(".")[0] in changed:
                file.unlink()
        return cache

    def outcome_of(self, mutant):
        """Killed, by which group of tests and how, or survived; with the seconds that it took."""
        file, started, found = self.tree / mutant.file, time.monotonic(), {"outcome": "survived"}
        original, stamp = file.read_bytes(), file.stat()
        file.write_text(mutant.code(original.decode()), encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            cache = self.compiled_without(mutant.file, Path(folder) / "compiled")
            for group, names in zip(("first", "rest"), self.reached.first_and_rest(mutant), strict=True):
                limit = 180 + 2 * sum(self.reached.durations[name] for name in names)
                status = run_tests(names, self.tree, limit, self.log, cache) if names else 0
                if status not in (0, 5):
                    how = {"timeout": "timeout", 1: "failed"}.get(status, f"exit {status}")
                    found = {"outcome": "killed", "by": group, "how": how}
                    break
        file.write_bytes(original)
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        return {**found, "seconds": round(time.monotonic() - started, 1)}


def depending_on(module, tree):
    """Files with compiled functions that import a module, or one that does."""
    compiled = {f: f.read_text(encoding="utf-8") for f in (tree / "bayespde").rglob("*.py")}
    compiled = {str(f.relative_to(tree)): text for f, text in compiled.items() if "njit" in text}
    found, new = set(), {module}
    while new:
        names = [file.removesuffix(".py").replace("/", ".") for file in new]
        new = {f for f, text in compiled.items() if any(f"from {name} import" in text for name in names)} - found
        found |= new
    return found


def work(queue, options, lock):
    reached = Reached(options.coverage, read_durations(options.durations), options.covered_root)
    load_libraries()
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), reached)
        while (mutant := queue.get()) is not None:
            found = place.outcome_of(mutant)
            last = place.log.read_text(encoding="utf-8", errors="replace")[-1500:]
            with lock, options.output.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({**asdict(mutant), "kind": mutant.kind, **found, "log": last}) + "\n")


def table(records):
    """Rows of folder, mutants, killed, share with its Wilson interval of 95 %; the last for all."""
    groups = {"all": records}
    for record in records:
        groups.setdefault(record["file"].split("/")[1], []).append(record)
    for name, group in sorted(groups.items(), key=lambda item: item[0] == "all"):
        killed = Counter(r["outcome"] for r in group)["killed"]
        share, ends = killed / len(group), binomtest(killed, len(group)).proportion_ci(method="wilson")
        yield f"{name:12} {len(group):5} {killed:5} {share:7.3f}  {ends.low:.3f} to {ends.high:.3f}"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--coverage", type=Path, default=ROOT / ".coverage")
    parser.add_argument("--covered-root", type=Path, default=ROOT, help="the folder that the coverage was measured in")
    parser.add_argument("--durations", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():

    options = arguments()
    records = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    done = {(r["file"], r["operator"], r["occurrence"]) for r in records}
    chosen = sample(FOLDERS, ROOT, options.sample, options.seed)
    context = get_context("spawn")
    queue, lock = context.Queue(), context.Lock()
    for mutant in [m for m in chosen if (m.file, m.operator, m.occurrence) not in done] + [None] * options.workers:
        queue.put(mutant)
    workers = [context.Process(target=work, args=(queue, options, lock)) for _ in range(options.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    records = [json.loads(line) for line in options.output.read_text().splitlines()]
    survivors = [
        f"{r['file']}:{r['line']}:{r['column']} {r['operator']}" for r in records if r["outcome"] == "survived"
    ]
    print(*table(records), *survivors, sep="\n")


if __name__ == "__main__":
    main()
