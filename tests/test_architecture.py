"""The shape of the package: names, sizes, citations, imports, and who may print."""

import ast
import importlib
import inspect
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
# The rooms of the package, from the ground up: core, what needs core only, the stages, and what joins them.
BELOW = {"noise", "solve"}
STAGES = {"io", "smooth", "library", "weak", "trajectory", "model", "smc", "results"}
ROOMS = {"core", "stages", "forecasting", "discovery", "zoo", "cli"} | STAGES | BELOW
SNAPSHOT = ROOT / "tests" / "public_api.txt"


def short(path):
    return str(path.relative_to(ROOT))


def signature(name):
    """A public name with its parameters, as one line."""
    found = getattr(bp, name)
    if not callable(found) or isinstance(found, type(ast)):
        return name
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:
        return name
    # Annotations and defaults may change without breaking a call.
    return f"{name}({', '.join(str(p.replace(annotation=p.empty)) for p in parameters)})"


def test_public_names_and_signatures_are_those_of_the_snapshot():
    """After a wanted change: python tests/test_architecture.py > tests/public_api.txt."""
    assert sorted(dir(bp)) == sorted(bp.__all__)
    assert [signature(name) for name in sorted(bp.__all__)] == SNAPSHOT.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", sorted(bp.__all__))
def test_every_public_name_is_there_and_documented(name):
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


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_most_modules_of_a_stage_name_their_arrow(stage):
    lines = [
        ast.get_docstring(TREES[p]).splitlines()[0]
        for p in MODULES
        if p.relative_to(PACKAGE).parts[0] == stage and p.name != "__init__.py"
    ]
    with_arrow = [line for line in lines if "->" in line]
    assert len(with_arrow) >= 0.8 * len(lines), [line for line in lines if line not in with_arrow]


def test_modules_are_short():
    sizes = {short(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    assert {p: n for p, n in sizes.items() if n > 300} == {}


def test_nothing_but_its_face_stands_at_the_root():
    there = {p.name for p in PACKAGE.iterdir() if p.suffix not in (".json", ".bib", ".cff")}
    assert there - {"models", "__pycache__"} == {"__init__.py", "py.typed", *ROOMS}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_every_room_opens_with_its_key_types(room):
    """Three to ten lines on what it turns into what, and on the types that flow through it."""
    lines = ast.get_docstring(TREES[PACKAGE / room / "__init__.py"]).splitlines()
    assert 3 <= len(lines) <= 12, lines


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=short)
def test_types_that_a_room_names_exist(path):
    """A renamed class must not live on in the docstring that explains its room."""
    named = set(re.findall(r"`([A-Z][a-z]\w+)`", ast.get_docstring(TREES[path]) or ""))
    classes = {node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    aliases = {
        t.id for tree in TREES.values() for n in tree.body for t in getattr(n, "targets", ()) if hasattr(t, "id")
    }
    of_libraries = {"DataTree", "Figure"}
    assert not named - classes - aliases - of_libraries


def _size(function):
    """Lines of a function, decorators and docstring not counted."""
    size = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function):
        size -= function.body[0].end_lineno - function.body[0].lineno + 1
    return size


def test_functions_are_short():
    sizes = {f"{short(p)}:{f.name}": _size(f) for p, f in FUNCTIONS}
    assert {f: n for f, n in sizes.items() if n > 40} == {}


# Verbs of the command line, whose parameters are options; constructors with one argument an axis; and the term grid of
# the default library. Compiled loops over arrays are exempt: a tuple of arrays would be taken apart in every call.
MANY_PARAMETERS = {"cli", "make_field", "make_scattered", "polynomial_library"}


def is_compiled(function):
    return any("jit" in ast.unparse(d) for d in function.decorator_list)


def test_functions_have_at_most_six_parameters():
    counts = {}
    for path, function in FUNCTIONS:
        arguments = function.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        count = len([n for n in names if n not in ("self", "cls")])
        if count > 6 and not MANY_PARAMETERS & {path.parent.name, function.name} and not is_compiled(function):
            counts[f"{short(path)}:{function.name}"] = count
    assert counts == {}


def test_everything_after_the_data_is_keyword_only():
    """A public function of a public name takes at most three arguments by position."""
    for name in set(bp.__all__) - {"__version__", "figures", "smc"}:
        found = getattr(bp, name)
        if isinstance(found, type):
            continue
        code = found.__code__
        assert code.co_argcount <= 3, name


def data_classes():
    """Name of every data class, its decorator, and the annotations of its fields."""
    for node in (n for tree in TREES.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
        for decorator in (d for d in map(ast.unparse, node.decorator_list) if "dataclass" in d):
            yield node.name, decorator, [ast.unparse(f.annotation) for f in node.body if isinstance(f, ast.AnnAssign)]


def test_data_classes_are_frozen():
    """What is handed on does not change behind those who hold it; the search of one field keeps what it has found."""
    assert {name for name, decorator, _ in data_classes() if "frozen=True" not in decorator} == {"Search"}


def test_what_holds_arrays_is_equal_to_itself_alone():
    """Arrays have no single answer to whether they are equal; the field of the one exception is mostly None."""
    arrays = re.compile(r"\b(ndarray|Tensor|DataArray|Dataset)\b")
    found = {name for name, how, of in data_classes() if "eq=False" not in how and arrays.search(" ".join(of))}
    assert found == {"ForecastConfig"}


def test_nothing_is_shown_unless_asked_for():
    """`progress` is off by default everywhere."""
    shown = set()
    for path, function in FUNCTIONS:
        arguments = function.args
        defaults = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
        named = [*arguments.posonlyargs, *arguments.args]
        pairs = [*zip(reversed(named), reversed(arguments.defaults), strict=False)]
        pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
        assert len(pairs) == len(defaults)
        if any(a.arg == "progress" and ast.unparse(d) not in ("False", "None") for a, d in pairs):
            shown.add(f"{short(path)}:{function.name}")
    assert shown == set()


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


# The door, the stream behind it, and what draws into memory or into a temporary file of the door.
DOOR = {"core/files.py", "core/output_stream.py"}
MAY_DRAW = {"savefig": "results/figures/style.py", "savez": "io/npz.py"}
WRITING = {"to_netcdf", "to_zarr", "write_bytes", "tofile", "mkstemp", "NamedTemporaryFile", "dump"}


def writes(node):
    """What a call writes to disk by itself; "" if nothing."""
    method = isinstance(node.func, ast.Attribute)
    name = node.func.attr if method else getattr(node.func, "id", "")
    owner = ast.unparse(node.func.value) if method else ""
    modes = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
    opens = name == "open" and (owner == "os" or any(isinstance(m, str) and set(m) & set("wax+") for m in modes))
    moves = owner in ("os", "shutil") and name in {"replace", "rename", "copy", "copyfile", "move"}
    if name in WRITING | set(MAY_DRAW) or opens or moves or (name == "write_text" and method):
        return name
    return ""


def test_all_writing_goes_through_one_door():
    """Elsewhere a full disk would be a foreign error, or the end of the process."""
    found = set()
    for path, tree in TREES.items():
        module = path.relative_to(PACKAGE).as_posix()
        calls = {writes(n) for n in ast.walk(tree) if isinstance(n, ast.Call)} - {""}
        found |= {(module, name) for name in calls if module not in DOOR and MAY_DRAW.get(name) != module}
    assert found == set()


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
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError\b")
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


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module


def test_a_stage_imports_what_stands_below_it():
    """The same as the contract of import-linter, where that is not installed."""
    for path, tree in TREES.items():
        room = path.relative_to(PACKAGE).parts[0]
        if room in STAGES | BELOW | {"core"}:
            allowed = {room, "core"} | (BELOW if room in STAGES else set())
            ours = {n.split(".")[1] for n in imported(tree) if n.startswith("bayespde.")}
            assert ours <= allowed, (short(path), ours - allowed)


@pytest.mark.parametrize(
    ("library", "where"),
    [
        ("arviz", {"results/arviz_bridge.py"}),
        ("matplotlib", {str(p.relative_to(PACKAGE)) for p in PACKAGE.glob("results/figures/*.py")}),
        ("typer", {"cli"}),
        ("jinja2", {"results/report/page.py"}),
        ("pyro", {"model", "smooth", "stages"}),
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


if __name__ == "__main__":
    sys.stdout.write("".join(f"{signature(name)}\n" for name in sorted(bp.__all__)))
