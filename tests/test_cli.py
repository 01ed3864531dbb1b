"""The command line as a stranger uses it: files in, files out, exit codes, and no traceback for a mistake."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayespde as bp

ROOT = Path(__file__).resolve().parents[1]
QUICK = """
[smooth]
method = "spline"
[sample]
particles = 128
runs = 2
"""


def bayespde(*words, cwd):
    """Run the command line; give exit code, output and errors."""
    code = "from bayespde.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture(scope="module")
def heat(tmp_path_factory):
    """A folder with a noisy solution of u_t = 0.5 u_xx as .npz (stored as [x, time]) and a settings file."""
    folder = tmp_path_factory.mktemp("heat")
    spec = bp.SimulationSpec(
        equation="u_t = 0.5*u_xx",
        extent={"x": 20.0},
        points={"x": 90},
        times={"start": 0.0, "stop": 4.0, "frames": 61},
        initial={"kind": "random_waves", "modes": 5, "seed": 2},
        noise=0.02,
        seed=3,
    )
    field = bp.simulate(spec)
    np.savez(folder / "video.npz", t=field.time.values, x=field.x.values, u=field.values.T)
    (folder / "quick.toml").write_text(QUICK)
    return folder


def test_discover_reads_a_video_and_writes_a_run_folder(heat, tmp_path):
    words = ["discover", heat / "video.npz", "--terms", "u, u_x, u_xx, u*u_x", "--config", heat / "quick.toml"]
    done = bayespde(*words, "-o", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"1 +0\.9\d+ .*u_t = 0\.\d+\(\d+\) u_xx\n", done.stdout)
    written = {p.name for p in (tmp_path / "run").iterdir()}
    assert written >= {"smooth.nc", "statistics.nc", "posterior.nc", "provenance.json", "equations.txt"}
    assert written >= {"inclusion.csv", "pareto.csv", "derivatives.nc", "inclusion.png", "pareto.png", "field.png"}
    posterior = bp.from_inference_data(tmp_path / "run" / "posterior.nc")
    assert float(posterior.inclusion_probability.sel(term="u_xx")) > 0.99


def test_smooth_writes_derivatives_with_errors(heat, tmp_path):
    done = bayespde("smooth", heat / "video.npz", "--method", "spline", "-o", "d.nc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with xr.open_dataset(tmp_path / "d.nc", engine="h5netcdf") as derivatives:
        assert {"u", "u_t", "u_x", "u_xx", "u_xx_sd"} <= set(derivatives.data_vars)


def test_simulate_list_and_show(tmp_path):
    done = bayespde("simulate", "heat", "--noise", "0", "-o", "field.nc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert bp.read_field(tmp_path / "field.nc").dims == ("time", "x")
    listed = bayespde("models", "list", cwd=tmp_path).stdout
    assert {line.split()[0] for line in listed.splitlines()} >= {"allen_cahn_front", "burgers", "heat"}
    assert "equation" in bayespde("models", "show", "heat", cwd=tmp_path).stdout


def test_check_exits_with_one_when_the_answer_is_another(heat, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "model.toml").write_text(f'title = "wrong"\n{QUICK}\n[library]\nterms = ["u", "u_xx"]\n')
    (wrong / "reference.json").write_text('{"coefficients": {"u": 1.0}, "relative_tolerance": 0.05, "sd_tolerance": 2}')
    done = bayespde("run", wrong, "--data", heat / "video.npz", "--check", "-o", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "not the reference" in done.stderr
    (wrong / "reference.json").write_text(
        '{"coefficients": {"u_xx": 0.5}, "relative_tolerance": 0.2, "sd_tolerance": 5}'
    )
    again = bayespde("run", wrong, "--data", heat / "video.npz", "--check", "-o", tmp_path / "run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["run", "no_such_model"],
        ["discover", "no_such_file.nc"],
        ["discover", "garbage.nc"],
        ["discover", "{video}", "--terms", "u,__import__('os')"],
        ["discover", "{video}", "--terms", "u,2*u"],
        ["discover", "{video}", "--terms", "u_y"],
        ["discover", "{video}", "--config", "garbage.nc"],
        ["discover", "{video}", "--terms", "u", "-o", "/proc/nowhere"],
        ["discover", "{video}", "--terms", "u", "--workers", "0"],
        ["discover", "{video}", "--terms", "u", "--seed", "-1"],
        ["smooth", "{video}", "--method", "magic"],
        ["smooth", "{video}", "--space", "9"],
    ],
    ids=lambda w: " ".join(w)[:50],
)
def test_a_mistake_is_a_message_and_leaves_nothing(heat, tmp_path, words):
    (tmp_path / "garbage.nc").write_bytes(b"\x00\x01 not a file")
    before = {p.name for p in tmp_path.rglob("*")}
    done = bayespde(*(w.format(video=heat / "video.npz") for w in words), cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error:" in done.stderr
    assert all(f"{part}:" in done.stderr for part in ("got", "wanted", "fix"))
    assert "Traceback" not in done.stderr
    left = {p.name for p in tmp_path.rglob("*") if p.is_file()} - before
    assert not left, left
