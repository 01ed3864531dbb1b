"""The field schema: what passes, what is refused and how, and files."""

import io

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import FieldError, FileError
from bayespde.core.field import add_noise, field_hash, make_field, spacings, validate_field
from bayespde.io.read import read_field

T, X, Y = np.linspace(0, 0.7, 8), np.linspace(-1, 2, 12), np.linspace(0, 5, 6)
UNITS = {"u": "K", "time": "s", "x": "nm"}


def values(*shape):
    return np.sin(np.arange(np.prod(shape), dtype=float)).reshape(shape)


U = values(8, 12)


def array(field=U, dims=("time", "x"), name="u", **coords):
    return xr.DataArray(field, dims=dims, coords={"time": T, "x": X} | coords, name=name)


def with_value(value, *index):
    changed = U.copy()
    changed[index] = value
    return changed


def some_missing(share):
    changed = U.copy()
    changed[:, : round(share * 12)] = np.nan
    return changed


BAD = {
    "not a DataArray": (U, "must be an xarray.DataArray", "make_field"),
    "a Dataset": (xr.Dataset({"u": array()}), "must be an xarray.DataArray", "make_field"),
    "wrong dims": (array().rename(x="position"), "dimensions of the field are not understood", "rename"),
    "no time": (xr.DataArray(values(6, 12), dims=("y", "x")), "dimensions", "rename"),
    "y without x": (xr.DataArray(values(8, 6), dims=("time", "y")), "dimensions", "rename"),
    "complex": (array(U * (1 + 1j)), "must be real", "field.real"),
    "text": (array(U.astype(str)), "must be real", "field.real"),
    "bool": (array(U > 0), "must be real", "field.real"),
    "no coordinate": (array().drop_vars("x"), "'x' has no coordinate", "assign_coords(x"),
    "four frames": (array().isel(time=slice(4)), "too short along 'time'", "more frames"),
    "four pixels": (array().isel(x=slice(4)), "too short along 'x'", "crop less"),
    "decreasing": (array()[::-1], "'time' is not strictly increasing", "sortby"),
    "repeated": (array(x=np.repeat(X[:6], 2)), "'x' is not strictly increasing", "sortby"),
    "shuffled": (array(time=T[[0, 2, 1, 3, 4, 5, 6, 7]]), "not strictly increasing", "sortby"),
    "NaN in time": (array(time=np.append(T[:-1], np.nan)), "not strictly increasing", "sortby"),
    "infinite x": (array(x=np.append(X[:-1], np.inf)), "not strictly increasing", "sortby"),
    "uneven": (array(x=np.geomspace(1, 3, 12)), "'x' is not evenly spaced", "interp"),
    "text as time": (array(time=list("abcdefgh")), "does not hold real numbers", "assign_coords(time"),
    "complex x": (array(x=X * 1j), "does not hold real numbers", "assign_coords(x"),
    "dates": (array(time=np.datetime64("2020-01-01") + np.arange(8)), "does not hold real numbers", "seconds"),
    "infinite value": (array(with_value(-np.inf, 3, 4)), "infinite values", "NaN"),
    "NaN frame": (array(with_value(np.nan, 3)), "Whole frames have no value", "isel(time"),
    "NaN everywhere": (array(U * np.nan), "Whole frames have no value", "isel(time"),
    "too many NaN": (array(some_missing(0.35)), "Too many pixels are missing", "crop"),
    "constant": (array(np.full_like(U, 3.0)), "constant", "channel"),
    "zero": (array(np.zeros_like(U)), "constant", "channel"),
    "constant with gaps": (array(np.where(U > 0.9, np.nan, 2.0)), "constant", "channel"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_field_is_refused_with_what_got_wanted_fix(case):
    field, what, fix = BAD[case]
    with pytest.raises(FieldError) as caught:
        validate_field(field)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert all(f"\n  {part}:" in str(caught.value) for part in ("got", "wanted", "fix"))


def test_the_message_names_the_frames_that_have_no_value():
    changed = U.copy()
    changed[[2, 5]] = np.nan
    with pytest.raises(FieldError, match=r"frames \[2, 5\] are NaN"):
        validate_field(array(changed))


@pytest.mark.parametrize("name", ["my field", "u_x", "2u", "x", "t", "time", "lambda", "u'", "ü", "u.v"])
def test_a_name_must_be_able_to_stand_in_a_term(name):
    with pytest.raises(FieldError, match="name of the field"):
        make_field(U, t=T, x=X, name=name)


def test_other_names_and_no_name_pass():
    assert make_field(U, t=T, x=X, name="phi2").name == "phi2"
    assert validate_field(array(name=None)).name == "u"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"values": U.T, "t": T, "x": X}, "do not match the coordinates"),
        ({"values": U, "t": T, "x": X, "y": Y}, "do not match the coordinates"),
        ({"values": U[0], "t": T, "x": X}, "do not match the coordinates"),
        ({"values": U, "t": T, "x": X, "units": {"speed": "m"}}, "Units are given for something"),
        ({"values": [[1, 2], [3]], "t": T, "x": X}, "not an array"),
        ({"values": U, "t": [[1], [2, 3]], "x": X}, "not an array"),
        ({"values": np.zeros((0, 0)), "t": [], "x": []}, "too short"),
    ],
)
def test_make_field_refuses_what_does_not_fit(arguments, what):
    with pytest.raises(FieldError, match=what):
        make_field(**arguments)


def test_a_good_field_keeps_values_coordinates_and_units():
    field = make_field(U.astype(np.float32), t=T, x=X, units=UNITS)
    assert field.dims == ("time", "x")
    assert field.dtype == np.float64
    assert np.array_equal(field.values, U.astype(np.float32).astype(float))
    assert np.array_equal(field.time.values, T)
    assert (field.attrs["units"], field.time.attrs["units"], field.x.attrs["units"]) == ("K", "s", "nm")
    bare = make_field(U, t=T, x=X)
    assert (bare.attrs["units"], bare.time.attrs["units"], bare.x.attrs["units"]) == ("1", "1", "1")
    assert bare.name == "u"


def test_integers_are_values_too():
    assert np.array_equal(make_field(np.arange(96).reshape(8, 12), t=range(8), x=X), np.arange(96.0).reshape(8, 12))


def test_dimensions_come_in_canonical_order_and_further_coordinates_go():
    cube = xr.DataArray(values(12, 8, 6), dims=("x", "time", "y"), coords={"time": T, "y": Y, "x": X, "run": 3})
    checked = validate_field(cube)
    assert checked.dims == ("time", "y", "x")
    assert set(checked.coords) == {"time", "y", "x"}
    assert checked.values[2, 3, 4] == cube.values[4, 2, 3]
    assert checked.name == "u"


def test_three_space_dimensions_pass():
    field = make_field(values(8, 5, 6, 12), t=T, z=np.arange(5), y=Y, x=X)
    assert field.dims == ("time", "z", "y", "x")


def test_checking_changes_nothing_of_the_input():
    given = array(with_value(np.nan, 1, 1))
    before = given.copy(deep=True)
    checked = validate_field(given)
    checked.values[:] = 0
    assert given.identical(before)


def test_isolated_missing_pixels_pass():
    checked = validate_field(array(some_missing(0.25)))
    assert np.isnan(checked.values).mean() == 0.25


def test_uneven_spacing_of_rounded_times_passes():
    assert validate_field(array(time=np.round(T, 5))).sizes["time"] == 8
    with pytest.raises(FieldError, match="not evenly spaced"):
        validate_field(array(time=T + 0.002 * (T > 0.35)))


def test_spacings_are_the_physical_steps():
    assert spacings(make_field(U, t=T, x=X)) == pytest.approx((0.1, 3 / 11), rel=1e-12)


def test_the_hash_tells_values_coordinates_and_axes_apart():
    base = make_field(values(8, 8), t=T, x=X[:8])
    others = [base + 1e-12, base.assign_coords(x=X[:8] * 2), base.assign_coords(time=T + 1)]
    others.append(make_field(values(8, 8).T, t=T, x=X[:8]))
    assert field_hash(base) == field_hash(base.copy(deep=True))
    assert len({field_hash(f) for f in (base, *others)}) == 5


def test_added_noise_has_the_wanted_size_and_seed(seed):
    field = make_field(values(100, 200), t=np.arange(100), x=np.arange(200))
    noise = (add_noise(field, 0.3, seed=seed) - field).values / float(field.std())
    size = noise.size
    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(size)
    assert abs(noise.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * size)
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 5 * 0.09 / np.sqrt(size)
    assert np.array_equal(add_noise(field, 0.3, seed=seed), add_noise(field, 0.3, seed=seed))
    assert not np.array_equal(add_noise(field, 0.3, seed=seed), add_noise(field, 0.3, seed=seed + 1))


# files


def npz(folder, name="field.npz", **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


@pytest.mark.parametrize("time_unit", ["s", "seconds", "days", "hours since 2001-01-01"])
def test_netcdf_keeps_everything(tmp_path, time_unit):
    field = make_field(some_missing(0.2), t=T, x=X, units=UNITS | {"time": time_unit})
    field.to_netcdf(tmp_path / "field.nc", engine="h5netcdf")
    back = read_field(tmp_path / "field.nc")
    assert np.array_equal(back.values, field.values, equal_nan=True)
    assert np.array_equal(back.time.values, T)
    unit = time_unit.removesuffix(" since 2001-01-01")
    assert [back.attrs["units"], back.time.attrs["units"], back.x.attrs["units"]] == ["K", unit, "nm"]
    assert field_hash(back) == field_hash(field)


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


def test_the_variable_is_named_or_found(tmp_path):
    assert read_field(npz(tmp_path, t=T, x=X, phi=U), "phi").name == "phi"
    both = xr.Dataset({"phi": array(name="phi"), "psi": 2 * array(), "phi_sd": array()})
    both.to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    assert np.array_equal(read_field(tmp_path / "two.nc", "psi").values, 2 * U)
    with pytest.raises(FileError, match="no such variable"):
        read_field(tmp_path / "two.nc")
    both[["phi", "phi_sd"]].to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    assert read_field(tmp_path / "one.nc").name == "phi"


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
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_anything_else_is_a_file_error(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    with pytest.raises(FileError, match="could not be read") as caught:
        read_field(tmp_path / name)
    assert name in str(caught.value)


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


def test_a_bad_field_in_a_good_file_is_a_field_error(tmp_path):
    with pytest.raises(FieldError, match="Whole frames"):
        read_field(npz(tmp_path, t=T, x=X, u=with_value(np.nan, 3)))
    with pytest.raises(FieldError, match="does not hold real numbers"):
        read_field(npz(tmp_path, t=list("abcdefgh"), x=X, u=U))
