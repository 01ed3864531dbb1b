"""Smooth fields given by formulas: exact derivatives by sympy, and simulated rings."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy

import bayespde as bp

t, y, x = sympy.symbols("t y x", real=True)
LETTERS = {1: (t, x), 2: (t, y, x)}


@dataclass(frozen=True, eq=False)
class Formula:
    """A field given by a sympy expression in t, (y,) x on a grid; stands in for the smoother of the weak form."""

    expression: sympy.Expr
    axes: tuple
    noise_scale: float = 0.0

    @property
    def symbols(self):
        return LETTERS[len(self.axes) - 1]

    @property
    def grid(self):
        return np.meshgrid(*self.axes, indexing="ij")

    @property
    def grids(self):
        return tuple(np.eye(n) for n in self.shape)

    @property
    def variance(self):
        return np.zeros(self.shape)

    def evaluate(self, orders):
        return _compiled(self.expression, self.symbols, tuple(orders))(*self.grid) + np.zeros(self.shape)

    @property
    def shape(self):
        return tuple(len(a) for a in self.axes)

    def field(self, noise=None):
        values = self.evaluate((0,) * len(self.axes)) + (0.0 if noise is None else noise)
        named = dict(zip(("t", "y", "x")[:1] + ("y", "x")[-(len(self.axes) - 1) :], self.axes, strict=True))
        return bp.make_field(values, **named)


@lru_cache(maxsize=512)
def _compiled(expression, symbols, orders):
    for s, order in zip(symbols, orders, strict=True):
        expression = sympy.diff(expression, s, order) if order else expression
    return sympy.lambdify(symbols, expression, "numpy", cse=True)


def substituted(term, expression):
    """A term of the library with the formula in place of `u`, as an expression in t, y, x."""
    table = {}
    for s in term.expression.free_symbols:
        derivative = expression
        for letter in s.name.partition("_")[2]:
            derivative = sympy.diff(derivative, {"t": t, "x": x, "y": y}[letter])
        table[s] = derivative
    return term.expression.subs(table, simultaneous=True)


HEAT = sum(
    a * sympy.exp(-sympy.Rational(1, 4) * k**2 * t) * sympy.sin(k * x + p)
    for a, k, p in [(1, 1, 0), (0.7, 2, 1), (0.5, 3, 2.5)]
)
"""Solves u_t = u_xx / 4."""

_theta = 2 + sympy.exp(-0.1 * t) * sympy.cos(x) + 0.5 * sympy.exp(-0.4 * t) * sympy.sin(2 * x)
BURGERS = -0.2 * sympy.diff(_theta, x) / _theta
"""Solves u_t = -u u_x + 0.1 u_xx, by the Cole-Hopf transformation."""

WAVE = sympy.sin(x - 2 * t) + 0.4 * sympy.cos(2 * (x + 2 * t))
"""Solves u_tt = 4 u_xx."""

SMOOTH = sympy.sin(1.3 * x + 0.4) * sympy.cos(0.9 * t) + 0.4 * sympy.exp(-((x - 2) ** 2) / 2) + 0.2 * t
SMOOTH_2D = (
    sympy.sin(1.1 * x + 0.3 * y) * sympy.cos(0.7 * t) + 0.3 * sympy.exp(-((x - 2) ** 2) / 3) * sympy.cos(y) + 0.1 * t
)

RINGS = {
    # Fast and slow waves decay: noise that the spline passes on, and its bias, look like a fourth derivative.
    "heat": {
        "equation": "u_t = 1.5*u_xx",
        "extent": {"x": 20.0},
        "points": {"x": 128},
        "times": {"start": 0.0, "stop": 8.0, "frames": 81},
        "initial": {"kind": "random_waves", "modes": 6, "seed": 48},
    },
    "burgers": {
        "equation": "u_t = -u*u_x + 0.1*u_xx",
        "extent": {"x": 16.0},
        "points": {"x": 128},
        "times": {"start": 0.0, "stop": 6.0, "frames": 61},
        "initial": {"kind": "random_waves", "modes": 4, "seed": 3},
    },
}


def ring(name, *, noise, seed=0, frames=None, points=None):
    """A simulated equation on a periodic grid, with noise."""
    settings = dict(RINGS[name])
    if frames:
        settings["times"] = settings["times"] | {"frames": frames}
    if points:
        settings["points"] = {"x": points}
    return bp.add_noise(bp.simulate(bp.SimulationSpec(**settings)), noise, seed=seed)
