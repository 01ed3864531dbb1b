"""Uncertain equation and initial state -> an ensemble: draws of coefficients and first frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation, Library
from bayespde.solve.boundary_data import DirichletData
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.trajectory.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class ForecastEnsemble:
    """Draws of an equation, or of coupled equations, and of the initial state of each.

    Attributes:
        equation: All terms that any draw has.
        coefficients: `[draws, terms]`, float64, physical units; 0 where a draw lacks a term. Of coupled equations,
            those of each one after the other.
        states: First frames, `[draws, *domain]`, or `[draws, fields, *domain]`, float64.
        time: Of the first frames.
        frame: A finite frame of the window that is returned: dims, coordinates and units; its points are the first of
            the domain.
        method: How to integrate.
        largest: Largest known `|u|`, by which divergence is recognised.
        others: The same frame of the other coupled fields.
        dirichlet: Prescribed values at the edges of one field, on its grid.
    """

    equation: Equation | CoupledEquations
    coefficients: np.ndarray
    states: np.ndarray
    time: float
    frame: xr.DataArray
    method: SolverConfig
    largest: float = 0.0
    others: tuple[xr.DataArray, ...] = ()
    dirichlet: DirichletData | None = None

    @property
    def domain(self) -> Grid:
        """Grid of the states."""
        window = Grid.of(self.frame)
        return Grid(window.dims, self.states.shape[-len(window.dims) :], window.steps)

    @property
    def equations(self) -> tuple[Equation, ...]:
        """Of each field, in the order of the states."""
        return self.equation.equations if isinstance(self.equation, CoupledEquations) else (self.equation,)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the first frames, of each coupled field separately: `[]` or `[fields]`."""
        space = tuple(range(-self.frame.ndim, 0))
        return np.asarray(np.std(self.states, axis=(0, *space)))


def occurring_terms(library: Library, coefficients: np.ndarray) -> tuple[Equation, np.ndarray]:
    """The equation of the terms that any draw has, and their coefficients `[draws, terms]`, of all `[draws, K]`."""
    on = np.flatnonzero(coefficients.any(axis=0))
    # An equation needs a term: where no draw has one, the first is kept with coefficients 0.
    on = on if len(on) else np.array([0])
    equation = Equation(tuple(library.terms[i] for i in on), (1.0,) * len(on), library.target, library.variable)
    return equation, np.ascontiguousarray(coefficients[:, on])


def ensemble_from_trajectories(
    trajectories: Sequence[Trajectory],
    probability: np.ndarray,
    library: Library,
    draws: int,
    random: np.random.Generator,
) -> ForecastEnsemble:
    """Draws of equation and initial state together: a trajectory by its probability, then a draw of its posterior.

    Coefficients are normal with the covariance of the trajectory, which leaves out the noise of waves; given them waves
    and displacements follow the problem linearised at the mode.

    Args:
        trajectories: Of one field, fitted with the same settings.
        probability: Of each, `[n]`, sum 1.
        library: Has all their terms.
        draws: Number of draws.
        random: Source of randomness.

    Returns:
        The ensemble, at the first frame of the field.
    """
    first = trajectories[0]
    counts = random.multinomial(draws, probability)
    coefficients = np.zeros((draws, len(library)))
    states = np.empty((draws, *first.state.shape))
    begin = 0
    for one, count in zip(trajectories, counts, strict=True):
        rows = slice(begin, begin + int(count))
        begin += int(count)
        places = [library.index(name) for name in one.equation.names]
        coefficients[rows, places], states[rows] = one.state.draw(int(count), random)
    return ForecastEnsemble(
        *occurring_terms(library, coefficients),
        states=states,
        time=first.time,
        frame=first.start,
        method=first.config.method,
        largest=float(np.nanmax(np.abs(first.fitted))),
    )
