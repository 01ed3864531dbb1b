"""Every kind of file, damaged in every way: equal values are read, or the file is refused; old versions are read."""

import warnings

import numpy as np
import pytest
from damages import DAMAGES
from file_kinds import KINDS, equal, kept, unpack, versions

from bayespde.core.errors import ConfigError, FieldError, FileError, FileWarning
from bayespde.core.netcdf import SCHEMAS

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
