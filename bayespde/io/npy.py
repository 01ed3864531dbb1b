"""An .npy file -> an error with what to write instead: an array alone does not say where and when its pixels are."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from bayespde.core.errors import FileError
from bayespde.io.formats import readable
from bayespde.io.npz import WRITE_NPZ


def read(file: Path) -> NoReturn:
    """Refuse the file.

    Raises:
        FileError: Always; it says how to write the axes next to the array.
    """
    raise FileError(
        "An array alone does not say where and when its pixels are.",
        got=str(file),
        wanted=readable(),
        fix=f"u = numpy.load({file.name!r}), then {WRITE_NPZ}",
    )
