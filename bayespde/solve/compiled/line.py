"""What the compiled kernels of a state on a line know of its equation: matrices and powers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Polynomial(NamedTuple):
    """A right-hand side on a line, for `line_kernels.rest`.

    Attributes:
        inverse: Of every derivative, from modes, whose real and imaginary parts follow each other, to values,
            `[k, points, m]`; modes that it does not need are left out.
        forward: From values to modes, `[m, points]`.
        removed: Rates that the sum of terms contains, `[modes]`.
        weights: Of the monomials, `[n]`, float64.
        powers: Of every derivative in them, `[n, k]`, int64.
    """

    inverse: np.ndarray
    forward: np.ndarray
    removed: np.ndarray
    weights: np.ndarray
    powers: np.ndarray


class Forcing(NamedTuple):
    """Terms that force perturbations, for `line_kernels.rest`.

    Attributes:
        weights: Of their monomials, `[n]`, float64.
        powers: Of every derivative in them, `[n, k]`, int64.
        rows: Of the perturbation that each forces, in the joint state, `[n]`, int64.
        linear: Rates by each term where these are split off, `[terms, modes]`.
    """

    weights: np.ndarray
    powers: np.ndarray
    rows: np.ndarray
    linear: np.ndarray


class LineEquation(NamedTuple):
    """Everything that the steps of a state on a line and of its perturbations need.

    Attributes:
        polynomial: The right-hand side.
        forcing: Of the perturbations.
        values: From modes to values, `[points, m]`.
    """

    polynomial: Polynomial
    forcing: Forcing
    values: np.ndarray
