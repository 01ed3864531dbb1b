"""Files of a run folder: schema versions, keys that know the code, posteriors and trajectories that belong together."""

from dataclasses import replace

import numpy as np
import pytest
import small_problem
import xarray as xr

import bayespde as bp
from bayespde.core.errors import FileError
from bayespde.stages import run_folder

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
            assert int(dataset.attrs["schema_version"]) == (1 if name == "trajectories.nc" else 2), name


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
