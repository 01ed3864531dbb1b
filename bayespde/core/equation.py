"""Terms -> a `Library` of candidates and an `Equation` with coefficients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy

from bayespde.core.annotations import Finite, Positive
from bayespde.core.arrays import configuration, finite_array
from bayespde.core.checked import Checked, validated
from bayespde.core.column import Column, check_columns, columns
from bayespde.core.errors import TermError
from bayespde.core.sums import direction, format_sum
from bayespde.core.terms import Term, parse_term, symbol


@dataclass(frozen=True)
class Library(Checked):
    """An ordered tuple of candidate terms and the target term on the left.

    Attributes:
        terms: The candidates, no two of them proportional.
        target: Name of the left-hand side: a time derivative such as `u_t`, or any column of a table.
        variable: Name of the field; empty if the terms are columns of a table.
        coupled_variables: Names of the other fields of a system that its terms may contain.
    """

    terms: tuple[Term, ...]
    target: str = "u_t"
    variable: str = "u"
    coupled_variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.terms:
            raise TermError(
                "A library needs at least one term.",
                got="none",
                wanted="one or more terms",
                fix="Library.from_strings(['u_x'])",
            )
        _check_target(self.target, self.variable, self.terms)
        if self.of_columns:
            return
        for term in self.terms:
            if any("t" in name.partition("_")[2] for name in term.symbols):
                raise TermError(
                    "A term has a time derivative.",
                    got=term.name,
                    wanted="space derivatives only; time belongs to the target",
                    fix=f"remove {term.name!r}",
                )
        seen: dict[tuple[tuple[str, float], ...], str] = {}
        for term in self.terms:
            key = direction(term.expression)
            if key in seen:
                raise TermError(
                    "Two terms of a library are the same up to a factor.",
                    got=f"{term.name!r} and {seen[key]!r}",
                    wanted="terms no two of which are proportional",
                    fix=f"remove {term.name!r}",
                )
            seen[key] = term.name

    @classmethod
    @partial(validated, error=TermError)
    def from_strings(
        cls,
        terms: Iterable[str] | Mapping[str, Positive],
        *,
        target: str = "u_t",
        variable: str = "u",
        coupled_variables: Sequence[str] = (),
        axes: str = "xyz",
    ) -> Library:
        """Build a library from text, through the whitelisting parser.

        Args:
            terms: Expressions such as `["u", "u_x", "u*u_x"]`, or a mapping from expression to complexity.
            target: Left-hand side.
            variable: Name of the field.
            coupled_variables: Names of the other fields of a system.
            axes: Letters that are allowed in a subscript.

        Returns:
            The library, in the order given.

        Raises:
            TermError: If a term does not parse, or is proportional to another.
        """
        pairs = terms.items() if isinstance(terms, Mapping) else ((t, 1.0) for t in terms)
        others = tuple(coupled_variables)
        parse = partial(parse_term, variable=variable, coupled_variables=others, axes=axes)
        return cls(tuple(parse(t, complexity=c) for t, c in pairs), target, variable, others)

    @classmethod
    @partial(validated, error=TermError)
    def columns(
        cls,
        names: Sequence[str],
        *,
        target: str = "y",
        complexities: Sequence[Positive] | Mapping[str, Positive] | None = None,
    ) -> Library:
        """The columns of a table as candidate terms of a linear regression; their names are not parsed.

        Args:
            names: Names of the columns, such as `["age", "dose", "age:dose"]`.
            target: Name of the left-hand side.
            complexities: Prior costs, one for each name, or by name; 1 by default.

        Raises:
            TermError: If a name occurs twice or cannot be printed, or the complexities do not fit.
        """
        return cls(columns(tuple(names), complexities), target, variable="")

    @property
    def of_columns(self) -> bool:
        """Whether the terms are columns of a table, and not expressions in a field."""
        return self.variable == ""

    @property
    def subject(self) -> str:
        """What the equation is about: the field, or the target of a regression."""
        return self.variable or self.target

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(t.name for t in self.terms)

    @property
    def complexities(self) -> np.ndarray:
        """Complexity per term, `[K]`, float64, dimensionless."""
        return np.array([t.complexity for t in self.terms])

    @property
    def target_term(self) -> Term:
        """The left-hand side as a term."""
        return Column(self.target) if self.of_columns else Term(self.target, symbol(self.target))

    def __len__(self) -> int:
        return len(self.terms)

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __getitem__(self, key: int | str) -> Term:
        return self.terms[self.index(key) if isinstance(key, str) else key]

    @validated
    def index(self, name: str) -> int:
        """Position of the term called `name`, in any equivalent spelling.

        Raises:
            TermError: If the library has no such term.
        """
        wanted = (
            name
            if name in self.names or self.of_columns
            else parse_term(name, variable=self.variable, coupled_variables=self.coupled_variables).name
        )
        if wanted not in self.names:
            raise TermError(
                "The library has no such term.",
                got=name,
                wanted=", ".join(self.names),
                fix="add the term to the library",
            )
        return self.names.index(wanted)

    @validated
    def spins(self, names: Sequence[str]) -> np.ndarray:
        """Configuration with exactly the named terms: `[K]`, bool.

        Raises:
            TermError: If the library has no such term.
        """
        on = np.zeros(len(self), dtype=bool)
        on[[self.index(n) for n in names]] = True
        return on

    def chosen(self, on: np.ndarray) -> Library:
        """The library of the terms that are on, `[K]`, bool.

        Raises:
            TermError: If `on` is not a configuration, or is empty.
        """
        kept = np.flatnonzero(configuration(on, len(self), error=TermError))
        return replace(self, terms=tuple(self.terms[i] for i in kept))


def _check_target(target: Any, variable: str, terms: Sequence[Term] = ()) -> None:
    """Raise a `TermError` unless a left-hand side is a time derivative of a variable, or all are columns of a table."""
    if variable == "" or any(isinstance(term, Column) for term in terms):
        return check_columns(terms, "" if variable else target)
    if not isinstance(target, str) or not re.fullmatch(rf"{re.escape(variable)}_t{{1,2}}", target):
        raise TermError(
            "The target is not a time derivative.",
            got=repr(target)[:40],
            wanted=f"{variable}_t or {variable}_tt",
            fix=f"write {variable}_t on the left",
        )


@dataclass(frozen=True)
class Equation(Checked):
    """A partial differential equation `target = sum_k coefficient_k term_k`.

    Attributes:
        terms: The right-hand side's terms.
        coefficients: One per term, physical units.
        target: Left-hand side.
        variable: Name of the field; empty if the terms are columns of a table.
    """

    terms: tuple[Term, ...]
    coefficients: tuple[Finite, ...]
    target: str = "u_t"
    variable: str = "u"

    @classmethod
    @partial(validated, error=TermError)
    def from_string(
        cls, text: str, *, variable: str = "u", coupled_variables: Sequence[str] = (), axes: str = "xyz"
    ) -> Equation:
        """Parse `"u_t = -u*u_x + 0.1*u_xx"`.

        Args:
            text: Left-hand side, an equals sign, right-hand side.
            variable: Name of the field.
            coupled_variables: Names of the other fields of a system.
            axes: Letters that are allowed in a subscript.

        Returns:
            The equation, its right-hand side expanded into terms with unit leading coefficient.

        Raises:
            TermError: If either side does not parse.
        """
        left, equals, right = text.partition("=")
        if not equals:
            raise TermError(
                "An equation needs an equals sign.",
                got=repr(text)[:80],
                wanted="'u_t = ...'",
                fix="write the left-hand side",
            )
        _check_target(left.strip(), variable)
        whole = parse_term(right, variable=variable, coupled_variables=tuple(coupled_variables), axes=axes).expression
        parts = [part.as_coeff_Mul() for part in sympy.Add.make_args(whole)]
        terms = tuple(Term(str(e), e) for _, e in parts)
        return cls(terms, tuple(float(c) for c, _ in parts), left.strip(), variable)

    @classmethod
    @partial(validated, error=TermError)
    def from_library(cls, library: Library, coefficients: np.ndarray) -> Equation:
        """The equation with those terms of `library` whose coefficient (`[K]`, physical units) is not zero.

        Raises:
            TermError: If the coefficients are not K finite numbers.
        """
        values = finite_array(coefficients, "coefficients", (len(library),), error=TermError)
        on = np.flatnonzero(values)
        return cls(
            tuple(library.terms[i] for i in on),
            tuple(float(values[i]) for i in on),
            library.target,
            library.variable,
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.terms) != len(self.coefficients):
            raise TermError(
                "An equation needs one coefficient per term.",
                got=f"{len(self.terms)} terms and {len(self.coefficients)} coefficients",
                wanted="as many of both",
                fix="Equation.from_string('u_t = -u*u_x + 0.1*u_xx')",
            )
        _check_target(self.target, self.variable, self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms."""
        return tuple(t.name for t in self.terms)

    def as_dict(self) -> dict[str, float]:
        """Coefficient by term name."""
        return dict(zip(self.names, self.coefficients, strict=True))

    def __str__(self) -> str:
        return f"{self.target} = " + format_sum([t.factor for t in self.terms], self.coefficients)
