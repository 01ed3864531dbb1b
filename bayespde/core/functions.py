"""Names in terms -> functions of sympy: the table of functions that a term may call.

A function is parsed by its name, evaluated by NumPy, integrated by torch and by compiled code, and differentiated by
sympy for the noise of a row. So it is smooth, and one that sympy, NumPy, `math` and torch have under one name, as its
derivatives do; or a formula in such functions, as which terms are then named.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

FUNCTIONS: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "sin": sympy.sin,
    "cos": sympy.cos,
    "exp": sympy.exp,
    "tanh": sympy.tanh,
}
