"""Coverage of a test run and its durations -> the tests that reach a line, the most promising first."""

import xml.etree.ElementTree as ElementTree
from itertools import accumulate
from pathlib import Path

from coverage import CoverageData

# Seconds that the first tests of a mutant may take together, and all of them.
FIRST, MOST = 40.0, 100.0
# Files with tests of every public signature and setting.
OF_EVERYTHING = {f"tests/test_{name}.py" for name in ("architecture", "doors", "settings", "bad_input")}


def read_durations(file):
    """Names of tests as pytest takes them -> seconds, of a run with `--junitxml`."""
    durations = {}
    for case in ElementTree.parse(file).iter("testcase"):
        if case.find("skipped") is None:
            path = case.get("classname").replace(".", "/") + ".py"
            durations[f"{path}::{case.get('name')}"] = float(case.get("time"))
    return durations


def folder_of(file):
    """The folder of the tests of a module."""
    return f"tests/{file.split('/')[1]}/"


class Reached:
    """Which tests reach which lines; built once for a run with `--cov-context=test`."""

    def __init__(self, coverage_file, durations, root):
        self.data = CoverageData(str(coverage_file))
        self.data.read()
        self.durations, self.root = durations, Path(root)
        self.lines = {}

    def tests_of(self, file):
        """Line -> names of the tests that run it, as far as coverage can tell."""
        if file not in self.lines:
            contexts = self.data.contexts_by_lineno(str(self.root / file))
            self.lines[file] = {
                line: {c.rpartition("|")[0] for c in names} & self.durations.keys() for line, names in contexts.items()
            }
        return self.lines[file]

    def of(self, mutant):
        """Names of the tests to run: those that reach the line first; among them those of its module, then fast ones.

        Of a compiled function, or a line that runs when the module is imported, coverage knows none or the first. The
        tests of the same folder are added there, first of those files that name the module, and those of all settings.
        """
        reached = self.tests_of(mutant.file).get(mutant.line, set())
        folder, module = folder_of(mutant.file), mutant.file.removesuffix(".py").replace("/", ".")
        near = {t for t in self.durations if t.startswith(folder) or t.partition("::")[0] in OF_EVERYTHING}
        added = near if len(reached) < 3 else set()
        files = {name.partition("::")[0] for name in added}
        naming = {file for file in files if module in (self.root / file).read_text(encoding="utf-8")}

        def order(test):
            file = test.partition("::")[0]
            near = file.endswith(f"_{module.rpartition('.')[2]}.py"), file in naming, test.startswith(folder)
            return test not in reached, *(not yes for yes in near), self.durations[test]

        return sorted(reached | added, key=order)

    def first_and_rest(self, mutant):
        """Tests that take `FIRST` seconds together; and others, also those that may share a fixture with them."""
        names = self.of(mutant)
        files = {name.partition("::")[0] for name in names if name.startswith(folder_of(mutant.file))}
        sharing = {name for name in self.durations if name.partition("::")[0] in files} - set(names)
        names += sorted(sharing, key=self.durations.get)
        spent = list(accumulate(self.durations[name] for name in names))
        first, most = (max(1, sum(seconds <= limit for seconds in spent)) for limit in (FIRST, MOST))
        return names[:first], names[first:most]
