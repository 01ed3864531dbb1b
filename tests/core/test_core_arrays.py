"""What holds numbers, at every entry: masked pixels are missing, what is no real number is refused with a remedy."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import bayespde as bp
from bayespde.core.arrays import as_array, real_array
from bayespde.core.errors import BayespdeError, ConfigError, FieldError, StatisticsError

T, X = np.arange(21.0), np.arange(32.0)


@pytest.fixture
def values(rng):
    return rng.standard_normal((21, 32))


@pytest.fixture
def masked(values):
    values[3, 4] = values[7, 9] = 1e9
    return np.ma.masked_array(values, mask=values > 1e8)


def test_masked_pixels_of_a_field_are_missing(masked):
    filled = np.where(masked.mask, -9999, (100 * masked.filled(0)).astype(int))
    whole_numbers = np.ma.masked_equal(filled, -9999)
    fields = [
        bp.make_field(masked, t=T, x=X),
        bp.validate_field(xr.DataArray(masked, dims=("time", "x"), coords={"time": T, "x": X}, name="u")),
        bp.validate_field(xr.Dataset({"u": (("time", "x"), masked)}, coords={"time": T, "x": X})["u"]),
        bp.make_field(whole_numbers, t=T, x=X),
        bp.make_field(masked.astype(np.float32), t=T, x=X),
    ]  # fmt: skip
    for field in fields:
        assert int(field.isnull().sum()) == 2
        assert field.isnull().values[3, 4]
        assert abs(field).max() < 1e3
    plain = np.ma.masked_array(masked.filled(0.5), mask=False)
    assert not bp.make_field(plain, t=T, x=X).isnull().any()


def test_masked_scattered_values_are_dropped(rng):
    value = np.ma.masked_array(np.r_[rng.random(199), 1e9], mask=np.arange(200) > 198)
    found = bp.make_scattered(value, t=rng.random(200), x=rng.random(200))
    assert found.size == 199
    assert found.max() < 1


def test_masked_frames_of_a_dataset_are_missing_after_reading(tmp_path, masked):
    field = bp.make_field(masked, t=T, x=X)
    xr.Dataset({"u": field, "v": 2 * field}).to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    found = bp.read_field(tmp_path / "two.nc", variables=["u", "v"])
    assert int(found["v"].isnull().sum()) == 2
    np.savez(tmp_path / "one.npz", t=T, x=X, u=field.values)
    assert int(bp.read_field(tmp_path / "one.npz").isnull().sum()) == 2


def test_marks_of_missing_pixels_that_were_not_decoded_are_refused_and_the_fix_works(tmp_path, values):
    raw = np.where(np.abs(values) > 1.5, -9999, values)
    field = xr.DataArray(raw, dims=("time", "x"), coords={"time": T, "x": X}, name="u", attrs={"_FillValue": -9999.0})
    with pytest.raises(FieldError, match="marked by a number") as caught:
        bp.validate_field(field)
    assert bp.validate_field(eval(caught.value.fix, {"xarray": xr, "field": field})).isnull().sum() > 20
    assert bp.validate_field(field.copy(data=values)).notnull().all()


@pytest.mark.parametrize("place", ["t", "x", "values"])
def test_masked_coordinates_and_rows_are_refused(values, place):
    arguments = {"values": values, "t": T, "x": X}
    mask = np.zeros_like(arguments[place], dtype=bool)
    mask[2] = True
    arguments[place] = np.ma.masked_array(arguments[place], mask=mask)
    with pytest.raises(FieldError, match=r"strictly increasing|Whole frames"):
        bp.make_field(**arguments)


def test_masked_rows_and_times_are_refused(rng):
    design, target = rng.standard_normal((60, 3)), np.ma.masked_array(np.ones(60), mask=np.arange(60) == 4)
    with pytest.raises(StatisticsError, match="finite"):
        bp.SufficientStatistics.from_rows(design, target)
    with pytest.raises(StatisticsError, match="finite"):
        bp.SufficientStatistics.from_rows(np.ma.masked_less(design, 0), np.ones(60))
    start = xr.DataArray(np.sin(X), dims="x", coords={"x": X}, name="u")
    with pytest.raises(ConfigError, match="times"):
        bp.integrate(bp.Equation.from_string("u_t = 0.1*u_xx"), start, np.ma.masked_array([0.0, 1.0], mask=[0, 1]))


REMEDIES = {
    "bool": (lambda v: v > 0, True),
    "text": (lambda v: v.astype(str), True),
    "object": (lambda v: v.astype(object), True),
    "real in complex": (lambda v: v + 0j, True),
    "complex": (lambda v: v + 1j * v[::-1], False),
    "timedelta": (lambda v: (1e3 * v).astype("timedelta64[s]"), True),
    "datetime": (lambda v: (1e3 * v).astype("datetime64[s]"), True),
}


@pytest.mark.parametrize("kind", REMEDIES)
def test_what_is_no_real_number_is_refused_and_the_fix_works(values, kind):
    change, is_one_field = REMEDIES[kind]
    field = xr.DataArray(change(values), dims=("time", "x"), coords={"time": T, "x": X}, name="u")
    with pytest.raises(FieldError, match="must be real numbers") as caught:
        bp.validate_field(field)
    fix = caught.value.fix.split(", if")[0].split(", for")[0]
    found = eval(fix.removeprefix("two coupled fields: "), {"field": field, "xarray": xr, "numpy": np})
    if is_one_field:
        bp.validate_field(found)
    else:
        assert [bp.validate_field(found[name]).name for name in found.data_vars] == ["p", "q"]


@pytest.mark.parametrize("values", [1j, np.array(1j), [1, 2j]])
def test_shifts_are_real(values):
    video = xr.DataArray(np.arange(672.0).reshape(21, 32), dims=("time", "x"), coords={"time": T, "x": X}, name="u")
    shift = np.zeros(21) + np.asarray(values).ravel()[-1]
    with pytest.raises(FieldError, match="must be real"):
        bp.scattered_from_video(video, shift={"x": shift})
    for wrong in (np.full(21, "a"), [None] * 21, np.zeros(21, dtype="timedelta64[s]"), np.zeros(21, dtype=bool)):
        with pytest.raises(FieldError, match="must be real"):
            bp.scattered_from_video(video, shift={"x": wrong})
    masked = np.ma.masked_array(np.zeros(21), mask=np.arange(21) == 3)
    with pytest.raises(FieldError, match="does not fit"):
        bp.scattered_from_video(video, shift={"x": masked})


COORDINATES = {
    "twice": np.r_[T[:20], 19.0],
    "text": T.astype(str),
    "dates": T.astype("datetime64[s]"),
    "durations": T.astype("timedelta64[s]"),
    "complex": T + 1j,
    "bool": T > 3,
    "object": T.astype(object),
    "two axes": T.reshape(3, 7),
    "None": [None] * 21,
    "large": T * 1e150,
}


@pytest.mark.parametrize("kind", COORDINATES)
def test_coordinates_of_another_kind_are_refused(values, kind):
    with pytest.raises(FieldError):
        bp.make_field(values, t=COORDINATES[kind], x=X)


def test_dims_that_repeat_are_refused(values):
    with pytest.warns(UserWarning, match="Duplicate"):
        field = xr.DataArray(np.ones((21, 32, 32)), dims=("time", "x", "x"), name="u")
    with pytest.raises(FieldError, match="dimensions"):
        bp.validate_field(field)


def test_values_whose_squares_overflow_are_refused(values):
    with pytest.raises(FieldError, match="too large"):
        bp.make_field(values * 1e200, t=T, x=X)
    with pytest.raises(FieldError, match="constant"):
        bp.make_field(values * 1e-200, t=T, x=X)


def test_tensors_frames_and_rows_of_a_table_are_arrays(values):
    for same in (torch.tensor(values), pd.DataFrame(values), values.tolist(), xr.DataArray(values)):
        np.testing.assert_array_equal(bp.make_field(same, t=T, x=X), values)
    for wrong in (torch.tensor(values, requires_grad=True), [[1.0, 2.0], [3.0]], "u", None, {}, object()):
        with pytest.raises(FieldError):
            bp.make_field(wrong, t=T, x=X)


def test_arrays_keep_their_dtype_unless_masked():
    assert as_array([1, 2], "u").dtype.kind == "i"
    assert as_array(np.ma.masked_array([1, 2], mask=[0, 1]), "u").dtype == np.float64
    assert np.isnan(real_array(np.ma.masked_array([1, 2], mask=[0, 1]), "u")[1])
    with pytest.raises(BayespdeError, match="'u' are not an array"):
        as_array([[1], [1, 2]], "u")


STARTS = {
    "text": lambda f: f.astype(str),
    "bool": lambda f: f > 0,
    "complex": lambda f: f + 1j,
    "durations": lambda f: (1e3 * f).astype("timedelta64[s]"),
    "missing": lambda f: f.where(f > -0.5),
    "no coordinate": lambda f: f.drop_vars("x"),
    "text for a coordinate": lambda f: f.assign_coords(x=f.x.astype(str)),
    "dates for a coordinate": lambda f: f.assign_coords(x=np.arange(32).astype("datetime64[s]")),
    "time": lambda f: f.expand_dims(time=[0.0]),
}


@pytest.mark.parametrize("kind", STARTS)
def test_a_first_frame_is_of_real_numbers(kind):
    frame = xr.DataArray(np.sin(X), dims="x", coords={"x": X}, name="u")
    with pytest.raises(FieldError):
        bp.integrate(bp.Equation.from_string("u_t = 0.1*u_xx"), STARTS[kind](frame), (0.0, 1.0))
