"""WORK -> bars on the terminal, and an end to it when the CPU time that it may take is spent."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from time import process_time
from typing import Annotated, Any

from tqdm import tqdm

from bayespde.core.annotations import NonNegative, OneOf
from bayespde.core.checked import Checked, validated
from bayespde.core.errors import BudgetError

Limit = NonNegative | Annotated[float, OneOf((math.inf,))]


@dataclass(frozen=True)
class Progress(Checked):
    """What is shown of long work, and how long it may take.

    CPU time is that of the process, all threads together, so that other programs on the machine do not change what is
    computed. Functions that take `progress: bool` take one of these as well; `True` shows bars and sets no limit.

    Attributes:
        show: Whether to show bars and lines, on the standard error.
        seconds: CPU seconds that all of the work may take.
        end: CPU time of the process at which they are spent.
    """

    show: bool = False
    seconds: Limit = math.inf
    end: Limit = math.inf

    @classmethod
    @validated
    def of(cls, progress: bool | Progress) -> Progress:
        """The same, or one without a limit."""
        return progress if isinstance(progress, Progress) else cls(show=bool(progress))

    @validated
    def within(self, seconds: Limit) -> Progress:
        """The same for work that may take this long from now on, if all of it does not end before."""
        return replace(self, seconds=seconds, end=min(self.end, process_time() + seconds))

    def unlimited(self) -> Progress:
        """The same for work that has to be finished."""
        return replace(self, end=math.inf)

    @property
    def left(self) -> float:
        """CPU seconds that are left, 0 or more."""
        return max(self.end - process_time(), 0.0)

    def check(self) -> None:
        """Do nothing while CPU time is left.

        Raises:
            BudgetError: If it is spent.
        """
        if not self.left:
            raise BudgetError(
                "The budget of CPU time is spent.",
                got=f"{self.seconds:.0f} CPU seconds",
                wanted="more",
                fix=f"discover(field, budget={4 * self.seconds:.0f}), or --budget {4 * self.seconds:.0f}",
            )

    def bar(self, items: Iterable[Any] | None = None, **options: Any) -> tqdm:
        """A bar over items, or to be updated by hand; `options` are those of `tqdm.tqdm`."""
        return tqdm(items, disable=not self.show, **options)

    @validated
    def say(self, line: str) -> None:
        """Show a line between bars."""
        if self.show:
            tqdm.write(line, file=sys.stderr)
