"""Files of a run folder: schema versions, keys that know the code, posteriors and trajectories that belong together."""

import ast
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_problem
import xarray as xr

import bayespde as bp
from bayespde.core.errors import FileError
from bayespde.core.netcdf import SCHEMAS
from bayespde.stages import run_folder

KINDS = {"weak_posterior.nc": "posterior"}
CONFIG = replace(small_problem.CONFIG, trajectory_matching="auto")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    small_problem.discover(small_problem.video(), config=CONFIG, folder=place)
    return place


@pytest.fixture
def copied(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_every_dataset_carries_a_schema_version(folder):
    for name in ("smooth.nc", "statistics.nc", "weak_posterior.nc", "posterior.nc", "trajectories.nc"):
        with xr.open_dataset(folder / name, engine="h5netcdf") as dataset:
            assert int(dataset.attrs["schema_version"]) == SCHEMAS[KINDS.get(name, name[:-3])], name


@pytest.mark.parametrize("name", ["smooth.nc", "posterior.nc", "trajectories.nc"])
def test_a_later_schema_is_refused(copied, name):
    import h5py

    with h5py.File(copied / name, "r+") as file:
        for group in (file, *(file[g] for g in file if isinstance(file[g], h5py.Group))):
            if "schema_version" in group.attrs:
                group.attrs["schema_version"] = 99
    with pytest.raises(FileError, match="later version"):
        run_folder.read_smooth(copied / name) if name == "smooth.nc" else run_folder.read_matched(
            copied / "posterior.nc"
        )


def test_changed_code_never_reuses_a_stage(copied, monkeypatch):
    monkeypatch.setattr(run_folder, "source_hash", lambda: "other code")
    monkeypatch.setattr("bayespde.discovery.pipeline.fit_field", lambda *_, **__: pytest.fail("computed again"))
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        small_problem.discover(small_problem.video(), config=CONFIG, folder=copied)


def test_code_that_no_stage_runs_leaves_the_hash_of_the_source(tmp_path, monkeypatch):
    package = tmp_path / "bayespde"
    shutil.copytree(Path(bp.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(run_folder, "bayespde", SimpleNamespace(__file__=str(package / "__init__.py")))
    before = run_folder.source_hash.__wrapped__()
    for name in ("cli/data.py", "results/figures/maps.py", "results/report/page.py", "discovery/files.py"):
        with (package / name).open("a") as file:
            file.write("# A remark.\n")
        assert run_folder.source_hash.__wrapped__() == before, name
    with (package / "results" / "checks" / "equation.py").open("a") as file:
        file.write("# A remark.\n")
    assert run_folder.source_hash.__wrapped__() != before


def test_no_stage_imports_code_that_is_not_hashed():
    """From the stages and what chooses between them, imports inside functions included."""
    package = Path(bp.__file__).parent
    left = [*(package / "stages").glob("*.py"), package / "discovery" / "trajectory_matching.py"]
    seen = set()
    while left:
        file = left.pop()
        seen.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bayespde."):
                module = package.parent / node.module.replace(".", "/")
                places = (module.with_suffix(".py"), module / "__init__.py")
                left += [place for place in places if place.is_file() and place not in seen]
    names = {file.relative_to(package).as_posix() for file in seen}
    assert {"smc/run.py", "weak/statistics.py", "results/checks/equation.py"} <= names
    assert not [name for name in names if run_folder.OTHER_CODE.match(name)]


def test_without_a_folder_nothing_is_hashed(monkeypatch):
    monkeypatch.setattr(run_folder, "source_hash", lambda: pytest.fail("hashed"))
    assert run_folder.RunFolder(None).key(small_problem.video(), CONFIG) == ""


def test_statistics_do_not_depend_on_the_slab(copied, monkeypatch):
    monkeypatch.setattr("bayespde.discovery.pipeline.assemble", lambda *_, **__: pytest.fail("computed again"))
    config = replace(CONFIG, prior=bp.Prior(slab=bp.GPriorSlab()), trajectory_matching="never")
    found = small_problem.discover(small_problem.video(), config=config, folder=copied)
    alone = bp.assemble(small_problem.library(), found.smooth, prior=config.prior)
    assert np.array_equal(found.statistics.factors, alone.factors)
    assert isinstance(found.posterior.slab, bp.GPriorSlab)


def test_a_posterior_that_is_used_again_has_the_settings_of_this_run(copied, monkeypatch):
    for stage in ("fit_field", "assemble", "sample", "match_trajectories"):
        monkeypatch.setattr(f"bayespde.discovery.pipeline.{stage}", lambda *_, **__: pytest.fail("computed again"))
    config = replace(CONFIG, sampler=replace(CONFIG.sampler, workers=2))
    before = run_folder.read_matched(copied / "posterior.nc").posterior
    found = small_problem.discover(small_problem.video(), config=config, folder=copied)
    stored = run_folder.read_matched(copied / "posterior.nc")
    for posterior in (found.posterior, found.weak_posterior, found.trajectories.posterior, stored.posterior):
        assert posterior.provenance["settings"]["sampler"]["workers"] == 2
    assert before.provenance["settings"]["sampler"]["workers"] is None
    assert stored.posterior.sampling == before.sampling
    assert np.array_equal(stored.posterior.coefficients, before.coefficients)
    assert stored.trajectories is not None


def test_trajectories_of_another_posterior_are_refused_and_the_remedy_works(copied, tmp_path):
    posterior, trajectories = run_folder.read_matched(copied / "posterior.nc")
    other = replace(trajectories, posterior=replace(posterior, coefficients=2 * posterior.coefficients))
    run_folder.write_trajectories(other, copied / "trajectories.nc")
    with pytest.raises(FileError, match="do not belong"):
        run_folder.read_matched(copied / "posterior.nc")
    (copied / "posterior.nc").unlink()
    again = small_problem.discover(small_problem.video(), config=CONFIG, folder=copied)
    assert np.array_equal(again.posterior.coefficients, posterior.coefficients)
    assert run_folder.read_matched(copied / "posterior.nc").trajectories is not None


def test_missing_trajectories_are_named(copied):
    (copied / "trajectories.nc").unlink()
    with pytest.raises(FileError, match="missing"):
        run_folder.read_matched(copied / "posterior.nc")


def test_a_rerun_by_the_weak_form_leaves_no_trajectories(copied):
    video = small_problem.video()
    library = bp.Library.from_strings(["u_xx"])
    found = small_problem.discover(video, library=library, config=CONFIG, folder=copied)
    assert found.trajectories is None
    assert not (copied / "trajectories.nc").exists()
