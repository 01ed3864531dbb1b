"""Bytes -> a file that is whole or absent; a path -> a readable file, or an error that says what to do."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, EISDIR, ENOSPC
from pathlib import Path
from typing import Any

from bayespde.core.errors import FileError
from bayespde.core.output_stream import OutputStream, open_temporary, sweep


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[OutputStream]:
    """Yield a stream into a temporary file in the folder of `path`; it becomes `path` if the block succeeds.

    All files of the package are written through it, so that a full disk is one and the same error everywhere.

    Args:
        path: Path of the finished file.

    Yields:
        The stream. On any error the temporary file is removed and `path` is untouched.

    Raises:
        FileError: If the folder cannot be made or written, or not all of the file could be written.
    """
    final = Path(path)
    try:
        stream = _open(final)
    except (OSError, ValueError) as error:
        raise write_error(final, error) from error
    try:
        yield stream
        stream.move_to(final)
        if stream.failure is not None:
            raise stream.failure
    except BaseException as error:
        stream.discard()
        if stream.failure is None or not isinstance(error, Exception):
            raise
        raise write_error(final, stream.failure, stream.size) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that a file can be made, before the work that fills it.

    Raises:
        FileError: If it cannot.
    """
    try:
        _open(Path(path)).discard()
    except (OSError, ValueError) as error:
        raise write_error(Path(path), error) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        FileError: If it cannot be written.
    """
    with new_file(path) as stream:
        stream.write(text.encode())


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file.

    Raises:
        FileError: If it cannot be read.
    """
    file = existing_file(path)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        got, fix = f"{file}: {error}", "check the path, or restore the file"
        raise FileError("The file cannot be read.", got=got, wanted="a readable text", fix=fix) from error


def write_error(path: Path, error: Exception, size: int = 0) -> FileError:
    """The error of a file that could not be written.

    Args:
        path: The finished file.
        error: What the file system said.
        size: Bytes of the whole file, as far as they are known.
    """
    number = getattr(error, "errno", None)
    free = _free_space(path)
    reason = f"{getattr(error, 'strerror', None) or error}{'' if free is None else f'; {_amount(free)} free'}"
    needed = f"{_amount(size)} for this file" if size else "a folder in which a file can be created"
    remedy = "choose another output folder or change its permissions"
    if number in (ENOSPC, EDQUOT):
        remedy = "free some space or choose another output folder; a rerun resumes after the finished stages"
    elif number == EFBIG:
        remedy = "raise the file-size limit (ulimit -f); a rerun resumes after the finished stages"
    return FileError("The output path cannot be written.", got=f"{path} ({reason})", wanted=needed, fix=remedy)


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return `path` as a `Path` if it is a readable file.

    Raises:
        FileError: If there is no such file or it cannot be read.
    """
    file = Path(path)
    # Names that are too long, and those with a null byte, make Python raise.
    with suppress(OSError, ValueError):
        if file.is_file() and os.access(file, os.R_OK):
            return file
    raise FileError("The file cannot be read.", got=file, wanted="an existing, readable file", fix="check the path")


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


def _open(final: Path) -> OutputStream:
    """A temporary file in the folder of the final one, in which none of killed processes remain."""
    with suppress(FileNotFoundError):
        # Unlike `is_dir` this raises for names that are too long, before the work and not after it.
        if stat.S_ISDIR(final.stat().st_mode):
            raise IsADirectoryError(EISDIR, "it is a folder")
    final.parent.mkdir(parents=True, exist_ok=True)
    sweep(final.parent)
    return open_temporary(final.parent, final.suffix)


def _free_space(path: Path) -> int | None:
    """Free bytes where a path lies, None where that cannot be found out."""
    for folder in path.absolute().parents:
        with suppress(OSError, ValueError):
            return shutil.disk_usage(folder).free
    return None


def _amount(size: int) -> str:
    """Bytes in the largest unit of which there is at least one."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"
