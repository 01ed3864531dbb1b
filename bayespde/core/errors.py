"""A broken expectation -> a message that says what was wrong, what was got, what was wanted, and what to do."""

from __future__ import annotations

import math


class BayespdeError(ValueError):
    """Base of every error that bayespde raises on purpose.

    Args:
        what: The statement that failed, in one sentence.
        got: What was found.
        wanted: What would have been accepted.
        fix: The line to write, or the thing to do.

    Only Pyro leaves out the last three: it makes an error inside a program once more, from its text alone.
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


class IntegrationError(BayespdeError):
    """An equation could not be integrated: it blew up, or the step size vanished.

    Attributes:
        time: How far it came, in the unit of its times; NaN if it did not begin.
        draws: Of several that were integrated together, the indices of those that failed.
    """

    time = math.nan
    draws: tuple[int, ...] = ()


class StepLimitError(IntegrationError):
    """An equation could not be integrated in as many steps as it may take."""


class FitError(BayespdeError):
    """An equation cannot be fitted to these pixels; another one may."""
