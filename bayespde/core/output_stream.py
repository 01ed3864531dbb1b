"""Bytes of a library -> a temporary file, locked while it is written, with no failure that the library would see."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

try:
    import fcntl
except ImportError:  # Windows, which refuses to delete an open file
    fcntl = None  # type: ignore[assignment]

# Temporary files begin with it; a file of that name without a lock was left by a process that was killed.
PREFIX = ".bayespde-"


class OutputStream(io.RawIOBase):
    """A binary stream whose first failure is kept; what follows a failure is counted, not written.

    HDF5 ends the process if a file cannot be closed because a write failed. Here no write fails: a full disk is found
    out when the file is finished, and `size` is then the size that the whole file would have had.

    Attributes:
        path: The temporary file.
        failure: The first error of the file system; None if there was none.
        size: Bytes of the whole file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__()
        self._descriptor, self._position = descriptor, 0
        self.path, self.size = path, 0
        self.failure: OSError | None = None

    def readable(self) -> bool:
        """HDF5 reads back what it wrote."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Write all of `data`; after a failure only count it."""
        content = memoryview(data).cast("B")
        self.attempt(lambda: self._write_all(content))
        self._position += len(content)
        self.size = max(self.size, self._position)
        return len(content)

    def readinto(self, buffer: Any) -> int:
        """Read back; zeros in place of what could not be written."""
        view = memoryview(buffer).cast("B")
        count = max(min(len(view), self.size - self._position), 0)
        view[:count] = self._read_back(count).ljust(count, b"\0")
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Cut the file, or lengthen it with zeros."""
        wanted = self._position if size is None else size
        self.attempt(lambda: os.ftruncate(self._descriptor, wanted))
        self.size = wanted
        return wanted

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            try:
                os.close(self._descriptor)
            except OSError as error:
                self.failure = self.failure or error

    def attempt(self, action: Callable[[], object]) -> None:
        """Do something to the file unless that failed before; a failure is kept."""
        if self.failure is None:
            try:
                action()
            except OSError as error:
                self.failure = error

    def move_to(self, final: Path) -> None:
        """Close the file and give it its name; it is locked until it has it."""
        kept: list[int] = []
        if fcntl is not None:
            self.attempt(lambda: kept.append(os.dup(self._descriptor)))
        self.close()
        self.attempt(lambda: os.replace(self.path, final))
        for descriptor in kept:
            # What was written is known from the first closing.
            with suppress(OSError):
                os.close(descriptor)

    def discard(self) -> None:
        """Close and remove the file."""
        self.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def lock(self) -> bool:
        """Mark the file as that of a running process; False if another process has just removed it."""
        if fcntl is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                return True  # no locks in this file system, where nothing is swept either
        return os.fstat(self._descriptor).st_nlink > 0

    def _write_all(self, content: memoryview) -> None:
        os.lseek(self._descriptor, self._position, os.SEEK_SET)
        done = 0
        while done < len(content):
            done += os.write(self._descriptor, content[done:])

    def _read_back(self, count: int) -> bytes:
        found = b""
        with suppress(OSError):
            os.lseek(self._descriptor, self._position, os.SEEK_SET)
            while len(found) < count and (part := os.read(self._descriptor, count - len(found))):
                found += part
        return found


def open_temporary(folder: Path, suffix: str) -> OutputStream:
    """A new temporary file, locked; writers of animations choose the format by its suffix.

    Raises:
        OSError: If the file cannot be made.
    """
    while True:
        path = folder / f"{PREFIX}{token_hex(6)}{suffix}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        stream = OutputStream(path, os.open(path, flags, 0o666))
        if stream.lock():
            return stream
        stream.discard()


def sweep(folder: Path) -> None:
    """Remove temporary files of processes that were killed: no process holds their lock."""
    for stale in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if fcntl is None:
                stale.unlink()
                continue
            descriptor = os.open(stale, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stale.unlink()
            finally:
                os.close(descriptor)
