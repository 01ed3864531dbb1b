"""Datasets, trees -> netCDF files with checksums; such files -> datasets, checked, or an error that names the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from bayespde.core.checksum import CHECKSUM, DAMAGED, SEALED, check, checksum, seal, seal_of, unreadable
from bayespde.core.errors import FileError, FileWarning
from bayespde.core.files import check_schema, existing_file, new_file
from bayespde.core.output_stream import OutputStream
from bayespde.core.trial_read import try_to_read

Result = TypeVar("Result")
# Kinds of files and the latest layout of each: a change of a layout is a new number. From these numbers on files carry
# checksums; `tests/data/schema` keeps a file of every number.
SCHEMAS = {
    "field": 2,
    "smooth": 3,
    "statistics": 3,
    "posterior": 3,
    "trajectories": 2,
    "derivatives": 2,
    "forecast": 2,
    "observed": 2,
}
Found = TypeVar("Found", xr.Dataset, xr.DataTree)
# Attributes by which xarray changes values that it reads, or which it makes itself.
PACKING = {"_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "dtype", "coordinates"}


def write_netcdf(content: xr.Dataset | xr.DataTree, path: str | PathLike[str], kind: str) -> None:
    """Write a dataset or a tree of a kind in `SCHEMAS`, whole or not at all.

    Raises:
        FileError: If it cannot be written.
    """
    with new_file(path) as stream:
        put_netcdf(content, stream, kind)


def put_netcdf(content: xr.Dataset | xr.DataTree, stream: OutputStream, kind: str) -> None:
    """Write a dataset or a tree into a new file, with its schema version and checksums of values and bytes.

    The stream is written piece by piece: in memory, a large forecast would be held twice.
    """
    groups: dict[str, Any] = {"/": content}
    if isinstance(content, xr.DataTree):
        groups = {node.path: node.to_dataset(inherit=False) for node in content.subtree}
    groups["/"] = groups["/"].assign_attrs(schema_version=SCHEMAS[kind])
    with h5netcdf.File(stream, "w") as file:
        for path, dataset in groups.items():
            group, held = file if path == "/" else file.create_group(path), _as_it_is(dataset)
            held.assign_attrs({CHECKSUM: checksum(held)}).dump_to_store(H5NetCDFStore(group))
    seal(stream)


def read_netcdf(path: str | PathLike[str], kind: str, use: Callable[[xr.Dataset], Result]) -> Result:
    """Make something of a dataset that `write_netcdf` wrote.

    Args:
        path: Its file. One that another program has written again is used with a `FileWarning`.
        kind: What it should hold.
        use: What to make of the dataset; an error of it is one of the file.

    Raises:
        FileError: If the file is missing or damaged, or holds something else.
    """
    return _checked(path, kind, (xr.open_dataset, lambda dataset: [dataset]), use)


def read_netcdf_tree(path: str | PathLike[str], kind: str, use: Callable[[xr.DataTree], Result]) -> Result:
    """Make something of a tree, as `read_netcdf` does of a dataset.

    Raises:
        FileError: If the file is missing or damaged, or holds something else.
    """
    return _checked(path, kind, (xr.open_datatree, _datasets), use)


def check_bytes(file: Path) -> bool:
    """Whether an HDF5 file has the seal of `put_netcdf`, and is whole; one without a seal may be of any program.

    Raises:
        FileError: If it has one and is damaged, or is cut off.
        OSError: If it cannot be read.
    """
    found = seal_of(file)
    if found == DAMAGED:
        raise unreadable(file, "its bytes are not those that were written")
    if found != SEALED:
        try_to_read(file)
        # What h5netcdf asks first: where that fails, it prints a traceback of its own.
        with h5py.File(file, "r") as opened:
            opened.attrs.get("_nc3_strict")
    return found == SEALED


def _checked(
    path: str | PathLike[str],
    kind: str,
    how: tuple[Callable[..., AbstractContextManager[Found]], Callable[[Found], list[xr.Dataset]]],
    use: Callable[[Found], Result],
) -> Result:
    file, (open_file, parts) = existing_file(path), how
    try:
        # Before HDF5, which a damaged file can bring down.
        sealed = check_bytes(file)
        with open_file(file, engine="h5netcdf", decode_times=False) as found:
            found.load()
            check_schema(found.attrs.get("schema_version", 1), SCHEMAS[kind], file)
            known = sealed or _values_are_known(parts(found), file)
            result = use(found)
    except FileError:
        raise
    except Exception as error:  # a damaged file makes the libraries that read it raise almost anything
        raise unreadable(file, f"{type(error).__name__}: {error}", what="The file cannot be read.") from error
    if not sealed:
        whole = (
            "its values are those of its checksums" if known else "it has no checksum that tells whether it is whole"
        )
        warnings.warn(f"{file} was not written by this version of bayespde: {whole}.", FileWarning, stacklevel=3)
    return result


def _as_it_is(dataset: xr.Dataset) -> xr.Dataset:
    """Without what would change values when they are written or read: the packing of the file that a field is from.

    Attributes that netCDF cannot hold, such as tables and booleans, become text.
    """
    plain = dataset.drop_encoding()
    plain.attrs = _held(plain.attrs)
    for variable in plain.variables.values():
        variable.attrs = _held({name: v for name, v in variable.attrs.items() if name not in PACKING})
    return plain


def _held(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name) or "_": v if _is_held(v) else str(v) for name, v in attributes.items()}


def _is_held(value: Any) -> bool:
    return isinstance(value, str) or (not isinstance(value, bool) and np.asarray(value).dtype.kind in "iuf")


def _datasets(tree: xr.DataTree) -> list[xr.Dataset]:
    return [node.to_dataset(inherit=False) for node in tree.subtree]


def _values_are_known(datasets: list[xr.Dataset], file: Path) -> bool:
    """Whether any part carries checksums; ArviZ drops those of the root."""
    known = [check(dataset, file) for dataset in datasets]
    return any(known)
