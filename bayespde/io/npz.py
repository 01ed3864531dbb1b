"""An .npz file with t, x (y, z) and arrays -> the arrays over time, (z, y,) x; fields -> an .npz file, no units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
import xarray as xr

from bayespde.core.errors import FileError
from bayespde.core.field import make_field
from bayespde.core.output_stream import OutputStream

AXES = ("t", "z", "y", "x")
WRITE_NPZ = "numpy.savez(path, t=t, x=x, u=u), u as [time, x]; with y=y for u as [time, y, x]"


@dataclass(frozen=True, eq=False)
class NpzContents:
    """The arrays of an .npz file.

    Attributes:
        arrays: By name; the times are called `t`.
    """

    arrays: dict[str, np.ndarray]

    @property
    def candidates(self) -> list[str]:
        """Names of the arrays of two dimensions or more that are no axis."""
        return [n for n, a in self.arrays.items() if n not in AXES and a.ndim > 1]

    def field(self, name: str, *, called: str) -> xr.DataArray:
        """The array `name`, called `called`; stored as `[time, x]` or `[x, time]`, if the lengths tell which.

        Raises:
            FileError: If the array, or one of its axes, is missing.
            FieldError: If its shape is not that of the axes.
        """
        arrays = self.arrays
        absent = [key for key in ("t", "x", name) if key not in arrays]
        if absent:
            raise FileError(
                f"The .npz file lacks {', '.join(absent)}.",
                got=", ".join(f"{key} {list(array.shape)}" for key, array in sorted(arrays.items())) or "no arrays",
                wanted=f"t, x (y, z) and {name}",
                fix=WRITE_NPZ if name == "u" else f"numpy.savez(path, t=t, x=x, {name}={name}), or name another array",
            )
        axes = {k: arrays[k].ravel() for k in AXES if k in arrays}
        shape, values = tuple(a.size for a in axes.values()), arrays[name]
        if values.shape != shape and values.T.shape == shape:
            values = values.T
        return make_field(values, name=called, t=axes["t"], x=axes["x"], y=axes.get("y"), z=axes.get("z"))


def read(file: Path) -> NpzContents:
    """Read all arrays; arrays of objects are refused, so no code is ever run."""
    with file.open("rb") as stream:
        if is_zipfile(stream):
            with ZipFile(stream) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                # NumPy stops reading where its header says, before the checksum that a damaged header would fail.
                raise ValueError(f"{damaged} is damaged")
        stream.seek(0)
        arrays = dict(np.load(stream, allow_pickle=False))
    return NpzContents(arrays if "t" in arrays else {"t" if k == "time" else k: a for k, a in arrays.items()})


def write(fields: xr.Dataset, stream: OutputStream) -> None:
    """Write fields and their axes; units have no place in the format."""
    arrays: dict[str, Any] = {str(name): field.values for name, field in fields.data_vars.items()}
    arrays |= {"t" if dim == "time" else str(dim): fields[dim].values for dim in fields.dims}
    np.savez(stream, **arrays)
