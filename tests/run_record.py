"""A test run -> a file of collected, finished and failed tests; that file -> the tests that did not run, or failed.

`pytest --record=FILE` writes it line by line, so that it is there when a time limit ends the run.
`python tests/run_record.py FILE` prints what is missing, and exits with 1 if a test failed.
"""

import sys
from pathlib import Path

import pytest


class RunRecord:
    """Writes lines such as `finished tests/io/test_io_read.py::test_name`; with xdist in the controller only."""

    def __init__(self, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        self.stream, self.written = file.open("w", encoding="utf-8"), set()

    def write(self, word, name):
        if (word, name) not in self.written:
            self.written.add((word, name))
            self.stream.write(f"{word} {name}\n")
            self.stream.flush()

    def pytest_collection_finish(self, session):
        for item in session.items:
            self.write("collected", item.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids):
        for name in ids:
            self.write("collected", name)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.write("failed", report.nodeid)
        if report.when == "teardown":
            self.write("finished", report.nodeid)


def missing(file):
    """Names of the tests that did not finish, of those that failed, and the number of tests."""
    lines = [line.split(" ", 1) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    named = {word: {n for w, n in lines if w == word} for word in ("collected", "finished", "failed")}
    return sorted(named["collected"] - named["finished"]), sorted(named["failed"]), len(named["collected"])


if __name__ == "__main__":
    not_run, failed, count = missing(sys.argv[1])
    print(f"{len(not_run)} of {count} tests did not run in the time given:", *not_run, sep="\n  ")
    print(f"{len(failed)} tests failed:", *failed, sep="\n  ")
    sys.exit(bool(failed))
