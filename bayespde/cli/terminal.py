"""Answers, notes and failures -> what is printed where, and the exit code of the program."""

from __future__ import annotations

import errno
import sys
import traceback
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from bayespde.cli.interrupts import interruptible
from bayespde.core.errors import BayespdeError, BudgetError, FitError, IntegrationError

FAILED, WRONG_INPUT = 1, 2
# What the system says of a path that the user named; anything else, such as a full disk, is a failure.
OF_THE_PATH = {
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.EROFS,
    errno.ENAMETOOLONG, errno.EINVAL,
}  # fmt: skip
ANYWHERE = ("--quiet", "--debug")


class SharedOptions(TyperGroup):
    """A group whose options may stand after the verb too, and whose verbs end within two seconds of Ctrl-C."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the verb."""
        with interruptible():
            return super().invoke(ctx)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Refuse empty and unreadable arguments, and move the shared options to the front."""
        for argument in args:
            if argument == "" or (argument.startswith("--") and argument.endswith("=")):
                raise typer.BadParameter(f"an argument is empty, next to {' '.join(args)[:80]!r}")
            if not _is_text(argument):
                raise typer.BadParameter(f"{argument[:80]!r} is not UTF-8; rename the file")
        end = args.index("--") if "--" in args else len(args)
        shared = [a for a in args[:end] if a in ANYWHERE]
        return super().parse_args(ctx, [*shared, *(a for a in args[:end] if a not in shared), *args[end:]])


@dataclass(frozen=True)
class Terminal:
    """Where a verb prints.

    Attributes:
        quiet: Whether only answers are printed.
    """

    quiet: bool = False

    def answer(self, text: object) -> None:
        """Print what was asked for."""
        typer.echo(text)

    def note(self, text: object) -> None:
        """Print what was read or written, or how to go on; not if quiet."""
        if not self.quiet:
            typer.echo(text)

    @property
    def progress(self) -> bool:
        """Whether to show bars: in a terminal only, never in a file."""
        return not self.quiet and sys.stderr.isatty()


def complain(error: Exception, *, debug: bool) -> int:
    """Print a failure without a traceback, unless debugging, and return the exit code."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, OSError) and not isinstance(error, BayespdeError):
        error = _of_the_system(error)
    elif is_out_of_memory(error):
        error = _of_memory(error)
    if not isinstance(error, BayespdeError):
        first = f"{type(error).__name__}: {error}".splitlines()[0]
        hint = "" if debug else " (run again with --debug and report what it prints)"
        typer.secho(f"internal error: {_printable(first)[:400]}{hint}", fg="red", err=True)
        return FAILED
    typer.secho(f"error: {_printable(str(error))}", fg="red", err=True)
    return exit_code(error)


def exit_code(error: BayespdeError) -> int:
    """2 if the user's arguments or input are wrong, 1 if a run that was well described has failed."""
    cause = error.__cause__
    is_of_system = isinstance(cause, OSError) and cause.errno not in (None, *OF_THE_PATH)
    has_failed = is_of_system or isinstance(error, BudgetError | FitError | IntegrationError) or is_out_of_memory(cause)
    return FAILED if has_failed else WRONG_INPUT


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out: Python and NumPy raise a MemoryError, torch a RuntimeError."""
    said = str(error).lower() if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "can't allocate memory" in said or "out of memory" in said


def _of_memory(error: Exception) -> BayespdeError:
    found = BayespdeError(
        "There is not enough memory.",
        got=(str(error).splitlines() or ["a request that the system refused"])[0][:200],
        wanted="arrays that fit into the memory of this machine",
        fix="fewer particles, draws, frames or workers, or a smaller part of the field",
    )
    found.__cause__ = error
    return found


def _of_the_system(error: OSError) -> BayespdeError:
    found = BayespdeError(
        "The system refused a file or a folder.",
        got=f"{str(error.filename)[:200]} ({error.strerror or error})",
        wanted="a path that can be read and written",
        fix="check the path, its permissions and the free space",
    )
    found.__cause__ = error
    return found


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str) -> str:
    """The text without characters that move the cursor or that no terminal can show."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
