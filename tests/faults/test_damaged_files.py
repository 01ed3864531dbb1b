"""Every kind of file, damaged in every way: equal values are read, or the file is refused; old versions are read."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from damages import DAMAGES
from file_kinds import KINDS, equal, kept, unpack, versions

from bayespde.core import trial_read
from bayespde.core.errors import ConfigError, FieldError, FileError, FileWarning
from bayespde.core.netcdf import SCHEMAS
from bayespde.io.read import read_field

# What the reader of a kind may raise: a field that is refused is one whose values or axes are no field any more.
REFUSALS = {"field.npz": (FileError, FieldError), "reference.json": (FileError, ConfigError)}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_the_latest_version_is_kept(name):
    """After a schema version is raised: python tests/faults/file_kinds.py."""
    assert kept(name, KINDS[name].version).is_file()
    assert versions(name) == list(range(versions(name)[0], KINDS[name].version + 1))


def test_every_schema_is_a_kind():
    assert set(SCHEMAS) <= {kind.name for kind in KINDS.values()}


OLD = [(name, version) for name in KINDS for version in versions(name)]


@pytest.mark.parametrize(("name", "version"), OLD)
def test_files_of_every_version_are_read(name, version, tmp_path):
    with warnings.catch_warnings():
        if version < KINDS[name].version:
            # Those without checksums.
            warnings.simplefilter("ignore", FileWarning)
        found = KINDS[name].read(unpack(name, version, tmp_path))
    assert found is not None
    assert equal(found, found)


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_refused_or_read_as_they_were(name, tmp_path, seed, request):
    count = request.config.getoption("--damaged") // len(KINDS)
    kind, rng = KINDS[name], np.random.default_rng([seed, *name.encode()])
    path = unpack(name, kind.version, tmp_path)
    whole, before = path.read_bytes(), kind.read(path)
    refused = 0
    for k in range(count):
        damage = DAMAGES[k % len(DAMAGES)]
        content = damage(whole, rng)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FileWarning)
            try:
                found = kind.read(path)
            except REFUSALS.get(name, (FileError,)) as error:
                assert str(path) in str(error) or name in REFUSALS  # noqa: PT017
                refused += 1
                continue
        if name == "provenance.json" and found == {}:
            refused += 1
        else:
            assert equal(found, before), (damage.__name__, k)
    assert refused > 0.5 * count


# Files as other programs write them, without checksums.
FOREIGN = {
    "contiguous.nc": {"engine": "h5netcdf"},
    "chunked.nc": {"engine": "h5netcdf", "encoding": {"u": {"chunksizes": (3, 4), "zlib": True}}},
    "classic.nc": {"engine": "scipy"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOREIGN)
def test_damaged_files_of_other_programs_are_read_or_refused(name, tmp_path, seed, request):
    """Nothing tells changed values from right ones there; but every reading comes to an end, in an error of ours."""
    path, rng = tmp_path / name, np.random.default_rng([seed, *name.encode()])
    coords = {"time": np.arange(12.0), "x": np.arange(16.0)}
    xr.DataArray(rng.random((12, 16)), coords, ("time", "x"), "u").to_netcdf(path, **FOREIGN[name])
    whole = path.read_bytes()
    for k in range(request.config.getoption("--damaged") // len(FOREIGN)):
        path.write_bytes(DAMAGES[k % len(DAMAGES)](whole, rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_field(path)
            except (FileError, FieldError):
                continue


def test_a_file_that_hdf5_reads_for_ever_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_read, "LIMIT", 3.0)
    circular = Path(__file__).parents[1] / "data" / "circular.nc.gz"
    (tmp_path / "circular.nc").write_bytes(gzip.decompress(circular.read_bytes()))
    with pytest.raises(FileError, match="could not be listed in 3 s"):
        read_field(tmp_path / "circular.nc")
