"""Files as users have them: other names, other orders, old formats."""

import numpy as np
import pytest
import xarray as xr

from bayespde.core.errors import FieldError, FileError
from bayespde.io.read import describe_field, read_field

T, X, Y = np.linspace(0, 0.7, 8), np.linspace(-1, 2, 12), np.linspace(0, 5, 6)
COUNTS = np.arange(8 * 6 * 12).reshape(8, 6, 12) % 47


def video(dims=("time", "y", "x"), name="u", **units):
    coords = {d: (d, c, {"units": units.get(d, "1")}) for d, c in zip(dims, (T, Y, X), strict=True)}
    return xr.DataArray(COUNTS.astype("i2"), dims=dims, coords=coords, name=name, attrs={"units": "counts"})


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


def test_the_only_array_is_the_video_whatever_its_name(tmp_path):
    np.savez(tmp_path / "data.npz", t=T, x=X, data=COUNTS[:, 0])
    assert read_field(tmp_path / "data.npz").name == "data"
    np.savez(tmp_path / "field.npz", t=T, x=X, dark_field=COUNTS[:, 0])
    assert read_field(tmp_path / "field.npz").name == "u"
    video(name="dark_field").to_netcdf(tmp_path / "field.nc", engine="h5netcdf")
    assert read_field(tmp_path / "field.nc").name == "u"


def test_unknown_dimensions_come_with_the_line_that_renames_them(tmp_path):
    video(("frame", "row", "col"), name="image").to_netcdf(tmp_path / "weak_posterior.nc", engine="h5netcdf")
    with pytest.raises(FieldError, match="not understood") as caught:
        read_field(tmp_path / "weak_posterior.nc")
    assert "open_dataset('weak_posterior.nc').rename({'frame': 'time', 'row': 'y', 'col': 'x'})" in str(caught.value)


def test_what_an_archive_lacks_is_named_beside_what_it_has(tmp_path):
    np.savez(tmp_path / "own.npz", time=T, pos=X, data=COUNTS[:, 0])
    with pytest.raises(FileError, match=r"lacks x\.") as caught:
        read_field(tmp_path / "own.npz")
    assert "data [8, 12], pos [12]" in str(caught.value)


def test_an_array_alone_is_refused_with_what_to_write(tmp_path):
    np.save(tmp_path / "mine.npy", COUNTS)
    with pytest.raises(FileError, match=r"alone.*\n(.*\n)*.*numpy\.load\('mine\.npy'\).*numpy\.savez"):
        read_field(tmp_path / "mine.npy")


def test_one_line_says_how_a_file_was_read(tmp_path):
    video(time="s", x="nm", y="nm").to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
    said = describe_field(read_field(tmp_path / "mine.nc"))
    assert said == "u in counts over time 0 to 0.7 s (8), y 0 to 5 nm (6), x -1 to 2 nm (12)"
    np.savez(tmp_path / "mine.npz", t=T, x=X, u=COUNTS[:, 0])
    said = describe_field(read_field(tmp_path / "mine.npz"))
    assert said == "u over time 0 to 0.7 (8), x -1 to 2 (12); no units"
