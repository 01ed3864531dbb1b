"""Every kind of file that the package reads back: where a run keeps it, its schema version, and how it is read.

A new kind is one line of `KINDS`; a raised schema version needs a file in `tests/data/schema`, which
`python tests/faults/file_kinds.py` adds (it changes no file that is there). Tests then read and damage it.
"""

import dataclasses
import gzip
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.netcdf import SCHEMAS, read_netcdf
from bayespde.io.read import read_field
from bayespde.results.inference_data import load
from bayespde.smooth.files import to_dataset
from bayespde.stages import run_folder
from bayespde.stages.trajectory_files import read_trajectories
from bayespde.zoo import reference

FOLDER = Path(__file__).resolve().parents[1] / "data" / "schema"


class Kind(NamedTuple):
    """A kind of file: its name in `FOLDER`, its latest schema version, and a path -> what is read."""

    name: str
    version: int
    read: Callable[[Path], Any]
    beside: tuple[str, ...] = ()


@cache
def _posterior(path, changed):
    return load(path)


def _trajectories(path):
    beside = path.with_name("posterior.nc")
    found = read_trajectories(path, _posterior(beside, beside.stat().st_mtime_ns))
    return [one.to_dataset() for one in found.trajectories], found.probability


def _record(path):
    """A damaged record is a warning, and nothing is then taken for finished."""
    return run_folder.read_record(path.parent)


KINDS = {
    "field.nc": Kind("field", SCHEMAS["field"], read_field),
    "field.npz": Kind("field", 1, read_field),
    "smooth.nc": Kind("smooth", SCHEMAS["smooth"], lambda path: to_dataset(run_folder.read_smooth(path))),
    "smooth_network.nc": Kind("smooth_network", SCHEMAS["smooth"], lambda p: to_dataset(run_folder.read_smooth(p))),
    "statistics.nc": Kind("statistics", SCHEMAS["statistics"], lambda p: run_folder.read_statistics(p).to_dataset()),
    "posterior.nc": Kind("posterior", SCHEMAS["posterior"], load),
    "trajectories.nc": Kind("trajectories", SCHEMAS["trajectories"], _trajectories, ("posterior.nc",)),
    "derivatives_network.nc": Kind(
        "derivatives", SCHEMAS["derivatives"], lambda path: read_netcdf(path, "derivatives", lambda found: found)
    ),
    "forecast.nc": Kind("forecast", SCHEMAS["forecast"], run_folder.read_forecast),
    "observed.nc": Kind("observed", SCHEMAS["observed"], run_folder.read_observed),
    "provenance.json": Kind("record", run_folder.RECORD_SCHEMA, _record),
    "reference.json": Kind("reference", reference.SCHEMA, lambda path: reference.read_reference(path).posterior),
}


def kept(name, version):
    """The committed file of a kind and version."""
    return FOLDER / f"{KINDS[name].name}_{version}{Path(name).suffix}.gz"


def versions(name):
    """The versions of a kind of which a file is kept."""
    pattern = kept(name, 0).name.replace("_0.", "_[0-9]*.")
    return sorted(int(file.name.split(".")[0].rsplit("_", 1)[1]) for file in FOLDER.glob(pattern))


def unpack(name, version, folder):
    """Put the file of a version, and what is read with it, into a folder under the names of a run; its path."""
    age = KINDS[name].version - version
    for one in (name, *KINDS[name].beside):
        (folder / one).write_bytes(gzip.decompress(kept(one, KINDS[one].version - age).read_bytes()))
    return folder / name


def equal(a, b):
    """Whether two results are equal to the last bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, xr.Dataset | xr.DataArray):
        return a.identical(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if dataclasses.is_dataclass(a):
        return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def add_missing():
    """Run the small discovery and keep the files of the latest versions that are not kept yet."""
    missing = [name for name, kind in KINDS.items() if not kept(name, kind.version).is_file()]
    if missing:
        import tiny_run

        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            tiny_run.write_all(folder)
            for name in missing:
                content = gzip.compress((Path(folder) / name).read_bytes(), 9, mtime=0)
                kept(name, KINDS[name].version).write_bytes(content)
    return [kept(name, KINDS[name].version).name for name in missing]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in add_missing()))
