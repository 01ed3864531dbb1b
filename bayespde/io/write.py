"""A checked field, or coupled fields -> a file that is whole or absent, in the format that its suffix names."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import xarray as xr

from bayespde.core.errors import FileError
from bayespde.core.files import new_file
from bayespde.io.formats import FORMATS, by_suffix, writable


def write_field(fields: xr.DataArray | xr.Dataset, path: str | PathLike[str]) -> None:
    """Write a field or coupled fields.

    Args:
        fields: Checked.
        path: Its suffix names the format; netCDF if it names none.

    Raises:
        FileError: If the path cannot be written, or the format cannot hold these fields.
    """
    file, dataset = Path(path), fields if isinstance(fields, xr.Dataset) else fields.to_dataset()
    chosen = by_suffix(file) or FORMATS[0]
    if not chosen.writes or len(dataset.dims) - 1 not in chosen.space:
        raise FileError(
            "The format cannot hold the field.",
            got=f"{file.name}, over {', '.join(map(str, dataset.dims))}",
            wanted=f"a path that ends in {writable()}",
            fix=f"{file.stem}{FORMATS[0].suffixes[0]}",
        )
    with new_file(file) as stream:
        chosen.load().write(dataset, stream)
