"""The field schema: valid fields, and the errors of invalid ones."""

import numpy as np
import pytest
import xarray as xr

from bayespde.core.errors import FieldError
from bayespde.core.field import add_noise, field_hash, make_field, spacings, validate_field

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
    "text": (array(U.astype(str)), "must be real", "field.astype(float)"),
    "bool": (array(U > 0), "must be real", "field.astype(float)"),
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
    "dates": (array(time=np.datetime64("2020-01-01", "ns") + np.arange(8)), "does not hold real numbers", "seconds"),
    "infinite value": (array(with_value(-np.inf, 3, 4)), "infinite values", "NaN"),
    "NaN frame": (array(with_value(np.nan, 3)), "Whole frames have no value", "isel(time"),
    "NaN everywhere": (array(U * np.nan), "Whole frames have no value", "isel(time"),
    "too many NaN": (array(some_missing(0.35)), "Too many pixels are missing", "crop"),
    "constant": (array(np.full_like(U, 3.0)), "constant", "channel"),
    "zero": (array(np.zeros_like(U)), "constant", "channel"),
    "constant with gaps": (array(np.where(U > 0.9, np.nan, 2.0)), "constant", "channel"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_invalid_field_is_refused_with_what_got_wanted_fix(case):
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
def test_names_that_cannot_be_used_in_a_term_are_refused(name):
    with pytest.raises(FieldError, match="name of the field"):
        make_field(U, t=T, x=X, name=name)


def test_other_names_and_no_name_are_accepted():
    assert make_field(U, t=T, x=X, name="phi2").name == "phi2"
    assert validate_field(array(name=None)).name == "u"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"values": U.T, "t": T, "x": X}, "do not match the coordinates"),
        ({"values": U, "t": T, "x": X, "y": Y}, "do not match the coordinates"),
        ({"values": U[0], "t": T, "x": X}, "do not match the coordinates"),
        ({"values": U, "t": T, "x": X, "units": {"speed": "m"}}, "Units are given for unknown names"),
        ({"values": [[1, 2], [3]], "t": T, "x": X}, "not an array"),
        ({"values": U, "t": [[1], [2, 3]], "x": X}, "not an array"),
        ({"values": np.zeros((0, 0)), "t": [], "x": []}, "too short"),
    ],
)
def test_make_field_refuses_arrays_that_do_not_fit_together(arguments, what):
    with pytest.raises(FieldError, match=what):
        make_field(**arguments)


def test_a_valid_field_keeps_values_coordinates_and_units():
    field = make_field(U.astype(np.float32), t=T, x=X, units=UNITS)
    assert field.dims == ("time", "x")
    assert field.dtype == np.float64
    assert np.array_equal(field.values, U.astype(np.float32).astype(float))
    assert np.array_equal(field.time.values, T)
    assert (field.attrs["units"], field.time.attrs["units"], field.x.attrs["units"]) == ("K", "s", "nm")
    bare = make_field(U, t=T, x=X)
    assert (bare.attrs["units"], bare.time.attrs["units"], bare.x.attrs["units"]) == ("1", "1", "1")
    assert bare.name == "u"


def test_integers_are_accepted_as_values():
    assert np.array_equal(make_field(np.arange(96).reshape(8, 12), t=range(8), x=X), np.arange(96.0).reshape(8, 12))


def test_dimensions_are_put_in_canonical_order_and_other_coordinates_are_dropped():
    cube = xr.DataArray(values(12, 8, 6), dims=("x", "time", "y"), coords={"time": T, "y": Y, "x": X, "run": 3})
    checked = validate_field(cube)
    assert checked.dims == ("time", "y", "x")
    assert set(checked.coords) == {"time", "y", "x"}
    assert checked.values[2, 3, 4] == cube.values[4, 2, 3]
    assert checked.name == "u"


def test_three_space_dimensions_are_accepted():
    field = make_field(values(8, 5, 6, 12), t=T, z=np.arange(5), y=Y, x=X)
    assert field.dims == ("time", "z", "y", "x")


def test_checking_does_not_change_the_input():
    given = array(with_value(np.nan, 1, 1))
    before = given.copy(deep=True)
    checked = validate_field(given)
    checked.values[:] = 0
    assert given.identical(before)


def test_isolated_missing_pixels_are_accepted():
    checked = validate_field(array(some_missing(0.25)))
    assert np.isnan(checked.values).mean() == 0.25


def test_uneven_spacing_of_rounded_times_is_accepted():
    assert validate_field(array(time=np.round(T, 5))).sizes["time"] == 8
    with pytest.raises(FieldError, match="not evenly spaced"):
        validate_field(array(time=T + 0.002 * (T > 0.35)))


def test_spacings_are_the_physical_steps():
    assert spacings(make_field(U, t=T, x=X)) == pytest.approx((0.1, 3 / 11), rel=1e-12)


def test_the_hash_depends_on_values_coordinates_and_axes():
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
