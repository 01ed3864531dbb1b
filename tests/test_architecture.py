"""The shape of the package: import contract, public names, sizes, citations, and what an import costs."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bayespde

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "bayespde").rglob("*.py"))
PUBLIC = """
BayespdeError DiscoverConfig Discovery Equation Library Posterior SimulationSpec SmoothField Smoothing SpinModel
Strong SufficientStatistics Weak __version__ add_noise assemble check_field compare differentiate discover
enumerate_models equations figures fit_field from_inference_data integrate make_field named_library pareto_front
polynomial_library read_field sample simulate smc to_inference_data
"""


def test_public_names_are_these_and_no_others():
    assert sorted(bayespde.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(bayespde, name) for name in bayespde.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bayespde.nothing


def test_import_costs_nothing():
    heavy = "torch pyro arviz matplotlib sympy xarray numba"
    code = f"import sys, bayespde; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_results_and_core_need_no_torch():
    code = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split('.')[0] in ('torch', 'pyro'):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import bayespde.results.inference_data, bayespde.results.equations, bayespde.results.diagnostics
import bayespde.results.pareto, bayespde.results.figures, bayespde.results.compare, bayespde.core.groups
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_import_contract_holds():
    tool = shutil.which("lint-imports") or shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run([tool], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_small_and_say_what_they_do(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module begins with what it turns into what"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            text = ast.get_docstring(node)
            length = node.end_lineno - node.lineno + 1 - (len(text.splitlines()) + 1 if text else 0)
            assert length <= 60, f"{node.name} has {length} lines"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            pytest.fail(f"print outside the command line, line {node.lineno}")


def test_only_their_own_modules_import_arviz_and_matplotlib():
    homes = {"arviz": {"arviz_bridge.py"}, "matplotlib": {"figures.py", "typeset.py"}}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for tool, allowed in homes.items():
                if any(n.split(".")[0] == tool for n in names):
                    assert path.name in allowed, f"{path.name} imports {tool}"


def test_every_citation_resolves():
    known = set(re.findall(r"@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")))
    cited = {}
    for path in MODULES:
        for group in re.findall(r"\[([a-z]+\d{4}[a-z]*(?:, [a-z]+\d{4}[a-z]*)*)\]", path.read_text(encoding="utf-8")):
            cited |= dict.fromkeys(group.split(", "), path.name)
    assert len(cited) >= 15
    assert {k: v for k, v in cited.items() if k not in known} == {}
