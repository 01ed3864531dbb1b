"""Names of the columns of a table -> terms without an expression, which any regression has and no field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy

from bayespde.core.annotations import Positive
from bayespde.core.errors import TermError
from bayespde.core.terms import Term

# A name, an interaction of names, or a function of them: what reads as one factor. The rest is put into backticks.
FACTOR = re.compile(r"[^\W\d][\w.]*(?::[^\W\d][\w.]*)*")
BRACKETS = re.compile(r"\([^()]*\)|\[[^][]*\]")


@dataclass(frozen=True)
class Column(Term):
    """A candidate column of a regression: it has a name and no expression, whatever the name looks like.

    Attributes:
        name: Any text that can be printed, such as `age`, `dose:age`, `I(x**2)` or `u_x`.
        complexity: Prior cost, dimensionless, positive; 1 by default.
    """

    expression: sympy.Expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name or not self.name.isprintable():
            raise TermError(
                "A column has a name that cannot be printed.",
                got=ascii(self.name)[:80],
                wanted="a text of one or more characters, without line breaks",
                fix="frame.rename(columns=repr)",
            )

    def __getattr__(self, name: str) -> Any:
        if name != "expression":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise TermError(
            "A column of a table has no expression in a field and its derivatives.",
            got=repr(self.name)[:80],
            wanted="candidate terms of an equation of a field",
            fix="Library.from_strings(['u', 'u_x', 'u_xx'])",
        )

    @property
    def factor(self) -> str:
        """The name as a factor in a sum, in backticks if it would not read as one."""
        inside, rest = "", self.name
        while inside != rest:
            inside, rest = rest, BRACKETS.sub("", rest)
        return self.name if FACTOR.fullmatch(rest) else f"`{self.name}`"


def columns(
    names: Sequence[str], complexities: Sequence[Positive] | Mapping[str, Positive] | None
) -> tuple[Column, ...]:
    """The columns of these names.

    Args:
        names: One or more, all different.
        complexities: One for each name, or by name; 1 where none is given.

    Raises:
        TermError: If the complexities do not fit the names.
    """
    costs = dict.fromkeys(names, 1.0)
    given = {} if complexities is None else complexities
    if not isinstance(given, Mapping):
        if len(given) != len(names):
            raise TermError(
                "The complexities do not fit the columns.",
                got=f"{len(given)} complexities",
                wanted=f"{len(names)}, one for each column",
                fix=f"complexities={[1.0] * len(names)}"[:200],
            )
        given = dict(zip(names, map(float, given), strict=True))
    unknown = [name for name in given if name not in costs]
    if unknown:
        raise TermError(
            "A complexity is given for a column that is not there.",
            got=", ".join(map(repr, unknown))[:80],
            wanted=f"some of {', '.join(map(repr, names))}"[:200],
            fix="complexities={}",
        )
    costs |= given
    return tuple(Column(name, costs[name]) for name in names)


def check_expressions(terms: Iterable[Term]) -> None:
    """Check that terms are expressions in a field, before any of them is used as one.

    Raises:
        TermError: If one is a column of a table.
    """
    for term in terms:
        _ = term.expression


def check_columns(terms: Sequence[Term], target: str) -> None:
    """Check that terms are columns of one table, and the target is another one.

    Raises:
        TermError: If a term is an expression, or a name occurs twice.
    """
    names = [t.name for t in terms]
    twice = sorted({n for n in (*names, target) if (*names, target).count(n) > 1})
    if twice or not target or not all(isinstance(t, Column) for t in terms):
        raise TermError(
            "The columns of a regression must differ from each other and from its target.",
            got=", ".join(map(repr, twice))[:80] or "an expression among columns, or no target",
            wanted="columns of one table, and another one as target",
            fix="Library.columns(['age', 'dose'], target='y')",
        )
