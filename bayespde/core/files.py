"""A result -> a file that is whole or absent; a path -> a readable file, or an error that says what to do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from typing import Any

from bayespde.core.errors import FileError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` only if the block succeeds.

    Args:
        path: Path of the finished file.

    Yields:
        A path in the same folder with the same suffix. On an error it is removed and `path` is untouched.

    Raises:
        FileError: If the folder cannot be made or written.
    """
    final = Path(path)
    try:
        if final.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{final.stem}-", suffix=final.suffix, dir=final.parent)
    except OSError as error:
        raise FileError(
            "The output path cannot be written.",
            got=f"{final} ({error.strerror})",
            wanted="a folder in which a file can be created",
            fix="choose another output folder or change its permissions",
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return `path` as a `Path` if it is a readable file.

    Raises:
        FileError: If there is no such file or it cannot be read.
    """
    file = Path(path)
    if not file.is_file() or not os.access(file, os.R_OK):
        raise FileError("The file cannot be read.", got=file, wanted="an existing, readable file", fix="check the path")
    return file


def check_schema(version: Any, known: int, file: object) -> None:
    """Check that the layout of a file is known.

    Args:
        version: That of the file.
        known: The latest that this version of the package reads.
        file: What was read, for the message.

    Raises:
        FileError: If it is a later one.
    """
    if int(version) > known:
        raise FileError(
            "The file was written by a later version of bayespde.",
            got=f"{file}, schema version {version}",
            wanted=f"{known} or earlier",
            fix="pip install --upgrade bayespde",
        )
