"""Terms, numbers and units -> text that Matplotlib typesets; or MathML and HTML, which browsers typeset themselves."""

from __future__ import annotations

import re
from collections.abc import Hashable
from html import escape

import sympy
import xarray as xr

from bayespde.core.column import Column
from bayespde.core.equation import Library
from bayespde.core.scales import derivative_unit
from bayespde.core.terms import Term
from bayespde.results.equations import RankedEquation, format_value

# Numbers, variables with their derivatives, and operators.
FORMULA = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*(?:_[xyzt]+)?(?![\w.:])|\d[\d.]*(?:e[+-]?\d+)?(?![\w.])|[-+*/()= ])+")
# An exponent as `format_value` writes it.
NUMBER = re.compile(r"(?P<digits>[^e]+)(?:e(?P<exponent>[+-]\d+))?")
TIMES = "<mo>&InvisibleTimes;</mo>"


def math_text(text: str) -> str:
    """Typeset a term or an equation such as `u_t = 0.1 u_xx - u**2*u_x`; any other text stays as it is."""
    if not FORMULA.fullmatch(text):
        return text.replace("$", r"\$")
    typeset = re.sub(r"([A-Za-z]+)_([a-z]+)", r"\1_{\2}", text)
    typeset = re.sub(r"\*\*(\d+)", r"^{\1}", typeset)
    typeset = re.sub(r"(\d)e([+-]\d+)", lambda m: rf"{m[1]}{{\times}}10^{{{int(m[2])}}}", typeset)
    return "$" + typeset.replace("*", r"\,").replace(" ", r"\ ") + "$"


def unit_text(unit: str) -> str:
    """A unit such as `nm s^-1` with raised exponents and a leading space; empty for `1`."""
    literal = unit.replace("$", r"\$")  # a dollar would begin a formula
    return "" if unit in ("1", "") else " " + re.sub(r"\^(-?[\d.]+)", r"$^{\1}$", literal)


def unit_name(unit: str) -> str:
    """A unit with raised exponents, or that there is none."""
    return unit_text(unit).strip() or "dimensionless"


def axis_title(field: xr.DataArray, dim: Hashable) -> str:
    """Name and unit of a dimension, such as `x (nm)`."""
    return f"{dim} ({unit_name(str(field[dim].attrs.get('units', '1')))})"


def map_unit(values: xr.DataArray, field: xr.DataArray) -> str:
    """Unit of a derivative of `field`, from its own attributes or from those of the field; `(1)` if it has none."""
    variable, name = str(field.name), str(values.name)
    known = values.attrs.get("units") if name != variable else field.attrs["units"]
    if known is None:
        known = derivative_unit(name, field)
    return unit_text(str(known)).strip() or "(1)"


def term_mathml(term: Term) -> str:
    """The inside of a `math` element: an expression typeset, the name of a column as text."""
    if isinstance(term, Column):
        return f"<mtext>{escape(term.factor)}</mtext>"
    return expression_mathml(term.expression)


def expression_mathml(expression: sympy.Expr) -> str:
    """The inside of a `math` element; every letter of a subscript is a variable of its own."""
    # The printer does not escape names.
    harmless = {s: sympy.Symbol(escape(s.name)) for s in expression.free_symbols if escape(s.name) != s.name}
    written = str(sympy.mathml(expression.xreplace(harmless), printer="presentation")).replace(
        TIMES, f"{TIMES}<mspace width='0.12em'></mspace>"
    )
    return re.sub(r"<mi>([xyzt]{2,})</mi>", lambda m: f"<mrow>{_letters(m[1])}</mrow>", written)


def number_mathml(text: str) -> str:
    """A number as `format_value` writes it, such as `0.100(2)` or `1.2(3)e-05`."""
    found = NUMBER.fullmatch(text)
    if found is None or found["exponent"] is None:
        return f"<mn>{escape(text)}</mn>"
    power, sign = int(found["exponent"]), "<mo>−</mo>" if found["exponent"][0] == "-" else ""
    raised = f"<msup><mn>10</mn><mrow>{sign}<mn>{abs(power)}</mn></mrow></msup>"
    return f"<mn>{escape(found['digits'])}</mn><mo>×</mo>{raised}"


def number_html(text: str) -> str:
    """A number as `format_value` or `str` writes it, with a true minus and a raised exponent."""
    found = NUMBER.fullmatch(text)
    if found is None or found["exponent"] is None:
        return escape(text).replace("-", "−")
    power = str(int(found["exponent"]))
    return f"{escape(found['digits'])} × 10<sup>{power}</sup>".replace("-", "−")


def equation_mathml(ranked: RankedEquation, library: Library) -> list[str]:
    """The `math` elements of an equation, the left side and then one per summand, so that lines can break between."""
    pieces = [f"<math>{term_mathml(library.target_term)}<mo form='infix'>=</mo></math>"]
    for name, mean, sd in zip(ranked.names, ranked.coefficients, ranked.sd, strict=True):
        form = "prefix" if len(pieces) == 1 else "infix"
        sign = "−" if mean < 0 else "+" if form == "infix" else ""
        operator = f"<mo form='{form}'>{sign}</mo>" if sign else ""
        pieces.append(f"<math>{operator}{number_mathml(format_value(abs(mean), sd))}{_factor(library, name)}</math>")
    return pieces if ranked.names else [*pieces, "<math><mn>0</mn></math>"]


def unit_html(unit: str) -> str:
    """A unit such as `nm^2 s^-1` with raised exponents; nothing for `1`."""
    if unit in ("1", ""):
        return ""
    return re.sub(r"\^(-?)([\d.]+)", lambda m: f"<sup>{'−' * bool(m[1])}{m[2]}</sup>", escape(unit))


def _factor(library: Library, name: str) -> str:
    term = library[name]
    inside = term_mathml(term)
    if not term.factor:
        return ""
    if term.factor == f"({name})":
        inside = f"<mrow><mo>(</mo>{inside}<mo>)</mo></mrow>"
    return f"<mspace width='0.25em'></mspace>{inside}"


def _letters(text: str) -> str:
    return "".join(f"<mi>{letter}</mi>" for letter in text)
