"""A full disk, a size limit, a failing disk: one line says what to do, no crash, no part of a file; then a rerun."""

import os
import subprocess
import sys
from errno import EFBIG

import numpy as np
import pytest
import verbs
from failing_system import FailingSystem
from file_kinds import KINDS, equal, unpack

import bayespde as bp
from bayespde.core import output_stream
from bayespde.core.errors import FileError
from bayespde.io.write import write_field
from bayespde.results.figures import animate_forecast, plot_inclusion, save_figure
from bayespde.results.inference_data import save
from bayespde.stages import run_folder
from bayespde.stages.trajectory_files import write_trajectories


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("kept")
    for name, kind in KINDS.items():
        unpack(name, kind.version, place)
    return place


# What writes a file of our own, or a figure: a path -> the file.
WRITERS = {
    "field.nc": lambda folder, path: write_field(KINDS["field.nc"].read(folder / "field.nc"), path),
    "field.npz": lambda folder, path: write_field(KINDS["field.nc"].read(folder / "field.nc"), path),
    "posterior.nc": lambda folder, path: save(run_folder.load(folder / "posterior.nc"), path),
    "trajectories.nc": lambda folder, path: write_trajectories(
        run_folder.read_matched(folder / "posterior.nc").trajectories, path
    ),
    "figure.png": lambda folder, path: save_figure(plot_inclusion(run_folder.load(folder / "posterior.nc")), path),
    "figure.pdf": lambda folder, path: save_figure(plot_inclusion(run_folder.load(folder / "posterior.nc")), path),
    "figure.svg": lambda folder, path: save_figure(plot_inclusion(run_folder.load(folder / "posterior.nc")), path),
    "forecast.gif": lambda folder, path: animate_forecast(run_folder.read_forecast(folder / "forecast.nc"), path),
    "report.html": lambda folder, path: bp.report(folder, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_ends_in_our_error_and_leaves_nothing(folder, tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("old")
    for operation, nth in (("open", 0), ("write", 0), ("write", 1), ("close", 0), ("replace", 0)):
        monkeypatch.setattr(output_stream, "os", FailingSystem(operation, nth))
        try:
            WRITERS[name](folder, tmp_path / name)
            # Pictures and texts are written at once, animations by their library.
            assert (operation, nth) == ("write", 1) or name.endswith(".gif"), operation
        except FileError as error:
            assert "No space left on device" in error.got  # noqa: PT017
            assert (tmp_path / name).read_text() == "old"
        assert os.listdir(tmp_path) == [name]
        (tmp_path / name).write_text("old")


LIMITED = """
import resource, sys
import numpy as np
from bayespde.core.files import new_file
from bayespde.core.netcdf import put_netcdf
import xarray as xr
field = xr.Dataset({name: (("time", "x"), np.random.default_rng(0).normal(size=(300, 300))) for name in "uv"})
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
with new_file(sys.argv[1]) as stream:
    put_netcdf(field, stream, "field")
"""


@pytest.mark.skipif(os.name != "posix", reason="no limits on this system")
@pytest.mark.parametrize("limit", [0, 700, 10_000, 1_000_000])
def test_hdf5_survives_a_limit_anywhere_in_its_file(tmp_path, limit):
    """The same with `Dataset.to_netcdf` ends in a segmentation fault when the handle is closed."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "field.nc"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bayespde.core.errors.FileError: The output path cannot be written." in done.stderr
    assert os.strerror(EFBIG) in done.stderr
    assert "1.45 MB for this file" in done.stderr
    assert os.listdir(tmp_path) == []


# The command line


def test_every_verb_is_in_the_table():
    import typer

    from bayespde.cli import app

    group = typer.main.get_command(app)
    names = set(group.commands) - {"models"} | {f"models {name}" for name in group.commands["models"].commands}
    assert names == set(verbs.VERBS) | verbs.READ_ONLY


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return verbs.prepare(tmp_path_factory.mktemp("verbs") / "work")


@pytest.fixture(scope="module")
def undisturbed(prepared):
    found = {}

    def one(verb):
        if verb not in found:
            work = verbs.copy(prepared, prepared.parent / verb.replace(" ", "_"))
            assert verbs.run(verbs.VERBS[verb], work) == 0, verbs.output(work)
            found[verb] = verbs.results(work)
        return found[verb]

    return one


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    assert not [name for name in wanted if not equal(found[name], wanted[name])]


def assert_said(code, work):
    said = verbs.output(work)
    assert code in (1, 2), (code, said)
    assert "cannot be written" in said, said
    assert "Traceback" not in said
    assert verbs.temporaries(work) == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", verbs.VERBS)
def test_a_limit_of_the_file_size_is_said_and_a_rerun_ends_as_if_nothing_had_been(
    prepared, undisturbed, tmp_path, verb
):
    work = verbs.copy(prepared, tmp_path / "work")
    assert_said(verbs.run(verbs.VERBS[verb], work, limit=5000), work)
    assert verbs.run(verbs.VERBS[verb], work) == 0, verbs.output(work)
    assert_same(verbs.results(work), undisturbed(verb))


@pytest.mark.slow
@pytest.mark.parametrize("verb", verbs.VERBS)
@pytest.mark.parametrize("operation", ["open", "write", "close", "replace", "read"])
def test_a_failing_file_system_is_said_or_does_not_matter(prepared, undisturbed, tmp_path, seed, verb, operation):
    """The n-th call fails and all after it; a verb that makes fewer calls ends well."""
    work = verbs.copy(prepared, tmp_path / "work")
    nth = int(np.random.default_rng([seed, *verb.encode(), *operation.encode()]).integers(0, 6))
    code = verbs.run(verbs.VERBS[verb], work, failing=(operation, nth))
    said = verbs.output(work)
    assert "Traceback" not in said, said
    assert verbs.temporaries(work) == []
    assert code in (0, 1, 2), said
    if code != 0:
        assert "cannot be written" in said or "cannot be read" in said or "could not be read" in said, said
        assert verbs.run(verbs.VERBS[verb], work) == 0, verbs.output(work)
    assert_same(verbs.results(work), undisturbed(verb))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB in memory, where this process may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", verbs.VERBS)
def test_on_a_full_disk_every_verb_says_so_and_a_rerun_with_space_ends_well(prepared, undisturbed, small_disk, verb):
    work, filler = verbs.copy(prepared, small_disk / "work"), small_disk / "filler"
    with filler.open("wb") as file:
        space = os.statvfs(small_disk)
        # Less than any verb writes.
        file.write(bytes(max(space.f_bavail * space.f_frsize - 4096, 0)))
    assert_said(verbs.run(verbs.VERBS[verb], work), work)
    filler.unlink()
    assert verbs.run(verbs.VERBS[verb], work) == 0, verbs.output(work)
    assert_same(verbs.results(work), undisturbed(verb))
