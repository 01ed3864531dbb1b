"""The table of formats: found by suffix and first bytes, written and read back, extended by one module and one line."""

import numpy as np
import pytest
import xarray as xr

from bayespde.core.errors import FileError
from bayespde.core.field import make_field
from bayespde.io import formats
from bayespde.io.formats import FORMATS, Format, by_magic, by_suffix
from bayespde.io.read import read_field
from bayespde.io.write import write_field

T, X, Y, Z = np.linspace(0, 0.7, 8), np.linspace(-1, 2, 12), np.linspace(0, 5, 6), np.linspace(2, 3, 5)
FIELDS = {
    1: make_field(np.sin(X - T[:, None]), t=T, x=X, units={"u": "K", "time": "s"}),
    2: make_field(np.sin(np.arange(8 * 6 * 12.0)).reshape(8, 6, 12), t=T, y=Y, x=X),
    3: make_field(np.sin(np.arange(8 * 5 * 6 * 12.0)).reshape(8, 5, 6, 12), t=T, z=Z, y=Y, x=X),
}
# A reader and a writer of text files, as a plug-in would have it.
TOY = """
import numpy as np
import xarray as xr
from bayespde.core.field import make_field

class Contents:
    candidates = ("height",)
    def __init__(self, table):
        self.table = table
    def field(self, name, *, called):
        return make_field(self.table[1:, 1:], t=self.table[1:, 0], x=self.table[0, 1:], name=called)

def read(file):
    return Contents(np.loadtxt(file, delimiter=";"))

def write(fields, file):
    (field,) = fields.data_vars.values()
    table = np.vstack([np.append(np.nan, field.x), np.column_stack([field.time, field])])
    np.savetxt(file, table, delimiter=";")
"""


def test_the_table_is_well_formed():
    suffixes = [s for f in FORMATS for s in f.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(s == s.lower() and s.startswith(".") for s in suffixes)
    assert all(all(f.magic) and set(f.space) <= {1, 2, 3} for f in FORMATS)
    for one in FORMATS:
        assert callable(one.load().read)
        assert hasattr(one.load(), "write") == one.writes


@pytest.mark.parametrize("space", FIELDS)
@pytest.mark.parametrize("form", [f for f in FORMATS if f.writes], ids=lambda f: f.suffixes[0])
def test_what_is_written_is_read_back(tmp_path, form, space):
    assert space in form.space
    for suffix in form.suffixes:
        path = tmp_path / f"field{suffix.upper()}"
        write_field(FIELDS[space], path)
        xr.testing.assert_equal(read_field(path), FIELDS[space])
        assert by_suffix(path) is form
        assert by_magic(path) is (form if form.magic else None)
    assert len(list(tmp_path.iterdir())) == len(form.suffixes)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_coupled_fields_are_written_and_read_back(tmp_path, suffix):
    both = xr.Dataset({"u": FIELDS[1], "v": 2 * FIELDS[1]})
    write_field(both, tmp_path / f"both{suffix}")
    xr.testing.assert_equal(read_field(tmp_path / f"both{suffix}", variables=["u", "v"]), both)


def test_without_a_known_suffix_netcdf_is_written_and_the_first_bytes_decide(tmp_path):
    write_field(FIELDS[1], tmp_path / "field")
    xr.testing.assert_identical(read_field(tmp_path / "field"), FIELDS[1])
    write_field(FIELDS[1], tmp_path / "field.npz")
    (tmp_path / "field.npz").rename(tmp_path / "field.data")
    xr.testing.assert_equal(read_field(tmp_path / "field.data"), FIELDS[1])
    np.save(tmp_path / "array.npy", FIELDS[1].values)
    (tmp_path / "array.npy").rename(tmp_path / "array")
    with pytest.raises(FileError, match="array alone"):
        read_field(tmp_path / "array")


def test_a_format_that_cannot_be_written_is_refused_with_those_that_can(tmp_path):
    with pytest.raises(FileError, match="cannot hold") as caught:
        write_field(FIELDS[1], tmp_path / "field.npy")
    assert ".nc, " in caught.value.wanted
    assert caught.value.wanted.endswith(".npz")
    assert list(tmp_path.iterdir()) == []


def test_a_new_format_is_one_module_and_one_line(tmp_path, monkeypatch):
    (tmp_path / "bayespde_toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    line = Format("text table", "bayespde_toy", (".toy",), (b"nan;",), writes=True, space=(1,))
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, line))
    write_field(FIELDS[1], tmp_path / "field.toy")
    assert read_field(tmp_path / "field.toy").name == "height"
    assert np.array_equal(read_field(tmp_path / "field.toy").values, FIELDS[1].values)
    (tmp_path / "field.toy").rename(tmp_path / "field")
    assert np.array_equal(read_field(tmp_path / "field").values, FIELDS[1].values)
    with pytest.raises(FileError, match="cannot hold"):
        write_field(FIELDS[2], tmp_path / "video.toy")
    (tmp_path / "bad.toy").write_text("nan;no numbers")
    with pytest.raises(FileError, match="could not be read") as caught:
        read_field(tmp_path / "bad.toy")
    assert caught.value.wanted.endswith(", or text table")


def test_a_format_without_first_bytes_is_known_by_its_suffix_alone(tmp_path, monkeypatch):
    (tmp_path / "bayespde_toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, Format("text table", "bayespde_toy", (".toy",), writes=True)))
    write_field(FIELDS[1], tmp_path / "field.toy")
    assert np.array_equal(read_field(tmp_path / "field.toy").values, FIELDS[1].values)
    (tmp_path / "field.toy").rename(tmp_path / "field")
    with pytest.raises(FileError, match="could not be read"):
        read_field(tmp_path / "field")
