"""A netCDF file, classic or HDF5 -> its variables over time, (z, y,) x; fields -> a netCDF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from bayespde.core.checksum import check
from bayespde.core.errors import FieldError, FileError
from bayespde.core.field import renaming
from bayespde.core.netcdf import check_bytes, put_netcdf
from bayespde.core.output_stream import OutputStream


@dataclass(frozen=True, eq=False)
class NetCDFContents:
    """The variables of a netCDF file.

    Attributes:
        dataset: All of them, their times called `time`.
        file: Where they were read.
    """

    dataset: xr.Dataset
    file: Path

    @property
    def candidates(self) -> list[str]:
        """Names of the variables over time, or of all arrays if none is; standard deviations (`_sd`) are left out."""
        arrays = {str(n): v for n, v in self.dataset.data_vars.items() if v.ndim > 1 and not str(n).endswith("_sd")}
        return [n for n, v in arrays.items() if "time" in v.dims] or list(arrays)

    def field(self, name: str, *, called: str) -> xr.DataArray:
        """The variable `name`, called `called`.

        Raises:
            FileError: If there is none.
            FieldError: If its dimensions are not understood.
        """
        if name not in self.dataset.data_vars:
            raise FileError(
                "The file has no such variable.",
                got=", ".join(f"{n} over {v.dims}" for n, v in self.dataset.data_vars.items()) or "no variable",
                wanted=name,
                fix="name one with --variable, or read_field(path, variable)",
            )
        new = renaming(self.dataset[name].dims)
        if new:
            raise FieldError(
                "The dimensions of the field are not understood.",
                got=self.dataset[name].dims,
                wanted="time, x; time, y, x; or time, z, y, x, in any order",
                fix=f"xarray.open_dataset({self.file.name!r}).rename({new}).to_netcdf('renamed.nc'), if these are they",
            )
        return self.dataset[name].rename(called)


def read(file: Path) -> NetCDFContents:
    """Read all variables; times stay the numbers that the file holds, in the unit it names."""
    with file.open("rb") as stream:
        classic = stream.read(3) == b"CDF"
    sealed = not classic and check_bytes(file)
    with xr.open_dataset(file, engine="scipy" if classic else "h5netcdf", decode_times=False) as dataset:
        dataset.load()
        if not sealed:
            check(dataset, file)
        return NetCDFContents(_with_times(dataset), file)


def write(fields: xr.Dataset, stream: OutputStream) -> None:
    """Write fields with their coordinates and units."""
    put_netcdf(fields, stream, "field")


def _with_times(dataset: xr.Dataset) -> xr.Dataset:
    if "t" in dataset.dims and "time" not in {*dataset.dims, *dataset.variables}:
        dataset = dataset.rename(t="time")
    if "time" in dataset.coords:
        # The day from which dates count is no part of the unit of a rate.
        unit, since, _ = str(dataset["time"].attrs.get("units", "1")).partition(" since ")
        if since:
            dataset["time"].attrs["units"] = unit
    return dataset
