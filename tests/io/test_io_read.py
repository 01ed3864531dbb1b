"""Files as users have them: other names, other orders, old formats, damaged, or of something else."""

import io

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError, FieldError, FileError
from bayespde.core.field import field_hash, make_field
from bayespde.io.formats import readable
from bayespde.io.read import describe_field, read_field

T, X, Y = np.linspace(0, 0.7, 8), np.linspace(-1, 2, 12), np.linspace(0, 5, 6)
UNITS = {"u": "K", "time": "s", "x": "nm"}
COUNTS = np.arange(8 * 6 * 12).reshape(8, 6, 12) % 47


def values(*shape):
    return np.sin(np.arange(np.prod(shape), dtype=float)).reshape(shape)


U = values(8, 12)


def video(dims=("time", "y", "x"), name="u", **units):
    coords = {d: (d, c, {"units": units.get(d, "1")}) for d, c in zip(dims, (T, Y, X), strict=True)}
    return xr.DataArray(COUNTS.astype("i2"), dims=dims, coords=coords, name=name, attrs={"units": "counts"})


def profile(field=U, name="u"):
    return xr.DataArray(field, dims=("time", "x"), coords={"time": T, "x": X}, name=name)


def npz(folder, name="field.npz", **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


# netCDF


@pytest.mark.parametrize("time_unit", ["s", "seconds", "days", "hours since 2001-01-01"])
def test_netcdf_keeps_values_coordinates_and_units(tmp_path, time_unit):
    missing = U.copy()
    missing[:, :2] = np.nan
    field = make_field(missing, t=T, x=X, units=UNITS | {"time": time_unit})
    field.to_netcdf(tmp_path / "field.nc", engine="h5netcdf")
    back = read_field(tmp_path / "field.nc")
    assert np.array_equal(back.values, field.values, equal_nan=True)
    assert np.array_equal(back.time.values, T)
    unit = time_unit.removesuffix(" since 2001-01-01")
    assert [back.attrs["units"], back.time.attrs["units"], back.x.attrs["units"]] == ["K", unit, "nm"]
    assert field_hash(back) == field_hash(field)


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_classic_netcdf_of_integers_is_read(tmp_path, kind):
    video(x="nm").to_netcdf(tmp_path / "old.nc", format=kind, engine="scipy")
    back = read_field(tmp_path / "old.nc")
    assert np.array_equal(back.values, COUNTS)
    assert [back.attrs["units"], back.x.attrs["units"]] == ["counts", "nm"]


def test_t_is_time_in_any_order(tmp_path):
    video(("t", "y", "x"), t="h").transpose("y", "x", "t").to_netcdf(tmp_path / "t.nc", engine="h5netcdf")
    back = read_field(tmp_path / "t.nc")
    assert back.dims == ("time", "y", "x")
    assert np.array_equal(back.values, COUNTS)
    assert back.time.attrs["units"] == "h"
    np.savez(tmp_path / "time.npz", time=T, x=X, y=Y, u=COUNTS)
    assert np.array_equal(read_field(tmp_path / "time.npz").values, COUNTS)


def test_dates_are_numbers_in_a_plain_unit(tmp_path):
    dates = np.datetime64("2024-05-01T10:00:00", "ns") + np.arange(8) * np.timedelta64(100, "ms")
    video().assign_coords(time=dates).to_netcdf(tmp_path / "dates.nc", engine="h5netcdf")
    time = read_field(tmp_path / "dates.nc").time
    assert np.array_equal(time.values, 100 * np.arange(8))
    assert time.attrs["units"] == "milliseconds"


def test_unknown_dimensions_come_with_the_line_that_renames_them(tmp_path):
    video(("frame", "row", "col"), name="image").to_netcdf(tmp_path / "weak_posterior.nc", engine="h5netcdf")
    with pytest.raises(FieldError, match="not understood") as caught:
        read_field(tmp_path / "weak_posterior.nc")
    assert "open_dataset('weak_posterior.nc').rename({'frame': 'time', 'row': 'y', 'col': 'x'})" in str(caught.value)


# .npz and .npy


@pytest.mark.parametrize("stored", [U, U.T])
def test_npz_is_read_in_either_orientation(tmp_path, stored):
    back = read_field(npz(tmp_path, t=T, x=X, u=stored))
    assert np.array_equal(back.values, U)
    assert np.array_equal(back.x.values, X)


def test_npz_with_matlab_column_vectors_and_two_space_dimensions(tmp_path):
    back = read_field(npz(tmp_path, t=T[:, None], x=X[None], y=Y, u=values(8, 6, 12)))
    assert back.dims == ("time", "y", "x")
    assert np.array_equal(back.values, values(8, 6, 12))


def test_a_square_npz_is_taken_as_time_first(tmp_path):
    assert np.array_equal(read_field(npz(tmp_path, t=T, x=X[:8], u=values(8, 8))).values, values(8, 8))


def test_an_array_alone_is_refused_with_what_to_write(tmp_path):
    np.save(tmp_path / "mine.npy", COUNTS)
    with pytest.raises(FileError, match=r"alone.*\n(.*\n)*.*numpy\.load\('mine\.npy'\).*numpy\.savez"):
        read_field(tmp_path / "mine.npy")


# Which variable


def test_the_variable_is_named_or_found(tmp_path):
    assert read_field(npz(tmp_path, t=T, x=X, phi=U), "phi").name == "phi"
    both = xr.Dataset({"phi": profile(name="phi"), "psi": 2 * profile(), "phi_sd": profile()})
    both.to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    assert np.array_equal(read_field(tmp_path / "two.nc", "psi").values, 2 * U)
    with pytest.raises(FileError, match="no such variable"):
        read_field(tmp_path / "two.nc")
    both[["phi", "phi_sd"]].to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    assert read_field(tmp_path / "one.nc").name == "phi"


def test_the_only_array_is_the_video_whatever_its_name(tmp_path):
    np.savez(tmp_path / "data.npz", t=T, x=X, data=COUNTS[:, 0])
    assert read_field(tmp_path / "data.npz").name == "data"
    np.savez(tmp_path / "field.npz", t=T, x=X, dark_field=COUNTS[:, 0])
    assert read_field(tmp_path / "field.npz").name == "u"
    video(name="dark_field").to_netcdf(tmp_path / "field.nc", engine="h5netcdf")
    assert read_field(tmp_path / "field.nc").name == "u"


def test_coupled_fields_are_a_dataset_in_the_order_of_their_names(tmp_path):
    xr.Dataset({"u": profile(), "v": 2 * profile()}).to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    for file in (tmp_path / "two.nc", npz(tmp_path, t=T, x=X, u=U.T, v=2 * U)):
        found = read_field(file, variables=["v", "u"])
        assert list(found.data_vars) == ["v", "u"]
        assert np.array_equal(found["u"].values, U)
        assert np.array_equal(found["v"].values, 2 * U)
        assert found["v"].attrs["units"] == "1"
        with pytest.raises(FileError, match=r"w"):
            read_field(file, variables=["u", "w"])
        with pytest.raises(FieldError, match="two or more fields"):
            read_field(file, variables=["u"])


@pytest.mark.parametrize("asked", [{"variables": "uv"}, {"variable": "u", "variables": ["u", "v"]}])
def test_one_variable_or_a_list_is_asked_for(tmp_path, asked):
    with pytest.raises(ConfigError, match=r"not clear|'variables' is not usable"):
        read_field(npz(tmp_path, t=T, x=X, u=U, v=U), **asked)


# Files that are not usable


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_object_arrays_are_refused_and_never_unpickled(tmp_path):
    objects = np.empty((8, 12), dtype=object)
    objects[:] = _Bomb()
    with pytest.raises(FileError, match="could not be read"):
        read_field(npz(tmp_path, t=T, x=X, u=objects))


def _bytes(save, **arrays):
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def _damaged(content, seed=0):
    rng, changed = np.random.default_rng(seed), bytearray(content)
    for place in rng.integers(0, len(content), 12):
        changed[place] ^= 255
    return bytes(changed)


GOOD = _bytes(np.savez, t=T, x=X, u=U)
PACKED = _bytes(np.savez_compressed, t=T, x=X, u=np.round(U, 2))
FILES = {
    "empty.npz": b"",
    "garbage.npz": b"this is not an archive " * 40,
    "cut.npz": GOOD[: len(GOOD) // 2],
    "array.npz": _bytes(np.save, arr=U),
    "pickle.npz": _bytes(np.save, arr=np.array([{}], dtype=object)),
    "empty.nc": b"",
    "garbage.nc": b"this is not a file of numbers " * 40,
    "empty": b"",
    "video.avi": b"RIFF of something else",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_anything_else_is_a_file_error(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    with pytest.raises(FileError, match="could not be read") as caught:
        read_field(tmp_path / name)
    assert name in str(caught.value)
    assert caught.value.wanted == readable()


@pytest.mark.parametrize("content", [GOOD, PACKED])
def test_damaged_archives_never_raise_a_foreign_error(tmp_path, content):
    for damage in range(40):
        (tmp_path / "field.npz").write_bytes(_damaged(content, damage))
        try:
            read_field(tmp_path / "field.npz")
        except bp.BayespdeError as error:
            assert error.fix  # noqa: PT017  any other error fails the test by itself


def test_missing_files_and_arrays_are_named(tmp_path):
    with pytest.raises(FileError, match=r"nothing\.nc"):
        read_field(tmp_path / "nothing.nc")
    with pytest.raises(FileError, match="existing, readable file"):
        read_field(tmp_path)
    with pytest.raises(FileError, match=r"lacks x\."):
        read_field(npz(tmp_path, t=T, u=U))


def test_missing_arrays_are_named_with_those_of_the_archive(tmp_path):
    np.savez(tmp_path / "own.npz", time=T, pos=X, data=COUNTS[:, 0])
    with pytest.raises(FileError, match=r"lacks x\.") as caught:
        read_field(tmp_path / "own.npz")
    assert "data [8, 12], pos [12]" in str(caught.value)


def test_a_bad_field_in_a_good_file_is_a_field_error(tmp_path):
    empty = U.copy()
    empty[3] = np.nan
    with pytest.raises(FieldError, match="Whole frames"):
        read_field(npz(tmp_path, t=T, x=X, u=empty))
    with pytest.raises(FieldError, match="does not hold real numbers"):
        read_field(npz(tmp_path, t=list("abcdefgh"), x=X, u=U))


# In one line


def test_one_line_describes_how_a_file_was_read(tmp_path):
    video(time="s", x="nm", y="nm").to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
    described = describe_field(read_field(tmp_path / "mine.nc"))
    assert described == "u in counts over time 0 to 0.7 s (8), y 0 to 5 nm (6), x -1 to 2 nm (12)"
    np.savez(tmp_path / "mine.npz", t=T, x=X, u=COUNTS[:, 0])
    described = describe_field(read_field(tmp_path / "mine.npz"))
    assert described == "u over time 0 to 0.7 (8), x -1 to 2 (12); no units"
