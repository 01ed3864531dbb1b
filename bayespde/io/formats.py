"""A path -> the file format: the table of formats, and the interface of the module that reads and writes each."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import xarray as xr

    from bayespde.core.output_stream import OutputStream


class Contents(Protocol):
    """What a file holds, before one of its arrays is chosen."""

    @property
    def candidates(self) -> Sequence[str]:
        """Names of the arrays that may be a field."""
        ...

    def field(self, name: str, *, called: str) -> xr.DataArray:
        """The array `name` as a field called `called`, over time, (z, y,) x, not yet checked.

        Raises:
            FileError: If the file has no such array.
            FieldError: If its dimensions are not understood.
        """
        ...


class FormatModule(Protocol):
    """What the module of a format offers; `write` only if the table says so."""

    def read(self, file: Path) -> Contents:
        """Open a file; whatever is raised becomes a `FileError`. A reader never runs code from a file."""
        ...

    def write(self, fields: xr.Dataset, stream: OutputStream) -> None:
        """Write checked fields over one grid into a new file."""
        ...


@dataclass(frozen=True)
class Format:
    """One line of the table.

    Attributes:
        name: As messages call it.
        module: Imported on first use; a `FormatModule`.
        suffixes: Lower case, with the dot; they decide first.
        magic: First bytes of such files; they decide where the suffix is unknown. Text files may have none.
        reads: Whether fields can be read.
        writes: Whether fields can be written.
        space: Numbers of space dimensions that it can hold.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...] = ()
    reads: bool = True
    writes: bool = False
    space: tuple[int, ...] = (1, 2, 3)

    def load(self) -> FormatModule:
        """Import the module that reads and writes this format."""
        return cast(FormatModule, importlib.import_module(self.module))


FORMATS = (
    Format("netCDF", "bayespde.io.netcdf", (".nc", ".nc4", ".cdf"), (b"CDF", b"\x89HDF\r\n\x1a\n"), writes=True),
    Format(".npz with t, x (y, z) and u", "bayespde.io.npz", (".npz",), (b"PK\x03\x04",), writes=True),
    Format(".npy", "bayespde.io.npy", (".npy",), (b"\x93NUMPY",), reads=False),
)


def by_suffix(path: Path) -> Format | None:
    """The format that the suffix of a path names, None if it is of none."""
    return next((f for f in FORMATS if path.suffix.lower() in f.suffixes), None)


def by_magic(file: Path) -> Format | None:
    """The format whose files begin as this one does, None if there is none."""
    with file.open("rb") as stream:
        start = stream.read(max(len(m) for f in FORMATS for m in f.magic))
    return next((f for f in FORMATS if start.startswith(f.magic)), None)


def readable() -> str:
    """Names of the formats that can be read, for messages."""
    return ", or ".join(f.name for f in FORMATS if f.reads)


def writable() -> str:
    """Suffixes of the formats that can be written, for messages."""
    return ", ".join(s for f in FORMATS if f.writes for s in f.suffixes)
