"""An expression built from text -> an error if it is too large to expand and evaluate."""

from __future__ import annotations

import math

import sympy

from bayespde.core.errors import TermError

MAXIMUM_POWER = 8
MAXIMUM_SUMMANDS = 64
LARGEST_NUMBER = 1e100
LARGEST_ARGUMENT = 100.0


def width(expression: sympy.Expr) -> int:
    """Upper bound on the number of summands after expansion, computed without expanding."""
    if expression.is_Add:
        return sum(width(a) for a in expression.args)
    if expression.is_Mul:
        return math.prod(width(a) for a in expression.args)
    if expression.is_Pow and expression.exp.is_Integer and width(expression.base) > 1:
        exponent = abs(int(expression.exp))
        if exponent > MAXIMUM_POWER:
            return MAXIMUM_SUMMANDS + 1
        return math.comb(width(expression.base) + exponent - 1, exponent)
    return 1


def check_width(expression: sympy.Expr, text: str) -> None:
    """Check the number of summands after expansion.

    Raises:
        TermError: If there are too many.
    """
    if width(expression) > MAXIMUM_SUMMANDS:
        raise TermError(
            "A term has too many summands.",
            got=repr(text)[:80],
            wanted=f"at most {MAXIMUM_SUMMANDS} after expansion",
            fix="split it into several terms",
        )


def check_size(expression: sympy.Expr, text: str) -> None:
    """Check every number, power and argument of an expanded expression.

    Raises:
        TermError: If one of them is too large.
    """
    for part in sympy.preorder_traversal(expression):
        if part.is_Number:
            check_number(part, text)
        elif part.is_Function:
            check_argument(part.args[0], text)
        elif part.is_NumberSymbol:
            raise TermError(
                "A term contains a symbolic constant.",
                got=f"{part} in {text!r}"[:80],
                wanted="numbers",
                fix="leave constant factors to the coefficient",
            )
        elif part.is_Pow and part.exp.is_Integer and abs(part.exp) > MAXIMUM_POWER:
            raise TermError(
                "A term has too high a power.",
                got=repr(text)[:80],
                wanted=f"powers up to {MAXIMUM_POWER} in all",
                fix="write u**2",
            )


def check_number(number: sympy.Expr, text: str) -> None:
    """Check that the size of a number is representable with margin.

    Raises:
        TermError: If it is too large or too small.
    """
    if not number.is_finite:
        raise not_finite(text)
    if number != 0 and not 1 / LARGEST_NUMBER <= abs(number) <= LARGEST_NUMBER:
        raise TermError(
            "A number in a term is too large or too small.",
            got=repr(text)[:80],
            wanted=f"numbers between {1 / LARGEST_NUMBER:g} and {LARGEST_NUMBER:g}",
            fix="scale the field, or leave the number to the coefficient",
        )


def not_finite(text: str) -> TermError:
    """The error of a term that is zero or not finite."""
    return TermError(
        "A term is zero or not finite.", got=repr(text)[:80], wanted="a finite expression", fix="remove it"
    )


def check_argument(argument: sympy.Expr, text: str) -> None:
    """Check that a function of a constant can be computed.

    Raises:
        TermError: If the constant is too large.
    """
    if argument.is_number and not abs(argument) <= LARGEST_ARGUMENT:
        raise TermError(
            "A function of too large a constant cannot be computed.",
            got=repr(text)[:80],
            wanted=f"constants up to {LARGEST_ARGUMENT:g}",
            fix="write the number itself",
        )
