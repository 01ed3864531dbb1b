"""An HDF5 file of another program -> an error if HDF5 does not come to an end with it, found in a process of its own.

In a damaged file, links may lead in circles, which HDF5 follows for ever, or to addresses that end the process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bayespde.core.checksum import unreadable

# Seconds after which a file whose contents are not yet listed is given up; a file of 10 GB takes less than one.
LIMIT = 20.0
# An error that Python can raise is said when the file is read.
_LISTING = """
import h5netcdf, h5py, sys

def visit(name, item):
    isinstance(item, h5py.Dataset) and item.chunks and item.id.get_num_chunks()

try:
    with h5netcdf.File(sys.argv[1], "r") as file:
        [(v.dimensions, v.shape, dict(v.attrs)) for v in file.variables.values()]
    with h5py.File(sys.argv[1], "r") as file:
        file.visititems(visit)
except Exception:
    pass
"""
_FIX = "restore the file; h5ls -r FILE shows what is left of it"


def try_to_read(file: Path) -> None:
    """List the contents of a file in another process, which takes some tenths of a second.

    Raises:
        FileError: If that process crashes, or does not come to an end.
    """
    try:
        done = subprocess.run([sys.executable, "-c", _LISTING, str(file)], capture_output=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise unreadable(file, f"it could not be listed in {LIMIT:.0f} s", fix=_FIX) from None
    if done.returncode < 0:
        raise unreadable(file, f"reading it ends the process with signal {-done.returncode}", fix=_FIX)
