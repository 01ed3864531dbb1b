"""Every verb with every kind of hostile argument, file and setting: a message and exit code 1 or 2, or work begins.

The verbs and their parameters are read from the program, so that a new one is tested as soon as it exists; it needs one
line in `VERBS`.
"""

import errno
import importlib
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import pytest
import small_problem

from bayespde import cli
from bayespde.core.errors import BayespdeError, FileError, IntegrationError
from bayespde.discovery.config import SECTIONS

# Verb -> arguments with which it works.
VERBS = {
    "run": ["MODEL"],
    "discover": ["FIELD"],
    "derivatives": ["RUN"],
    "smooth": ["FIELD"],
    "diagnose": ["RUN"],
    "compare": ["RUN"],
    "forecast": ["RUN", "--until", "8"],
    "report": ["RUN"],
    "simulate": ["MODEL"],
    "models list": [],
    "models show": ["MODEL"],
    "models check": ["MODEL"],
}
LONG, DIGITS = "x" * 300, "9" * 5000
TEXTS = ["", LONG, "x" * 100_000, "-", "\udcff", "a\nb", "\x1b[2J", "%s{}{0}", "../..", "ünïcode", "nan", "None", ","]
HOSTILE = {
    "text": TEXTS,
    "path": [*TEXTS, "FOLDER", "FIELD/x", "/dev/null", "EMPTY", "GARBAGE", "LOCKED/x", "~", ".", "x/" * 3000],
    "integer": ["", "-1", "0", DIGITS, "1000000000", str(2**63), str(-(2**63)), "1e3", "nan", "x", "٣"],
    "float": ["", "nan", "inf", "-inf", "1e400", "-1e300", "1e300", DIGITS, "x", "0"],
    "choice": TEXTS,
    "flag": ["x"],
}


class Started(BaseException):
    """Raised in place of work that takes time; nothing may catch it."""


def verbs(app, *path):
    """Names of the verbs of a program, and the functions behind them."""
    for info in app.registered_commands:
        yield " ".join((*path, info.name or info.callback.__name__)), info.callback
    for group in app.registered_groups:
        yield from verbs(group.typer_instance, *path, group.name)


def parameters(verb):
    """Name, kind and flag of the parameters of a verb; the flag is None for an argument."""
    for name, hint in get_type_hints(COMMANDS[verb], include_extras=True).items():
        base, *info = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if name not in ("context", "return"):
            info = info or [None]
            flags = getattr(info[0], "param_decls", None) or (f"--{name.replace('_', '-')}",)
            yield name, kind_of(base), None if type(info[0]).__name__ in ("ArgumentInfo", "NoneType") else flags[0]


def kind_of(hint):
    """The kind of `Path`, `Path | None`, `list[str] | None`, ..."""
    if get_origin(hint) is Literal:
        return "choice"
    return KINDS.get(hint) or next(filter(None, map(kind_of, get_args(hint))), None)


KINDS = {str: "text", Path: "path", int: "integer", float: "float", bool: "flag"}
COMMANDS = dict(verbs(cli.app))
PARAMETERS = [(verb, *parameter) for verb in COMMANDS for parameter in parameters(verb)]


def test_every_verb_is_in_the_table():
    assert set(VERBS) == set(COMMANDS)
    assert {kind for *_, kind, _ in PARAMETERS} == set(HOSTILE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A video, a model and the folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    field = small_problem.video()
    field.to_netcdf(folder / "field.nc", engine="h5netcdf")
    small_problem.discover(field, folder=folder / "run")
    (folder / "model").mkdir()
    (folder / "model" / "model.toml").write_text(f"title = 'A model'\nsimulate = {inline(small_problem.SPEC)}")
    (folder / "model" / "reference.json").write_text(
        '{"coefficients": {"u_xx": 0.1}, "relative_tolerance": 0.1, "sd_tolerance": 4}'
    )
    return folder


def inline(value):
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {inline(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def places(finished, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "garbage").write_bytes(os.urandom(2000))
    return {
        "FIELD": finished / "field.nc",
        "MODEL": finished / "model",
        "RUN": finished / "run",
        "FOLDER": tmp_path / "folder",
        "EMPTY": tmp_path / "empty",
        "GARBAGE": tmp_path / "garbage",
        "LOCKED": tmp_path / "locked",
    }


WORK = [
    "bayespde.discovery.pipeline.fit_field",
    "bayespde.discovery.discovery.fit_field",
    "bayespde.discovery.report.load",
    "bayespde.results.figures.plot_derivatives",
    "bayespde.smooth.fit.fit_field",
    "bayespde.zoo.declaration.simulate",
    "bayespde.solve.simulate.integrate",
    "bayespde.forecasting.forecast.propagate",
]


# Readers of files that do not change here.
READERS = [
    ("bayespde.stages.run_folder", "read_smooth"),
    ("bayespde.stages.run_folder", "read_matched"),
    ("bayespde.results.inference_data", "load"),
    ("bayespde.io.read", "read_field"),
]


@pytest.fixture(scope="module")
def read_once(finished):
    """Every file of the finished run is read once only."""
    found = {}
    for module, name in READERS:
        function = getattr(importlib.import_module(module), name)
        cached = cache(function)
        found[module, name] = lambda *a, cached=cached, function=function, **k: (
            cached(*a) if a and not k and str(a[0]).startswith(str(finished)) else function(*a, **k)
        )
    return found


@pytest.fixture
def tried(places, read_once, monkeypatch, capsys, tmp_path):
    """Run a line without its work: exit code (None if work began), output and errors."""

    def start(*_, **__):
        raise Started

    def stat(path, *, dir_fd=None, follow_symlinks=True):
        if isinstance(path, str | os.PathLike) and "locked" in os.fspath(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    real = os.stat
    monkeypatch.setattr("os.stat", stat)
    for name in WORK:
        module, _, function = name.rpartition(".")
        monkeypatch.setattr(importlib.import_module(module), function, start)
    for (module, name), function in read_once.items():
        monkeypatch.setattr(importlib.import_module(module), name, function)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments):
        line = [str(places.get(a, a)) for a in arguments]
        line = [a.replace("FIELD/", f"{places['FIELD']}/").replace("LOCKED/", f"{places['LOCKED']}/") for a in line]
        monkeypatch.setattr(sys, "argv", ["bayespde", *line])
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        except Started:
            code = None
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def fault(code, err):
    """What is wrong with the end of a program, if anything."""
    if code not in (None, 0, 1, 2):
        return f"exit code {code}"
    if "Traceback" in err or "internal error" in err:
        return err.strip().splitlines()[-1]
    return "no message" if code and not err.strip() else ""


def check_all(ends):
    """Check the ends of several programs, each under a name."""
    assert {name: said for name, code, err in ends if (said := fault(code, err))} == {}


def line(verb, flag, value):
    """The command line that works, with one of its parameters replaced."""
    usual = list(VERBS[verb])
    if flag is None:
        return [*verb.split(), *(["--"] if value.startswith("-") else []), value, *usual[1:]]
    if flag in usual:
        usual[usual.index(flag) + 1] = value
        return [*verb.split(), *usual]
    return [*verb.split(), *usual, f"{flag}={value}"]


@pytest.mark.parametrize(("verb", "name", "kind", "flag"), PARAMETERS)
def test_hostile_values(tried, tmp_path, verb, name, kind, flag):
    ends = []
    for value in HOSTILE[kind]:
        code, _, err = tried(*line(verb, flag, value))
        ends.append((value[:40], code, err))
        if code == 2:
            assert [p for p in (tmp_path / "here").rglob("*") if p.is_file()] == [], (name, value[:40])
    check_all(ends)


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_arguments(tried, verb):
    ends = []
    for more in ("--no-such-option", "--no-such-option 3", "too many names", "-", "-x", "--seed", "--output"):
        code, _, err = tried(*verb.split(), *VERBS[verb], *more.split())
        ends.append((more, code, err))
    check_all(ends)


VALUES = {
    "number": "3", "text": '"x"', "list": "[]", "mixed list": '[1, "a", []]', "nan": "nan", "inf": "-inf",
    "true": "true", "date": "1979-05-27", "many digits": DIGITS, "hexadecimal": "0x" + "f" * 5000,
    "deep list": "[" * 5000 + "]" * 5000,
    "levels": "[" * 200 + "]" * 200, "unknown key": "{magic = 1}", "empty": "{}", "long": f'"{"x" * 100_000}"',
}  # fmt: skip


@pytest.mark.parametrize("section", sorted(SECTIONS | {"library", "title", "seed", "simulate", "data"}))
def test_hostile_settings(tried, tmp_path, section):
    (tmp_path / "hostile").mkdir()
    file, model, ends = tmp_path / "settings.toml", tmp_path / "hostile" / "model.toml", []
    for kind, value in VALUES.items():
        file.write_text(f"{section} = {value}\n")
        # The options that are joined with a section of the file.
        for more in ("", *{"smooth": ("--smoother spline",), "library": ("--add-terms u_xx",)}.get(section, ())):
            code, _, err = tried("discover", "FIELD", "--config", str(file), *more.split())
            ends.append((f"{kind} {more}", code, err))
        model.write_text(
            f"{section} = {value}\n" + (f"simulate = {inline(small_problem.SPEC)}" if section != "simulate" else "")
        )
        for verb in ("run", "simulate", "models show", "models check"):
            code, _, err = tried(*verb.split(), str(model.parent))
            ends.append((f"{verb} {kind}", code, err))
    check_all(ends)


TABLES = {
    "dotted": "a." * 3000 + "b = 1",
    "header": f"[{'a.' * 3000}b]",
    "not TOML": "smooth =",
    "not text": b"\xff\xfe\x00",
    "null byte in a name": '[data]\nfile = "a\\u0000b"',
    "long name": f'[data]\nfile = "{LONG}"',
    "number for a name": "[data]\nfile = 3",
    "list for a variable": '[data]\nfile = "field.nc"\nvariable = [3]',
    "a folder for a file": '[data]\nfile = "."',
}


@pytest.mark.parametrize("case", TABLES)
def test_hostile_tables(tried, places, tmp_path, case):
    content = TABLES[case]
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "field.nc").write_bytes(places["FIELD"].read_bytes())
    for file in (tmp_path / "settings.toml", tmp_path / "hostile" / "model.toml"):
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert tried("discover", "FIELD", "--config", str(tmp_path / "settings.toml"))[0] == 2
    for verb in ("run", "simulate", "models check"):
        code, _, err = tried(*verb.split(), str(tmp_path / "hostile"))
        assert (code, fault(code, err)) == (2, ""), err


REFERENCES = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "many digits": f'{{"coefficients": {{"u": {DIGITS}}}, "relative_tolerance": 1, "sd_tolerance": 1}}',
    "large integer": f'{{"coefficients": {{"u": 1{"0" * 400}}}, "relative_tolerance": 1, "sd_tolerance": 1}}',
    "NaN tolerance": '{"coefficients": {"u_xx": 0.1}, "relative_tolerance": NaN, "sd_tolerance": 4}',
    "list": "[]",
    "number": "3",
    "empty": "",
}


@pytest.mark.parametrize("case", REFERENCES)
def test_hostile_references(tried, places, tmp_path, case):
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "model.toml").write_bytes((places["MODEL"] / "model.toml").read_bytes())
    (tmp_path / "hostile" / "reference.json").write_text(REFERENCES[case])
    code, _, err = tried("models", "check", str(tmp_path / "hostile"))
    assert code == 2
    assert "reference of a model cannot be used" in err


def test_too_many_draws_particles_and_frames_are_refused_before_memory_is_asked_for(tried, tmp_path):
    code, _, err = tried("forecast", "RUN", "--until", "8", "--draws", "1000000000")
    assert (code, "would not fit into memory" in err) == (2, True)
    assert tried("forecast", "RUN", "--until", "8", "--frames", "1000000000")[0] == 2


# What ends the program


HINT = " (run again with --debug and report what it prints)"
CLASSES = [
    (BayespdeError("What.", got=1, wanted="2", fix="3"), 2, "error: What.\n  got:    1\n"),
    (IntegrationError("It blew up."), 1, "error: It blew up."),
    (ValueError("a\nb"), 1, "internal error: ValueError: a" + HINT),
    (RecursionError("deep"), 1, "internal error: RecursionError: deep"),
    (MemoryError(), 1, "error: There is not enough memory."),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "error: There is not enough memory."),
    (OSError(errno.ENAMETOOLONG, "File name too long", "x"), 2, "got:    x (File name too long)"),
    (OSError(errno.EACCES, "Permission denied", "x"), 2, "got:    x (Permission denied)"),
    (OSError(errno.ENOSPC, "No space left on device", "x"), 1, "got:    x (No space left on device)"),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    (BayespdeError("\x1b[2J\udcff"), 2, r"error: \x1b[2J\udcff"),
]


@pytest.mark.parametrize(("error", "code", "said"), CLASSES, ids=lambda v: type(v).__name__)
def test_every_class_of_error_has_its_code_and_its_line(tried, monkeypatch, error, code, said):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(importlib.import_module("bayespde.smooth.fit"), "fit_field", fails)
    found, _, err = tried("smooth", "FIELD")
    assert (found, "Traceback" in err, err == "") == (code, False, said == "")
    assert said in err
    found, _, err = tried("smooth", "FIELD", "--debug")
    assert (found, "Traceback" in err) == (code, said != "")
    assert said.removesuffix(HINT) in err


def test_a_full_disk_is_a_failure_and_a_bad_path_wrong_input(tried, monkeypatch):
    for number, code in ((errno.ENOSPC, 1), (errno.EACCES, 2)):

        def fails(*_, number=number, **__):
            raise FileError("Not written.", got=1, wanted="2", fix="3") from OSError(number, "why")

        monkeypatch.setattr(importlib.import_module("bayespde.smooth.fit"), "fit_field", fails)
        assert tried("smooth", "FIELD")[0] == code


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        (["discver", "x"], "discover"),
        (["models", "lst"], "list"),
        (["smooth", "FIELD", "--smother", "spline"], "--smoother"),
        (["run", "brugers"], "burgers"),
        (["models", "show", "hat"], "heat"),
    ],
)
def test_the_nearest_valid_name_is_suggested(tried, line, nearest):
    code, _, err = tried(*line)
    assert code == 2
    assert nearest in " ".join(err.split())


def test_the_nearest_valid_key_is_suggested(tried, tmp_path):
    (tmp_path / "settings.toml").write_text("[sample]\nparticels = 3")
    code, _, err = tried("discover", "FIELD", "--config", str(tmp_path / "settings.toml"))
    assert code == 2
    assert "write 'particles' for 'particels'" in err
