"""CTRL-C -> one line that says what is kept, and the end of the program within two seconds."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import typer

INTERRUPTED = 130
STANDARD_ERROR = 2
# Seconds for compiled code and threads to notice; then the process ends without them. Files are whole or absent.
GRACE = 1.5


@contextmanager
def interruptible(folder: Path | None = None) -> Iterator[None]:
    """End with exit code 130 on Ctrl-C.

    Python runs its signal handlers between instructions of the main thread, which may be in compiled code for long. The
    byte that the signal writes into a socket is read by another thread at once.

    Args:
        folder: Where finished stages are kept, if anywhere.
    """
    (reader, writer), said = socket.socketpair(), Event()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    Thread(target=_watch, args=(reader, _kept_in(folder), said), daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        said.wait(GRACE)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.set_wakeup_fd(before)
        writer.close()


def _kept_in(folder: Path | None) -> Callable[[], str]:
    """What says which files an interrupted command leaves; imports now, not while others may hold the import lock."""
    if folder is None:
        return lambda: "interrupted: nothing was written"
    from bayespde.stages.run_folder import finished_files

    def line() -> str:
        files = ", ".join(finished_files(folder))
        if not files:
            return "interrupted: no stage was finished, and nothing is kept"
        return f"interrupted: {files} are finished in {folder}; run the same command again to resume after them"

    return line


def _watch(reader: socket.socket, line: Callable[[], str], said: Event) -> None:
    """Wait for the byte of an interrupt, say what is kept, and end the process soon after that."""
    with reader:
        while received := reader.recv(1):
            if received[0] == signal.SIGINT:
                # Not through sys.stderr, whose lock the main thread may hold.
                os.write(STANDARD_ERROR, f"\n{line()}\n".encode())
                said.set()
                time.sleep(GRACE)
                os._exit(INTERRUPTED)
