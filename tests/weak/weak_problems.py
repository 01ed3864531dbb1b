"""Weak problems over manufactured fields, shared by the tests of the weak form."""

from dataclasses import replace

import numpy as np
from manufactured import SMOOTH, SMOOTH_2D, Formula

import bayespde as bp
from bayespde.core.functions import FUNCTIONS
from bayespde.weak.moments import weak_problem
from bayespde.weak.observed_field import ObservedField

CLEAN = bp.WeakForm(floor=0.0, scheme_error=False, noise="white")
TIMES, PLACES = np.linspace(0, 3, 121), np.linspace(0, 2 * np.pi, 181)
ONE = Formula(SMOOTH, (np.linspace(0, 1.6, 16), np.linspace(0, 4, 18)), noise_scale=0.03)
TWO = Formula(SMOOTH_2D, (np.linspace(0, 1, 7), np.linspace(0, 2, 6), np.linspace(0, 3, 7)), noise_scale=0.03)
SMALL = replace(CLEAN, support_radius={"time": 5, "x": 6}, rows=30)
SMALL_2D = replace(CLEAN, support_radius={"time": 2, "y": 2, "x": 2}, rows=30)
CASES = {
    "1-D": (ONE, SMALL, {"u": 0.5, "u*u_x": -1.0, "u_xx": 0.3, "u_x**2": 0.2}, "u_t"),
    "1-D, second time derivative": (ONE, SMALL, {"u": 0.5, "u**2*u_xx": -0.4}, "u_tt"),
    "1-D, constant": (ONE, SMALL, {"1": 2.0}, "u_t"),
    "1-D, functions": (ONE, SMALL, {"u": 0.5} | {f"{name}(u)*u_xx": 0.3 for name in FUNCTIONS}, "u_t"),
    "2-D": (TWO, SMALL_2D, {"u_x": 0.7, "u*u_xy": -1.0, "u_yy": 0.4, "sin(u)*u_x": 1.0}, "u_t"),
}


def problem(formula, names, *, noise=None, options=CLEAN, target="u_t"):
    """The moments of terms over a formula, its raw field with noise."""
    library = bp.Library.from_strings(names, target=target)
    return weak_problem(library, (ObservedField(formula.field(noise), formula),), options=options)


def with_noise(weak, noise, slopes=()):
    """The problem with another noise model of its field."""
    return replace(weak, transfers=(replace(weak.transfers[0], noise=noise, slopes=slopes),))
