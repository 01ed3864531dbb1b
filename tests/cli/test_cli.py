"""The command line: what every verb reads, writes and says, and how it fails."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import small_problem
import xarray as xr

import bayespde as bp
from bayespde import cli
from bayespde.cli.options import library_section
from bayespde.cli.terminal import Terminal
from bayespde.core.checksum import json_digest
from bayespde.core.errors import ConfigError
from bayespde.library.declared import library_from_mapping
from bayespde.results.inference_data import save

CONFIG = """
enumerate_up_to = 10
trajectory_matching = "never"
[library]
terms = ["u", "u**2", "u_x", "u_xx", "u*u_x", "u*u_xx"]
[smooth]
smoother = "spline"
[sample]
particles = 256
runs = 2
final_passes = 2
"""
SIMULATE = """
[simulate]
equation = "u_t = -u*u_x + 0.1*u_xx"
extent = { x = 16.0 }
points = { x = 128 }
times = { start = 0.0, stop = 6.0, frames = 61 }
noise = 0.02
seed = 1
[simulate.initial]
kind = "gaussian_pulses"
centres = [4.0, 9.0]
heights = [1.0, -0.7]
widths = [1.0, 0.8]
"""
REFERENCE = '{"coefficients": {"u*u_x": %s, "u_xx": 0.1}, "relative_tolerance": 0.05, "sd_tolerance": 4, "source": "x"}'
ANSWERS = {"smooth.nc", "statistics.nc", "posterior.nc", "provenance.json", "equations.txt", "inclusion.csv"}
ANSWERS |= {"pareto.csv", "derivatives.nc", "inclusion.png", "pareto.png", "field.png"}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run the entry point in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bayespde", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "field.nc"
    small_problem.video().to_netcdf(path, engine="h5netcdf")
    return path


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.toml").write_text('title = "Mine"\n' + CONFIG.lstrip() + SIMULATE)
    (folder / "reference.json").write_text(REFERENCE % "-1.0")
    return folder


def test_run_goes_the_whole_way_and_checks_the_reference(command, model, tmp_path):
    code, out, _ = command("run", model, "--check", "--output", tmp_path / "out")
    assert code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == ANSWERS
    assert out.startswith("Mine\n")
    assert "the reference equation was found" in out
    assert "inclusion probability" in out
    assert f"bayespde report {tmp_path / 'out'}\n" in out
    for name in ANSWERS - {"provenance.json"}:
        assert str(tmp_path / "out" / name) in out
    assert "u*u_x" in (tmp_path / "out" / "equations.txt").read_text()
    table = (tmp_path / "out" / "inclusion.csv").read_text().splitlines()
    inclusion = {line.rsplit(",", 1)[0]: float(line.rsplit(",", 1)[1]) for line in table[1:]}
    assert inclusion["u*u_x"] > 0.95
    assert inclusion["u_xx"] > 0.95
    assert all(v < 0.2 for k, v in inclusion.items() if k not in ("u*u_x", "u_xx"))


def test_run_writes_where_its_name_says(command, model, tmp_path):
    assert command("run", model)[0] == 0
    assert (tmp_path / "runs" / "mine" / "posterior.nc").is_file()


def test_a_wrong_answer_exits_with_one_when_checked_and_zero_otherwise(command, model, tmp_path):
    (model / "reference.json").write_text(REFERENCE % "-1.3")
    code, out, err = command("run", model, "--check", "--output", tmp_path / "out")
    assert code == 1
    assert "not the reference: u*u_x has" in err
    assert "was found" not in out
    assert command("run", model, "--output", tmp_path / "out")[0] == 0


def test_checking_needs_a_reference_before_any_work(command, model, tmp_path):
    (model / "reference.json").unlink()
    code, _, err = command("run", model, "--check", "--output", tmp_path / "out")
    assert code == 2
    assert "reference.json" in err
    assert not (tmp_path / "out").exists()


def test_run_takes_other_data_and_another_seed(command, model, recorded, tmp_path):
    code, _, _ = command("run", model, "--data", recorded, "--seed", 5, "--workers", 2, "--output", tmp_path / "out")
    assert code == 0
    posterior = bp.from_inference_data(tmp_path / "out" / "posterior.nc")
    assert posterior.provenance["seed"] == 5
    assert posterior.units["x"] == "m"


def test_a_second_run_says_the_same(command, model, tmp_path):
    _, first, _ = command("run", model, "--output", tmp_path / "out")
    before = (tmp_path / "out" / "posterior.nc").stat().st_mtime_ns
    _, second, _ = command("run", model, "--output", tmp_path / "out")
    assert first == second
    assert (tmp_path / "out" / "posterior.nc").stat().st_mtime_ns == before


def test_discover_reads_a_file_and_settings(command, recorded, tmp_path):
    (tmp_path / "settings.toml").write_text(CONFIG)
    code, out, _ = command("discover", recorded, "--config", "settings.toml", "-o", "out")
    assert code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == ANSWERS
    assert set(bp.from_inference_data(tmp_path / "out" / "posterior.nc").library.names) == set(small_problem.TERMS)
    assert "m^2 s^-1" in out


def test_terms_on_the_command_line_win(command, recorded, tmp_path):
    (tmp_path / "settings.toml").write_text(CONFIG)
    code, _, _ = command(
        "discover", recorded, "--config", "settings.toml", "--terms", "u*u_x, u_xx,u_x**2", "-o", "out"
    )
    assert code == 0
    assert bp.from_inference_data(tmp_path / "out" / "posterior.nc").library.names == ("u*u_x", "u_xx", "u_x**2")


def test_extra_terms_stand_beside_the_others(command, recorded, tmp_path):
    (tmp_path / "settings.toml").write_text(re.sub(r"(?m)^terms = .*", "degree = 1\norder = 2", CONFIG))
    code, _, _ = command("discover", recorded, "--config", "settings.toml", "--add-terms", "1, u_x**2", "-o", "out")
    assert code == 0
    names = bp.from_inference_data(tmp_path / "out" / "posterior.nc").library.names
    assert names == ("u", "u_x", "u_xx", "u*u_x", "u*u_xx", "1", "u_x**2")


@pytest.mark.parametrize(
    ("declared", "names"),
    [
        ('terms = ["u_xx", "u*u_x"]', ("u_xx", "u*u_x", "1")),
        ('degree = 1\norder = 1\nextra = ["u_xx"]', ("u", "u_x", "u*u_x", "u_xx", "1")),
    ],
)
def test_extra_terms_stand_beside_those_of_a_file(declared, names):
    section = library_section(tomllib.loads(declared), None, "1")
    assert library_from_mapping(section, space=1, variable="u").names == names


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("library = 'original_2d'", "table"),
        ("library = ['u']", "table"),
        ("[library]\nname = 'original_2d'", "--add-terms with a named library"),
        ("[library.terms]\nu = 2.0", "--add-terms with a table"),
    ],
)
def test_libraries_to_which_no_terms_can_be_added_are_refused(declared, said):
    with pytest.raises(ConfigError, match=said):
        library_section(tomllib.loads(declared)["library"], None, "1")


def test_smooth_writes_derivatives_only(command, recorded, tmp_path):
    code, out, _ = command(
        "smooth", recorded, "--smoother", "spline", "--noise", "student_t", "--space", 3, "-o", "d.nc"
    )
    assert code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"d.nc"}
    assert "spline chosen" in out
    with xr.open_dataset(tmp_path / "d.nc", engine="h5netcdf") as dataset:
        assert {"u", "u_t", "u_x", "u_xx", "u_xxx", "u_x_sd"} <= set(dataset.data_vars)
        assert dataset["u_xx"].attrs["units"]


def test_simulate_writes_the_declared_video(command, model, tmp_path):
    assert command("simulate", model, "-o", "video.nc")[0] == 0
    field = bp.read_field(tmp_path / "video.nc")
    settings = tomllib.loads((model / "model.toml").read_text())["simulate"]
    assert np.array_equal(field.values, bp.simulate(bp.SimulationSpec.from_mapping(settings)).values)
    assert command("simulate", model, "--noise", 0, "-o", "clean.nc")[0] == 0
    clean = bp.read_field(tmp_path / "clean.nc")
    assert float((field - clean).std()) == pytest.approx(0.02 * float(clean.std()), rel=0.05)
    assert command("simulate", model, "--seed", 7, "-o", "other.nc")[0] == 0
    assert not np.array_equal(bp.read_field(tmp_path / "other.nc").values, field.values)


def test_models_are_listed_and_shown(command):
    code, out, _ = command("models", "list")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()]
    assert {"allen_cahn_front", "burgers", "heat", "phase_field_front"} <= set(names)
    assert all(len(line.split()) > 2 for line in out.splitlines())
    code, out, _ = command("models", "show", "burgers")
    assert code == 0
    assert 'equation = "u_t = -u*u_x + 0.1*u_xx"' in out


def test_models_check_compares_with_the_truth(command, model):
    code, out, _ = command("models", "check", model)
    assert code == 0
    assert "mine: Mine" in out
    assert "ok: the true equation; reference posterior not recorded" in out
    assert out.splitlines()[-1] == "1 of 1 met the reference"
    (model / "reference.json").write_text(REFERENCE % "-1.3")
    code, out, err = command("models", "check", model)
    assert code == 1
    assert "differs: u*u_x has" in out
    assert out.splitlines()[-1] == "0 of 1 met the reference"
    assert "did not: mine" in err


def test_models_check_records_a_posterior_and_compares_with_it(command, model):
    code, out, _ = command("models", "check", model, "--write")
    assert code == 0
    assert "reference posterior written" in out
    code, out, _ = command("models", "check", model)
    assert code == 0
    assert "reference posterior met" in out
    known = json.loads((model / "reference.json").read_text())
    known["posterior"]["log_evidence"] += 3
    (model / "reference.json").write_text(json.dumps(known))
    code, _, err = command("models", "check", model)
    assert code == 2
    assert "The file is damaged" in err
    known["posterior"]["checksum"] = json_digest(known["posterior"])
    (model / "reference.json").write_text(json.dumps(known))
    code, out, _ = command("models", "check", model)
    assert code == 1
    assert "differs: the log evidence is" in out
    code, out, _ = command("models", "check", model, "--noise-seed", 4)
    assert code == 0
    assert "reference posterior not recorded" in out


def test_a_wrong_answer_is_not_recorded(command, model):
    (model / "reference.json").write_text(REFERENCE % "-1.3")
    assert command("models", "check", model, "--write")[0] == 1
    assert (model / "reference.json").read_text() == REFERENCE % "-1.3"


def test_one_model_that_fails_does_not_end_the_check(command, model, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    settings = (model / "model.toml").read_text().replace('kind = "gaussian_pulses"', 'kind = "squares"')
    (broken / "model.toml").write_text(settings)
    (broken / "reference.json").write_text(REFERENCE % "-1.0")
    code, out, err = command("models", "check", broken, model)
    assert code == 1
    assert "failed: The kind of initial state is unknown." in out
    assert out.splitlines()[-1] == "1 of 2 met the reference"
    assert "did not: broken" in err


def test_checking_models_needs_references_before_any_work(command, model):
    (model / "reference.json").unlink()
    code, out, err = command("models", "check", "burgers", model)
    assert code == 2
    assert out == ""
    assert "reference.json" in err


def test_help_names_every_verb(command):
    code, out, _ = command("--help")
    assert code == 0
    assert all(verb in out for verb in ("run", "discover", "smooth", "simulate", "report", "models"))


WRONG = {
    "no such model": (["run", "no_such_model"], "There is no such model"),
    "no such model to show": (["models", "show", "no_such_model"], "There is no such model"),
    "no such model to simulate": (["simulate", "no_such_model"], "There is no such model"),
    "no such file": (["discover", "absent.nc"], "file cannot be read"),
    "no such file to smooth": (["smooth", "absent.nc"], "file cannot be read"),
    "unknown smoother": (["smooth", "FIELD", "--smoother", "magic"], "has an unknown value"),
    "unknown noise": (["smooth", "FIELD", "--noise", "cauchy"], "has an unknown value"),
    "unknown device": (["smooth", "FIELD", "--device", "abacus"], "device cannot be used"),
    "seed that no file holds": (["discover", "FIELD", "--seed", "9" * 30], "seed"),
    "no such variable": (["discover", "FIELD", "--variable", "w"], "no such variable"),
    "hostile term": (["discover", "FIELD", "--terms", "u,__import__('os').remove('x')"], "not allowed"),
    "repeated term": (["discover", "FIELD", "--terms", "u,u_x,2*u"], "same up to a factor"),
    "empty term": (["discover", "FIELD", "--terms", "u,,u_x"], "short text"),
    "term of another axis": (["discover", "FIELD", "--terms", "u,u_y"], "unknown"),
    "negative seed": (["discover", "FIELD", "--seed", "-3"], "seed"),
    "no workers": (["discover", "FIELD", "--workers", "0"], "workers"),
    "no such settings": (["discover", "FIELD", "--config", "absent.toml"], "file cannot be read"),
    "unwritable output": (["discover", "FIELD", "--terms", "u,u_x", "-o", "FIELD/run"], "cannot be written"),
    "unwritable derivatives": (["smooth", "FIELD", "-o", "FIELD/d.nc"], "cannot be written"),
    "unwritable video": (["simulate", "burgers", "-o", "FIELD/v.nc"], "cannot be written"),
    "noise out of range": (["simulate", "burgers", "--noise", "-1"], "noise"),
    "a model without simulation": (["simulate", "DATA_ONLY"], "does not simulate"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_a_message_and_exit_code_two(command, recorded, tmp_path, case):
    arguments, message = WRONG[case]
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "model.toml").write_text("[data]\nfile = 'field.nc'")
    places = {"FIELD": recorded, "DATA_ONLY": tmp_path / "only"}
    for name, place in places.items():
        arguments = [a.replace(name, str(place)) for a in arguments]
    before = recorded.read_bytes()
    code, _, err = command(*arguments)
    assert code == 2
    assert message in err
    assert all(part in err for part in ("error:", "got:", "wanted:", "fix:"))
    assert "Traceback" not in err
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "only" / "model.toml"]
    assert recorded.read_bytes() == before


USAGES = [
    ["frobnicate"],
    ["run"],
    ["discover"],
    ["smooth", "x.nc", "--space", "many"],
    ["smooth", "x.nc", "--smoother", "network", "--space", "9"],
    ["derivatives", "run", "--time", "-1"],
    ["models", "check", "heat", "--write", "--noise-seed", "2"],
]


@pytest.mark.parametrize("arguments", USAGES, ids=" ".join)
def test_wrong_usage_exits_with_two(command, arguments):
    code, _, err = command(*arguments)
    assert code == 2
    assert "Traceback" not in err


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


def test_importing_costs_nothing():
    heavy = {"torch", "pyro", "arviz", "matplotlib", "xarray", "scipy", "sympy", "numba"}
    done = python(f"import sys, bayespde; print(sorted({heavy!r} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr


HEAVY = {"torch", "pyro", "sympy", "xarray", "arviz", "matplotlib", "numba", "scipy", "numpy", "h5netcdf"}
LIGHT = [
    "",
    "--help",
    "--version",
    "models list",
    "models show heat",
    "models show hat",
    "models check absent",
    "run absent",
    "run heat --data absent.nc",
    "simulate absent",
    "discover absent.nc",
    "smooth absent.nc",
    "derivatives absent",
    "diagnose absent",
    "compare absent",
    "forecast absent --until 3",
    "report absent",
    "discover --no-such-option",
    "no-such-verb",
    *(f"{verb} --help" for verb in ("run", "discover", "derivatives", "smooth", "diagnose", "compare", "forecast")),
    *(f"{verb} --help" for verb in ("report", "simulate", "models", "models list", "models show", "models check")),
]


def test_what_only_prints_imports_nothing_heavy():
    """One process for all of them: whatever one imported would be seen in those that follow."""
    code = f"""
import sys
from bayespde.cli import main

for line in {LIGHT!r}:
    sys.argv = ["bayespde", *line.split()]
    try:
        main()
    except SystemExit:
        pass
    found = {HEAVY!r} & set(sys.modules)
    assert not found, (line, found)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


def entry(*arguments, folder):
    code = "from bayespde.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder)


def test_in_a_process_of_its_own_it_reads_matlab_orientation_and_answers(tmp_path):
    field = small_problem.video()
    np.savez(tmp_path / "video.npz", t=field.time.values, x=field.x.values, u=field.values.T)
    (tmp_path / "settings.toml").write_text(CONFIG)
    done = entry("discover", "video.npz", "--config", "settings.toml", "-o", "out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == ANSWERS


def test_in_a_process_of_its_own_an_error_is_a_message(tmp_path):
    done = entry("discover", "absent.nc", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: The file cannot be read.")
    assert "Traceback" not in done.stderr


def test_a_pipe_that_is_closed_ends_it_silently(tmp_path):
    code = "from bayespde.cli import main; main()"
    for line in (["models", "list"], ["models", "show", "heat"], ["--help"]):
        command = [sys.executable, "-c", code, *line]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
            process.stdout.close()
            assert process.stderr.read() == b""


def test_no_bar_is_written_into_a_file_and_quiet_prints_the_answer_alone(command, model, tmp_path):
    assert command("simulate", model, "-o", "video.nc") == (0, "video.nc\n", "")
    (tmp_path / "settings.toml").write_text(CONFIG)
    line = ("discover", "video.nc", "--config", "settings.toml", "-o", "out")
    whole, quiet = command(*line), command(*line, "--quiet")
    assert (whole[0], whole[2], quiet[0], quiet[2]) == (0, "", 0, "")
    assert quiet[1].strip() in whole[1]
    assert "u_t = " in quiet[1]
    assert not any(note in quiet[1] for note in ("read u", "written:", "bayespde report"))
    assert all(note in whole[1] for note in ("read u", "written:", "bayespde report"))


def test_bars_are_shown_in_a_terminal_only(monkeypatch):
    for is_terminal, quiet, shown in ((True, False, True), (True, True, False), (False, False, False)):
        monkeypatch.setattr("sys.stderr.isatty", lambda is_terminal=is_terminal: is_terminal)
        assert Terminal(quiet=quiet).progress is shown


def test_bytes_that_are_no_text_and_terminals_without_letters_are_no_reason_to_fail(tmp_path):
    code = "from bayespde.cli import main; main()"
    command = [sys.executable.encode(), b"-c", code.encode(), b"discover", b"a\xff.nc"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert b"not UTF-8" in done.stderr
    command = [sys.executable, "-c", code, "run", "ünknown"]
    ascii_only = {"PYTHONIOENCODING": "ascii", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, env=ascii_only)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: There is no such model.")


@pytest.fixture
def posteriors(tmp_path, rng):
    """Two runs over the same rows, and one over others, as files."""
    names = ("u", "u_x", "u_xx")
    for name, noise in (("first", 0.3), ("second", 0.3), ("others", 0.4)):
        design = np.random.default_rng(1).standard_normal((200, 3))
        target = design[:, 2] + noise * np.random.default_rng(2).standard_normal(200)
        statistics = bp.SufficientStatistics.from_rows(design, target, names=names, target_name="u_t")
        expected = 1.0 if name == "second" else None
        model = bp.SpinModel(statistics, bp.Library.from_strings(list(names)), prior=bp.Prior(expected_terms=expected))
        (tmp_path / name).mkdir()
        save(bp.sample(model, particles=128, seed=int(rng.integers(99))), tmp_path / name / "posterior.nc")
    return tmp_path


def test_diagnose_says_ok_or_exits_with_one(command, posteriors):
    code, out, _ = command("diagnose", posteriors / "first")
    assert (code, out.splitlines()[0][:3]) == (0, "OK:")
    file = posteriors / "first" / "posterior.nc"
    posterior = bp.from_inference_data(file)
    inclusion = posterior.estimates["rao_blackwell"].copy()
    inclusion[:2, 0] = 1 - inclusion[:2, 0]
    frozen = replace(posterior, estimates={**posterior.estimates, "rao_blackwell": inclusion})
    save(frozen, file)
    code, out, _ = command("diagnose", file)
    assert code == 1
    assert out.startswith("NOT CONVERGED")
    assert "To do:" in out


def test_compare_ranks_what_saw_the_same_rows_and_refuses_others(command, posteriors):
    code, out, _ = command("compare", posteriors / "first", posteriors / "second")
    assert code == 0
    assert len([line for line in out.splitlines() if line.startswith(str(posteriors))]) == 2
    # A prior that expects fewer terms has the higher evidence where there is one.
    assert out.splitlines()[1].startswith(str(posteriors / "second"))
    code, _, error = command("compare", posteriors / "first", posteriors / "others")
    assert code == 2
    assert "identical rows only" in error
    code, _, error = command("diagnose", posteriors / "nowhere.nc")
    assert code == 2
    assert "nowhere.nc" in error


def test_the_first_line_says_how_the_file_was_read_and_a_wrong_smoother_is_named_alone(command, tmp_path):
    t, x = np.linspace(0, 2, 24), np.linspace(0, 6, 30)
    values = np.sin(x - t[:, None]) + 0.01 * np.random.default_rng(0).standard_normal((24, 30))
    np.savez(tmp_path / "own.npz", t=t, x=x, height=values.astype("f4"))
    code, out, _ = command("smooth", "own.npz", "--smoother", "spline")
    assert code == 0
    assert out.splitlines()[0] == "read height over time 0 to 2 (24), x 0 to 6 (30); no units"
    code, _, err = command("discover", "own.npz", "--smoother", "splines", "--terms", "height,height_x")
    assert code == 2
    assert "The setting 'smoother' has an unknown value." in err
    assert "got:    'splines'" in err
    assert "SplineConfig" not in err


def test_the_version_is_printed(command):
    assert command("--version") == (0, f"bayespde {bp.__version__}\n", "")


def test_derivatives_by_a_network_are_written_into_the_run_folder(command, model, tmp_path):
    declared = '[smooth]\nsmoother = "spline"\nsteps = 60\nnetworks = [{ width = 8, depth = 2, batch = 256 }]\n'
    text = (model / "model.toml").read_text().replace('[smooth]\nsmoother = "spline"\n', declared)
    (model / "model.toml").write_text(text)
    assert command("run", model, "--output", tmp_path / "out")[0] == 0
    code, out, _ = command("derivatives", tmp_path / "out", "--smoother", "network")
    assert code == 0, out
    assert "network chosen" in out
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"smooth_network.nc", "derivatives_network.nc", "derivatives_network.png"} <= names
    with xr.open_dataset(tmp_path / "out" / "derivatives_network.nc", engine="h5netcdf") as dataset:
        assert {"u", "u_t", "u_x", "u_xx"} <= set(dataset.data_vars)
