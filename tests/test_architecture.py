"""The shape of the package: names, sizes, citations, imports, and who may print."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bayespde as bp

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bayespde"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "models" not in p.relative_to(PACKAGE).parts)
TREES = {p: ast.parse(p.read_text(encoding="utf-8")) for p in MODULES}
FUNCTIONS = [(p, node) for p, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
PUBLIC = {
    "BayespdeError", "Coupling", "DiscoverConfig", "Discovery", "Equation", "ForecastConfig", "GPriorSlab",
    "HyperGSlab", "IsotropicSlab", "Library", "SolverConfig", "ProfileLikelihood", "Posterior", "Prior", "PyroTarget",
    "SMCConfig", "SimulationSpec", "SmoothField", "Smoothing", "SpinModel", "SpinSMC", "StrongForm",
    "SufficientStatistics", "CoupledEquations", "CoupledDiscovery", "TemperedGibbsConfig", "TrajectoryConfig", "WeakForm",
    "__version__", "add_noise", "assemble", "leave_block_out_elpd", "validate_field", "model_checks", "joint_inclusion", "compare",
    "top_models", "format_scores", "diagnose", "differentiate", "discover", "discover_system",
    "enumerate_models", "equations", "figures", "fit_field", "format_comparison", "from_inference_data",
    "track_front", "genealogy", "inclusion_bayes_factors", "integrate", "isotropic_couplings",
    "log_posterior_odds", "make_field", "make_scattered", "named_library", "select_field", "pareto_front",
    "polynomial_library", "power_scaling_sensitivity", "forecast", "read_field", "refine",
    "report", "between_run_diagnostics", "sample", "scattered_from_video", "verify_front_position", "verify_forecast", "errors_in_variables_estimate",
    "simulate", "smc", "system_library", "tempering_history", "to_inference_data",
}  # fmt: skip


def short(path):
    return str(path.relative_to(ROOT))


def test_public_names_are_these():
    assert set(bp.__all__) == PUBLIC
    assert set(dir(bp)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_says_what_it_is(name):
    found = getattr(bp, name)
    assert isinstance(found, str) or (found.__doc__ or "").strip()


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        bp.magic  # noqa: B018


def test_every_module_says_what_it_turns_into_what():
    for path, tree in TREES.items():
        first = (ast.get_docstring(tree) or "").splitlines()[:1]
        assert first, short(path)
        assert len(first[0]) > 20, short(path)
        assert first[0].endswith((".", ":")) or len(ast.get_docstring(tree).splitlines()) > 1, short(path)


@pytest.mark.parametrize("stage", ["smooth", "library", "model", "smc", "solve", "results"])
def test_most_modules_of_a_stage_name_their_arrow(stage):
    lines = [ast.get_docstring(TREES[p]).splitlines()[0] for p in MODULES if p.parent.name == stage]
    with_arrow = [line for line in lines if "->" in line]
    assert len(with_arrow) >= 0.8 * len(lines), [line for line in lines if line not in with_arrow]


def test_modules_are_short():
    sizes = {short(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    assert {p: n for p, n in sizes.items() if n > 400} == {}


def _size(function):
    """Lines of a function, decorators and docstring not counted."""
    size = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function):
        size -= function.body[0].end_lineno - function.body[0].lineno + 1
    return size


def test_functions_are_short():
    sizes = {f"{short(p)}:{f.name}": _size(f) for p, f in FUNCTIONS}
    assert {f: n for f, n in sizes.items() if n > 60} == {}
    assert sum(n > 40 for n in sizes.values()) <= 0.02 * len(sizes), {f: n for f, n in sizes.items() if n > 40}


def test_everything_after_the_data_is_keyword_only():
    """A public function of a public name takes at most three arguments by position."""
    for name in PUBLIC - {"__version__", "figures", "smc"}:
        found = getattr(bp, name)
        if isinstance(found, type):
            continue
        code = found.__code__
        assert code.co_argcount <= 3, name


def test_names_promise_something():
    forbidden = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert [short(p) for p in MODULES if p.stem in forbidden] == []


def test_only_the_command_line_prints_or_exits():
    for path, tree in TREES.items():
        if path.parent.name == "cli":
            continue
        called = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
        assert "print" not in {f.id for f in called if isinstance(f, ast.Name)}, short(path)
        exits = {ast.unparse(f) for f in called} & {"sys.exit", "exit", "quit", "os._exit"}
        assert not exits, short(path)


def test_no_text_is_ever_evaluated():
    """No eval, exec, sympify or pickle anywhere; `lambdify` only in the one place that sees parsed trees."""
    for path, tree in TREES.items():
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        names |= {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert not names & {"exec", "sympify", "parse_expr", "pickle", "loads_pickle", "os.system", "popen"}, short(
            path
        )
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert "eval" not in called, short(path)


def test_no_global_state_or_hidden_seeds():
    forbidden = ("set_default_dtype", "np.random.seed", "set_rng_seed", "get_param_store", "pyro.param(")
    found = [(short(p), f) for p in MODULES for f in forbidden if f in p.read_text(encoding="utf-8")]
    assert found == []
    legacy = re.compile(r"np\.random\.(rand|randn|normal|uniform|choice|shuffle|permutation)\(")
    assert [short(p) for p in MODULES if legacy.search(p.read_text(encoding="utf-8"))] == []


def test_no_work_is_left_marked():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
    assert [short(p) for p in MODULES if marks.search(p.read_text(encoding="utf-8"))] == []


# Citations


def bibliography():
    return set(re.findall(r"@\w+\{([^,\s]+),", (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")))


def citations():
    """Pairs of module and key: brackets that hold nothing but keys such as `name2020`."""
    keys = r"\[([a-z]+\d{4}[a-z]*(?:, [a-z]+\d{4}[a-z]*)*)\]"
    found = [(p, inside) for p in MODULES for inside in re.findall(keys, p.read_text(encoding="utf-8"))]
    return [(short(p), key) for p, inside in found for key in inside.split(", ")]


def test_every_citation_is_in_the_bibliography():
    cited, known = citations(), bibliography()
    assert len(cited) > 20
    assert [(p, k) for p, k in cited if k not in known] == []


def test_the_bibliography_holds_every_key_once():
    keys = re.findall(r"@\w+\{([^,\s]+),", (ROOT / "docs" / "references.bib").read_text(encoding="utf-8"))
    assert len(keys) == len(set(keys))


# Imports


STAGES = {"smooth", "library", "model", "smc", "solve", "results"}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module


def test_a_stage_imports_core_and_nothing_else_of_ours():
    for path, tree in TREES.items():
        parts = path.relative_to(PACKAGE).parts
        allowed = {"core", parts[0]} if parts[0] in STAGES else {"core"} if parts[0] == "core" else None
        ours = {n.split(".")[1] for n in imported(tree) if n.startswith("bayespde.")}
        assert allowed is None or ours <= allowed, short(path)


@pytest.mark.parametrize(
    ("library", "where"),
    [
        ("arviz", {"results/arviz_bridge.py"}),
        ("matplotlib", {str(p.relative_to(PACKAGE)) for p in PACKAGE.glob("results/figures/*.py")}),
        ("typer", {"cli"}),
        ("jinja2", {"results/report/page.py"}),
        ("pyro", {"model", "smooth", "inference.py"}),
    ],
)
def test_heavy_libraries_stay_where_they_belong(library, where):
    for path, tree in TREES.items():
        name = path.relative_to(PACKAGE)
        if library in {n.split(".")[0] for n in imported(tree)}:
            assert str(name) in where or name.parts[0] in where, short(path)


def test_results_and_core_need_no_torch():
    code = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split('.')[0] in ('torch', 'pyro'):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import bayespde.core.field, bayespde.core.collinear, bayespde.core.posterior, bayespde.core.scales
import bayespde.results.inference_data, bayespde.results.equations, bayespde.results.diagnostics
import bayespde.results.pareto, bayespde.results.figures, bayespde.results.compare, bayespde.results.diagnose
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_import_contract_holds():
    command = shutil.which("lint-imports") or shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run([command, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


# The project


def test_the_version_is_said_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == bp.__version__
    assert (PACKAGE / "py.typed").is_file()
    assert project["license"] == "Apache-2.0"


def test_every_entry_point_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for target in project["scripts"].values():
        module, name = target.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_nothing_speaks_of_the_machine_it_was_written_on():
    words = re.compile(r"/work/|\.\./shared|/home/|/tmp/|/root/")
    texts = [*MODULES, *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.py"), ROOT / "README.md"]
    assert [short(p) for p in texts if words.search(p.read_text(encoding="utf-8"))] == []
