"""An equation, draws of its coefficients and of first frames -> the problem and the solution of an ensemble."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation
from bayespde.solve.boundary_data import DirichletData
from bayespde.solve.derivatives import Grid


class EnsembleProblem(NamedTuple):
    """Initial value problems of one equation that differ in their coefficients and first frames.

    Attributes:
        equation: All terms that any draw has; or a system of such.
        grid: The grid.
        coefficients: `[draws, terms]`, float64, physical units; 0 where a draw lacks a term. Of a system, those of
            its equations one after the other.
        starts: First frames, `[draws, *points]`, or `[draws, fields, *points]`, float64.
        boundary_data: Values of the boundary points, on this grid, for one equation under Dirichlet conditions; they
            stay as they are at the start if absent.
    """

    equation: Equation | CoupledEquations
    grid: Grid
    coefficients: np.ndarray
    starts: np.ndarray
    boundary_data: DirichletData | None = None


class EnsembleSolution(NamedTuple):
    """Frames of the draws of an ensemble.

    Attributes:
        frames: `[draws, time, *points]`, or `[draws, time, fields, *points]`, float64; NaN from where a draw has ended.
        blow_up_time: Time at which each draw diverged, exceeded the bound or became too stiff, `[draws]`, float64; inf
            where it did not.
    """

    frames: np.ndarray
    blow_up_time: np.ndarray
