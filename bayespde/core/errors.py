"""A failed check -> a message with what was wrong, what was found, what was wanted, and how to fix it."""

from __future__ import annotations

import math


class BayespdeError(ValueError):
    """Base class of all errors that bayespde raises.

    Args:
        what: What is wrong, in one sentence.
        got: What was found.
        wanted: What is accepted.
        fix: The line to write, or the thing to do.

    Without the last three the text is the whole message: Pyro rebuilds an error inside a program from its text.
    """

    def __init__(self, what: str, *, got: object = None, wanted: str = "", fix: str = "") -> None:
        self.what, self.got, self.wanted, self.fix = what, got, wanted, fix
        super().__init__(f"{what}\n  got:    {got}\n  wanted: {wanted}\n  fix:    {fix}" if wanted else what)


class FieldError(BayespdeError):
    """The video or field does not satisfy its schema."""


class TermError(BayespdeError):
    """A term does not parse, is not allowed, or duplicates another."""


class StatisticsError(BayespdeError):
    """Rows, factors or spins do not fit together."""


class ConfigError(BayespdeError):
    """A setting is out of its range, or a declaration has an unknown key."""


class FileError(BayespdeError):
    """A file cannot be read, or a path cannot be written."""


class FileWarning(UserWarning):
    """A file is not as bayespde wrote it: it is used nevertheless, or its stage is computed again."""


class IntegrationError(BayespdeError):
    """An equation could not be integrated: it blew up, or the step size vanished.

    Attributes:
        time: Time that it reached, in the unit of its times; NaN if it did not begin.
        draws: Indices of the draws that failed, of several that were integrated together.
    """

    time = math.nan
    draws: tuple[int, ...] = ()


class StepLimitError(IntegrationError):
    """An equation could not be integrated within the maximum number of steps."""


class IllPosedError(IntegrationError):
    """An equation could not be integrated: the shorter a wave, the faster it grows."""


class BudgetError(BayespdeError):
    """The CPU time that a computation may take is spent."""


class FitError(BayespdeError):
    """An equation cannot be fitted to these pixels; another one may fit."""


class OutOfReachError(FitError):
    """Trajectories of these pixels cannot be fitted, and those of similar equations neither."""
