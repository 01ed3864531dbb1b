"""Summands and coefficients -> a sum as text; an expression -> its direction, which proportional ones share."""

from __future__ import annotations

from collections.abc import Sequence

import sympy


def direction(expression: sympy.Expr) -> tuple[tuple[str, float], ...]:
    """Coefficients by summand over the first one, to twelve digits: equal for proportional expressions."""
    parts = sorted((str(rest), value) for value, rest in (p.as_coeff_Mul() for p in sympy.Add.make_args(expression)))
    return tuple((name, float(f"{float(value / parts[0][1]):.12g}")) for name, value in parts)


def format_sum(factors: Sequence[str], coefficients: Sequence[float], numbers: Sequence[str] = ()) -> str:
    """Write a sum such as `0.1 u_xx - 1 u*u_x`; "0" if there is no term.

    Args:
        factors: What is multiplied, one for each coefficient; empty for the constant.
        coefficients: Their signs are written.
        numbers: Their magnitudes as text; four digits of each by default.
    """
    text, magnitudes = "", numbers or [f"{abs(c):.4g}" for c in coefficients]
    for factor, value, number in zip(factors, coefficients, magnitudes, strict=True):
        sign = "- " if value < 0 else "+ " if text else ""
        text += f"{' ' if text else ''}{sign}{number}{' ' if factor else ''}{factor}"
    return text.replace("- ", "-", 1) if text.startswith("- ") else text or "0"
