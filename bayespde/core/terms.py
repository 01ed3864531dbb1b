"""Text -> a `Term`, by a whitelisting parser that never evaluates text; and the names of derivatives."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy

from bayespde.core.annotations import MAXIMUM_ORDER, Positive, describe, fits
from bayespde.core.checked import Checked
from bayespde.core.errors import TermError
from bayespde.core.field import AXIS_LETTER, is_variable_name
from bayespde.core.functions import FUNCTIONS
from bayespde.core.limits import MAXIMUM_POWER, check_argument, check_number, check_size, check_width, not_finite

MAXIMUM_LENGTH = 200
_OPERATORS: dict[type, Callable[[sympy.Expr, sympy.Expr], sympy.Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_SUBSCRIPT_ORDER = "xyzt"


@dataclass(frozen=True)
class Term(Checked):
    """One candidate expression of the right-hand side.

    Attributes:
        name: `str` of the sympy expression, such as `u*u_x`; unique within a library.
        expression: In symbols `u`, `u_x`, `u_xx`, `u_xy`, ...
        complexity: Prior cost, dimensionless, positive; 1 by default.
    """

    name: str
    expression: sympy.Expr
    complexity: Positive = 1.0

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the variables and derivatives in the expression, sorted."""
        return tuple(sorted(s.name for s in self.expression.free_symbols))

    @property
    def factor(self) -> str:
        """The name as a factor in a sum; empty for the constant."""
        return factor_of(self.name)

    def monomial_powers(self) -> dict[str, int] | None:
        """Integer power of each symbol if the expression is a product of powers, else None."""
        powers: dict[str, int] = {}
        for factor in sympy.Mul.make_args(self.expression):
            base, exponent = factor.as_base_exp()
            if factor.is_number:
                continue
            if not (base.is_Symbol and exponent.is_Integer):
                return None
            powers[base.name] = int(exponent)
        return powers


def factor_of(name: str) -> str:
    """The name of a term as a factor in a sum: sums in brackets, nothing for the constant."""
    return "" if name == "1" else f"({name})" if re.search(r"[ +]", name) else name


def symbol(name: str) -> sympy.Symbol:
    """The real sympy symbol of a variable or derivative."""
    return sympy.Symbol(name, real=True)


def derivative_name(variable: str, orders: tuple[int, ...], dims: tuple[str, ...]) -> str:
    """Name of a derivative: subscripts x before y before z before t, as in `u_xxy` or `u_t`."""
    count = {AXIS_LETTER[d]: o for d, o in zip(dims, orders, strict=True)}
    subscript = "".join(letter * count.get(letter, 0) for letter in _SUBSCRIPT_ORDER)
    return f"{variable}_{subscript}" if subscript else variable


def first_orders(dims: int) -> list[tuple[int, ...]]:
    """Orders of the value and of the first derivative along every axis of space, in `dims` dimensions, time first."""
    return [tuple(int(axis == k) for axis in range(dims)) for k in (-1, *range(1, dims))]


def derivative_orders(name: str, dims: tuple[str, ...]) -> tuple[int, ...]:
    """Orders of differentiation along `dims` in a name such as `u_xxy`.

    Raises:
        TermError: If it differentiates along an axis that is not among `dims`.
    """
    subscript = name.partition("_")[2]
    if set(subscript) - {AXIS_LETTER[d] for d in dims}:
        raise TermError(
            "A term differentiates along an axis that the field lacks.",
            got=name,
            wanted=f"derivatives along {', '.join(dims)}",
            fix="build the library for the field's number of space dimensions: polynomial_library(space=...)",
        )
    return tuple(subscript.count(AXIS_LETTER[d]) for d in dims)


def parse_term(
    text: str,
    *,
    variable: str = "u",
    coupled_variables: tuple[str, ...] = (),
    axes: str = "xyz",
    complexity: float = 1.0,
) -> Term:
    """Parse a term such as `u**2*u_x`: numbers, `+ - * / **`, variables, their derivatives, and `FUNCTIONS`.

    The text is parsed by the grammar of Python into a tree, of which only these kinds of node are accepted; nothing is
    evaluated.

    Args:
        text: At most 200 characters.
        variable: Name of the field.
        coupled_variables: Names of the other fields of a system.
        axes: Letters that are allowed in a subscript.
        complexity: Prior cost, positive.

    Returns:
        The term, its name the `str` of the expanded sympy expression.

    Raises:
        TermError: If the text does not parse, uses anything else, has numbers or powers that are too large, or is a
            constant zero or not finite.
    """
    if not fits(complexity, Positive):
        raise TermError(
            "A complexity must be positive.", got=complexity, wanted=describe(Positive), fix="complexity=1.0"
        )
    _check_names((variable, *coupled_variables), axes)
    expression = _parsed(text, (variable, *coupled_variables), axes)
    check_width(expression, text)
    expression = sympy.expand(expression)
    if expression == 0 or expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        raise not_finite(text)
    check_size(expression, text)
    name = str(expression)
    if len(name) > MAXIMUM_LENGTH:  # A longer name could not be read back from a file.
        raise TermError(
            "A term is too long when expanded.",
            got=f"{len(name)} characters, {name[:60]!r} ...",
            wanted=f"at most {MAXIMUM_LENGTH} characters",
            fix="split it into several terms",
        )
    return Term(name=name, expression=expression, complexity=float(complexity))


def _check_names(variables: tuple[str, ...], axes: str) -> None:
    """Check the names of variables and axes, which terms are written in."""
    wrong = [name for name in variables if not is_variable_name(name)]
    if wrong:
        raise TermError(
            "The name of a variable cannot be used in a term.",
            got=", ".join(map(repr, wrong))[:80],
            wanted="letters and digits, the first a letter, not the name of an axis or a function",
            fix="variable='u'",
        )
    if not isinstance(axes, str) or not axes or set(axes) - set("xyz"):
        raise TermError(
            "The axes of terms are unknown.", got=repr(axes)[:80], wanted="some of x, y, z", fix="axes='xyz'"
        )


def _parsed(text: str, variables: tuple[str, ...], axes: str) -> sympy.Expr:
    if not isinstance(text, str) or not text.strip() or len(text) > MAXIMUM_LENGTH:
        raise TermError(
            "A term must be a short text.",
            got=repr(text)[:80],
            wanted=f"1 to {MAXIMUM_LENGTH} characters",
            fix="write for example 'u*u_x'",
        )
    try:
        return _build(ast.parse(text.strip(), mode="eval").body, text, variables, axes)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        if isinstance(error, TermError):
            raise
        raise TermError(
            "A term does not parse.",
            got=repr(text),
            wanted="an expression such as u**2*u_x",
            fix="write products with * and powers with **",
        ) from error


def _build(node: ast.AST, text: str, variables: tuple[str, ...], axes: str) -> sympy.Expr:
    """Translate one whitelisted node into sympy; numbers that are too large are refused at once."""
    built = _translate(node, text, variables, axes)
    check_number(built.as_coeff_Mul()[0], text)
    return built


def _translate(node: ast.AST, text: str, variables: tuple[str, ...], axes: str) -> sympy.Expr:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return sympy.Integer(node.value) if node.value == 0 or isinstance(node.value, int) else sympy.Float(node.value)
    if isinstance(node, ast.Name):
        return symbol(_canonical_name(node.id, text, variables, axes))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _build(node.operand, text, variables, axes)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = (_build(n, text, variables, axes) for n in (node.left, node.right))
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(node, text, variables, axes)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:  # noqa: SIM102
        if len(node.args) == 1 and not node.keywords:
            argument = _build(node.args[0], text, variables, axes)
            check_width(argument, text)
            check_argument(argument, text)
            return FUNCTIONS[node.func.id](argument)
    found = ast.unparse(node)[:40] if not isinstance(node, ast.BinOp) else type(node.op).__name__
    raise TermError(
        "A term uses something that is not allowed.",
        got=f"{found!r} in {text!r}",
        wanted=f"numbers, + - * / **, {', '.join(variables)}, derivatives, and {', '.join(FUNCTIONS)}",
        fix="write powers with ** (not ^) and derivatives as " + f"{variables[0]}_x",
    )


def _power(node: ast.BinOp, text: str, variables: tuple[str, ...], axes: str) -> sympy.Expr:
    exponent, sign = node.right, 1
    if isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub):
        exponent, sign = exponent.operand, -1
    if not (isinstance(exponent, ast.Constant) and type(exponent.value) is int and 0 < exponent.value <= MAXIMUM_POWER):
        raise TermError(
            "A power is not allowed.",
            got=repr(text),
            wanted=f"an integer from 1 to {MAXIMUM_POWER}, or its negative",
            fix="write u**2",
        )
    return _build(node.left, text, variables, axes) ** (sign * exponent.value)


def _canonical_name(name: str, text: str, variables: tuple[str, ...], axes: str) -> str:
    base, _, subscript = name.partition("_")
    canonical = "".join(sorted(subscript))
    if base not in variables or (("_" in name) and not re.fullmatch(f"[{axes}]{{1,{MAXIMUM_ORDER}}}", subscript)):
        raise TermError(
            "A term contains an unknown name.",
            got=f"{name!r} in {text!r}",
            wanted=f"{', '.join(variables)} or derivatives up to order {MAXIMUM_ORDER} in {', '.join(axes)}",
            fix="rename the field, or the symbol",
        )
    return f"{base}_{canonical}" if subscript else base


def evaluate_expression(expression: sympy.Expr, values: Callable[[str], np.ndarray]) -> np.ndarray | float:
    """Evaluate a term's expression elementwise.

    Args:
        expression: In symbols such as `u`, `u_x`; built by `parse_term`, never from text.
        values: Array for each symbol name, all of one shape.

    Returns:
        An array of that shape, float64, or a number if the expression is constant.
    """
    names, compiled = _compiled(expression)
    return compiled(*(values(n) for n in names))


@lru_cache(maxsize=4096)
def _compiled(expression: sympy.Expr) -> tuple[list[str], Callable[..., np.ndarray | float]]:
    names = sorted(s.name for s in expression.free_symbols)
    return names, sympy.lambdify([symbol(n) for n in names], expression, modules="numpy", cse=False)


def total_derivative(expression: sympy.Expr, axis: str) -> sympy.Expr:
    """Differentiate along an axis (`x`, `y`, `z`) by the chain rule: `u*u_x` becomes `u_x**2 + u*u_xx`."""
    result = sympy.Integer(0)
    for inner in expression.free_symbols:
        base, _, subscript = inner.name.partition("_")
        result += sympy.diff(expression, inner) * symbol(f"{base}_{''.join(sorted(subscript + axis))}")
    return sympy.expand(result)
