"""Values and attributes -> checksums that survive a rewrite by xarray; a file -> a seal over all of its bytes.

The seal is a line after the end of the HDF5 data, which other programs do not see: a damaged file is found out before
HDF5 reads it. Programs that write the file again drop the seal, but keep the attribute `bayespde_checksum`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.errors import FileError
from bayespde.core.output_stream import OutputStream

CHECKSUM = "bayespde_checksum"
SEAL = b"\nbayespde sha256 "
SEAL_LENGTH = len(SEAL) + 64 + 1
# What `seal_of` found out about a file.
SEALED, UNSEALED, DAMAGED = "sealed", "unsealed", "damaged"
# Superblock version: where the length of the data stands in an HDF5 file, eight bytes, little-endian.
END_OF_DATA = {0: 40, 1: 44, 2: 28, 3: 28}
HDF5 = b"\x89HDF\r\n\x1a\n"


def seal(stream: OutputStream) -> None:
    """Append the checksum of everything written so far."""
    stream.seek(0)
    digest = _digest(stream, stream.size)
    stream.write(SEAL + digest.encode() + b"\n")


def seal_of(file: Path) -> str:
    """Whether a file is `SEALED` and whole, `UNSEALED` (written by another program), or `DAMAGED`.

    Raises:
        OSError: If it cannot be read.
    """
    length = file.stat().st_size - SEAL_LENGTH
    with file.open("rb") as stream:
        start = stream.read(48)
        if length > 0:
            stream.seek(length)
            last = stream.read()
            if last.startswith(SEAL):
                stream.seek(0)
                whole = last == SEAL + _digest(stream, length).encode() + b"\n"
                return SEALED if whole else DAMAGED
    # HDF5 files of other programs end where their data end; a damaged seal is what follows ours.
    follows = length + SEAL_LENGTH - _end_of_data(start)
    return DAMAGED if start.startswith(HDF5) and (follows < 0 or 0 < follows <= SEAL_LENGTH) else UNSEALED


def checksum(dataset: xr.Dataset) -> str:
    """JSON with a checksum of every variable, and one of all attributes with their names."""
    attributes = _attributes(dataset)
    recorded = {
        "variables": {
            str(name): _variable_digest(dataset.variables[name]) for name in sorted(dataset.variables, key=str)
        },
        "attributes": _text_digest(attributes),
        "names": sorted(attributes),
    }
    return json.dumps(recorded)


def check(dataset: xr.Dataset, file: object) -> bool:
    """Whether a dataset carries a checksum; its variables and attributes must then be those that it is of.

    Another program may add variables and attributes, and leave some out.

    Raises:
        FileError: If a value is another.
    """
    recorded = dataset.attrs.get(CHECKSUM)
    if recorded is None:
        return False
    known, attributes = json.loads(recorded), _attributes(dataset)
    there = {str(name): variable for name, variable in dataset.variables.items() if str(name) in known["variables"]}
    changed = [name for name, variable in there.items() if _variable_digest(variable) != known["variables"][name]]
    if set(known["names"]) <= set(attributes):
        of_known = _text_digest({name: attributes[name] for name in known["names"]})
        changed += ["attributes"] * (of_known != known["attributes"])
    if changed:
        raise unreadable(file, f"other values of {', '.join(changed)} than those of its checksum")
    return True


def unreadable(file: object, found: str, *, what: str = "The file is damaged.", fix: str = "") -> FileError:
    """The error of a file that is not as it was written."""
    again = "run the discovery again with the same folder, which computes this stage again; or restore the file"
    return FileError(what, got=f"{file}: {found}", wanted="the file as it was written", fix=fix or again)


def json_digest(record: Mapping[str, Any]) -> str:
    """Checksum of a record that JSON can hold, whatever its layout in a file; its own `checksum` is left out."""
    return _text_digest({k: v for k, v in record.items() if k != "checksum"})


def _digest(stream: Any, length: int) -> str:
    digest = hashlib.sha256()
    while length > 0 and (block := stream.read(min(length, 1 << 20))):
        digest.update(block)
        length -= len(block)
    return digest.hexdigest()


def _end_of_data(start: bytes) -> int:
    place = END_OF_DATA.get(start[8]) if len(start) == 48 else None
    return 0 if place is None else int.from_bytes(start[place : place + 8], "little")


def _variable_digest(variable: xr.Variable) -> str:
    """Of dimensions, type and values; texts are held in several types."""
    values = np.asarray(variable.values)
    if values.dtype.kind in "OUT":
        kind, content = "text", json.dumps([str(v) for v in values.ravel().tolist()]).encode()
    else:
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        kind, content = values.dtype.str, values.tobytes()
    described = json.dumps([[str(d) for d in variable.dims], list(variable.shape), kind])
    return hashlib.sha256(described.encode() + content).hexdigest()[:16]


def _attributes(dataset: xr.Dataset) -> dict[str, Any]:
    """Attributes of a dataset and of its variables, in a form that does not depend on how netCDF holds a number."""
    groups = {"": dataset.attrs} | {f"{name}.": variable.attrs for name, variable in dataset.variables.items()}
    found = {f"{k}{n}": np.asarray(v).tolist() for k, attrs in groups.items() for n, v in attrs.items()}
    found.pop(CHECKSUM, None)
    return {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in found.items()}


def _text_digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
