"""Equations of several coupled fields -> a checked `CoupledEquations`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from bayespde.core.checked import Checked, validated
from bayespde.core.equation import Equation
from bayespde.core.errors import TermError


@dataclass(frozen=True)
class CoupledEquations(Checked):
    """Equations `u_t = ..., v_t = ...`, one for each field.

    Attributes:
        equations: Of first order in time, with terms in these fields only.
    """

    equations: tuple[Equation, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        variables = self.variables
        if not variables or len(set(variables)) < len(variables):
            raise TermError(
                "A system needs one equation for each of its fields.",
                got=", ".join(variables) or "none",
                wanted="one or more fields with different names",
                fix="CoupledEquations.from_strings(['u_t = u - v', 'v_t = u'])",
            )
        for one in self.equations:
            others = {s.partition("_")[0] for t in one.terms for s in t.symbols} - set(variables)
            if others or one.target != f"{one.variable}_t":
                raise TermError(
                    "An equation does not fit its system.",
                    got=f"{one.target} = ..." + (f" with {', '.join(sorted(others))}" if others else ""),
                    wanted=f"first time derivatives, and terms in {', '.join(variables)}",
                    fix="add the equations of all fields",
                )

    @classmethod
    @partial(validated, error=TermError)
    def from_strings(cls, texts: str | Iterable[str], *, axes: str = "xyz") -> CoupledEquations:
        """Parse `["u_t = u - u**3 - v + u_xx", "v_t = 0.1*u - 0.1*v"]`.

        Args:
            texts: One equation per field.
            axes: Letters that are allowed in a subscript.

        Returns:
            The system, its fields in the order of the texts.

        Raises:
            TermError: If an equation does not parse, or has a field without an equation of its own.
        """
        lines = [texts] if isinstance(texts, str) else list(texts)
        names = [line.partition("=")[0].strip().partition("_")[0] for line in lines]
        return cls(
            tuple(
                Equation.from_string(line, variable=name, coupled_variables=[n for n in names if n != name], axes=axes)
                for line, name in zip(lines, names, strict=True)
            )
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the fields, in the order of the equations."""
        return tuple(e.variable for e in self.equations)

    def __str__(self) -> str:
        return "\n".join(map(str, self.equations))
