"""Checksums of netCDF files: what was damaged is refused, what was rewritten is read with a warning."""

import os

import h5py
import numpy as np
import pytest
import xarray as xr

from bayespde.core import checksum
from bayespde.core.checksum import SEAL_LENGTH, seal_of
from bayespde.core.errors import FieldError, FileError, FileWarning
from bayespde.core.netcdf import SCHEMAS, read_netcdf, read_netcdf_tree, write_netcdf

VALUES = np.random.default_rng(0).normal(size=(4, 5))


def dataset():
    found = xr.Dataset(
        {
            "u": (("time", "x"), VALUES, {"units": "m", "flags": np.array([1, 2]), "one": np.array([3.0])}),
            "single": ("x", np.arange(5, dtype=np.float32)),
            "spin": ("x", np.array([True, False, True, False, True])),
            "name": ("x", np.array(["a", "bb", "", "été", "u*u_x"])),
            "missing": ("x", np.array([1.0, np.nan, np.inf, -0.0, 5e-324])),
            "count": ((), np.int64(2**60 + 1)),
        },
        coords={"time": np.arange(4.0), "x": np.arange(5)},
        attrs={"settings": "{}", "seed": 3, "level": 0.1, "empty": ""},
    )
    found["time"].attrs["units"] = "s"
    return found


def tree():
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"a": 1}), "one": dataset(), "two": dataset()})


@pytest.fixture
def file(tmp_path):
    write_netcdf(dataset(), tmp_path / "file.nc", "smooth")
    return tmp_path / "file.nc"


def read(file):
    return read_netcdf(file, "smooth", lambda found: found)


def rewritten(file, change=lambda found: found):
    """The file as xarray writes what it has read from it."""
    with xr.open_dataset(file, engine="h5netcdf", decode_times=False) as found:
        found.load()
    change(found).to_netcdf(file, engine="h5netcdf")
    return file


def test_what_is_written_is_read_back_without_a_word(file):
    found = read(file)
    assert found.equals(dataset())
    assert found["u"].attrs["units"] == "m"
    assert found.attrs.items() >= {"schema_version": SCHEMAS["smooth"], "seed": 3, "empty": ""}.items()
    assert seal_of(file) == checksum.SEALED


def test_a_tree_is_read_back_without_a_word(tmp_path):
    write_netcdf(tree(), tmp_path / "tree.nc", "posterior")
    found = read_netcdf_tree(tmp_path / "tree.nc", "posterior", lambda found: found)
    assert found["two"].to_dataset().equals(dataset())
    assert found.attrs["schema_version"] == SCHEMAS["posterior"]


@pytest.mark.parametrize("value", [None, {"a": {"b": 1}}, [1, "x"], True, b"\xff", np.array(["a"]), object])
def test_attributes_that_netcdf_cannot_hold_are_written_as_text(file, value):
    odd = dataset().assign_attrs({"odd": value, 1: 2, "": 3})
    odd["u"].attrs["odd"] = value
    write_netcdf(odd, file, "smooth")
    found = read(file)
    assert found.attrs["odd"] == found["u"].attrs["odd"] == str(value)
    assert (found.attrs["1"], found.attrs["_"]) == (2, 3)
    assert odd.attrs["odd"] is value


def test_the_packing_of_another_file_never_changes_values(file):
    packed = dataset()
    packed["u"].encoding = {"dtype": "int8", "scale_factor": 0.5, "_FillValue": 3}
    packed["single"].attrs = {"_FillValue": 3.0, "scale_factor": 2.0, "dtype": "bool", "coordinates": "u"}
    write_netcdf(packed, file, "smooth")
    assert read(file).equals(dataset())
    assert packed["single"].attrs["scale_factor"] == 2.0


def test_other_programs_see_an_ordinary_file(file):
    with xr.open_dataset(file, engine="h5netcdf", decode_times=False) as found:
        assert found.load().equals(dataset())
    with h5py.File(file) as found:
        assert np.array_equal(found["u"], VALUES)


def test_what_xarray_rewrote_is_read_with_a_warning_as_often_as_it_is_rewritten(file):
    for _ in range(2):
        with pytest.warns(FileWarning, match="its values are those of its checksums"):
            assert read(rewritten(file)).equals(dataset())


def test_variables_and_attributes_may_be_added_and_left_out(file):
    rewritten(file, lambda found: found.drop_vars("single").assign(more=("x", np.arange(5))).assign_attrs(note="mine"))
    with pytest.warns(FileWarning, match="those of its checksums"):
        assert "more" in read(file)
    rewritten(file, lambda found: found.drop_attrs(deep=False))
    with pytest.warns(FileWarning, match="it has no checksum that tells"):
        assert read(file)["u"].equals(dataset()["u"])


CHANGES = {
    "u": lambda found: found.assign(u=found["u"] + 1e-12),
    "spin": lambda found: found.assign(spin=~found["spin"]),
    "name": lambda found: found.assign(name=found["name"].astype(object).copy(data=["a"] * 5)),
    "time": lambda found: found.assign_coords(time=("time", 2 * found["time"].values, found["time"].attrs)),
    "attributes": lambda found: found.assign_attrs(seed=4),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_values_are_refused_and_the_remedy_works(file, name):
    rewritten(file, CHANGES[name])
    with pytest.raises(FileError, match=rf"other values of .*{name}") as caught:
        read(file)
    assert str(file) in caught.value.got
    rewritten(file, lambda found: found.drop_attrs(deep=False))
    with pytest.warns(FileWarning, match="no checksum"):
        read(file)


def test_every_flipped_byte_every_cut_and_every_zeroed_stretch_is_refused(file):
    """A cut that removes no more than the seal leaves all values: that is seen, or they are read."""
    content, rng = file.read_bytes(), np.random.default_rng(0)
    data = len(content) - SEAL_LENGTH
    damages = [content[:k] + bytes([content[k] ^ 255]) + content[k + 1 :] for k in range(0, len(content), 61)]
    damages += [content[:k] for k in range(1, len(content), 151) if k != data]
    for start in range(0, len(content) - 40, 211):
        stop = int(rng.integers(start + 40, len(content) + 1))
        damages.append(content[:start] + bytes(stop - start) + content[stop:])
    assert len(damages) > 250
    for damage in damages:
        if damage != content:
            file.write_bytes(damage)
            with pytest.raises(FileError, match=r"damaged|cannot be read"):
                read(file)


def test_a_file_without_its_seal_alone_is_read_with_a_warning(file):
    file.write_bytes(file.read_bytes()[:-SEAL_LENGTH])
    with pytest.warns(FileWarning, match="those of its checksums"):
        assert read(file).equals(dataset())


@pytest.mark.parametrize("content", [b"", b"no file of numbers", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_what_is_no_netcdf_file_is_refused_without_a_foreign_word(file, capfd, content):
    file.write_bytes(content)
    with pytest.raises(FileError, match=r"damaged|cannot be read"):
        read(file)
    assert capfd.readouterr().err == ""


def test_damage_is_seen_before_hdf5_reads_the_file(file, monkeypatch):
    content = bytearray(file.read_bytes())
    content[600] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr(xr, "open_dataset", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(FileError, match="its bytes are not those that were written"):
        read(file)


def test_what_a_reader_makes_of_the_wrong_file_is_an_error_of_the_file(file):
    for error in (KeyError("u"), TypeError("no"), ValueError("no"), AttributeError("no"), FieldError("no")):

        def use(_, error=error):
            raise error

        with pytest.raises(FileError, match="cannot be read") as caught:
            read_netcdf(file, "smooth", use)
        assert str(file) in caught.value.got


def test_a_later_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(SCHEMAS, "smooth", 99)
    write_netcdf(dataset(), tmp_path / "file.nc", "smooth")
    monkeypatch.undo()
    with pytest.raises(FileError, match="later version"):
        read(tmp_path / "file.nc")


@pytest.mark.parametrize("libver", ["earliest", "v110"])
def test_the_end_of_the_data_is_found_in_every_superblock(tmp_path, libver):
    with h5py.File(tmp_path / "file.h5", "w", libver=libver) as found:
        found["u"] = VALUES
    assert seal_of(tmp_path / "file.h5") == checksum.UNSEALED
    whole = (tmp_path / "file.h5").read_bytes()
    for content in (whole[:-1], whole + b"\0", whole + bytes(SEAL_LENGTH)):
        (tmp_path / "file.h5").write_bytes(content)
        assert seal_of(tmp_path / "file.h5") == checksum.DAMAGED
    (tmp_path / "file.h5").write_bytes(whole + bytes(SEAL_LENGTH + 1))
    assert seal_of(tmp_path / "file.h5") == checksum.UNSEALED


def test_the_digest_of_a_record_does_not_depend_on_its_layout():
    assert checksum.json_digest({"a": 1, "b": [1.5], "checksum": "x"}) == checksum.json_digest({"b": [1.5], "a": 1})
    assert checksum.json_digest({"a": 1}) != checksum.json_digest({"a": 2})


def test_no_byte_is_written_beside_the_door(file, monkeypatch):
    """HDF5 sees a stream, not a path: a failed write of its own would end the process."""
    opened = []
    real = h5py.h5f.create
    monkeypatch.setattr(h5py.h5f, "create", lambda name, *a, **k: opened.append(name) or real(name, *a, **k))
    write_netcdf(dataset(), file, "smooth")
    assert opened
    assert not [name for name in opened if os.path.exists(name)]
