"""A law and where it starts from, both uncertain -> draws of coefficients and first frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import xarray as xr

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation, Library
from bayespde.solve.boundary_data import DirichletData
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.trajectory.fit import Trajectory


@dataclass(frozen=True, eq=False)
class ForecastEnsemble:
    """Draws of an equation, or of a system, and of the frame at which each starts.

    Attributes:
        equation: All terms that any draw has.
        coefficients: `[draws, terms]`, float64, physical units; 0 where a draw lacks a term. Of a system, those of its
            equations one after the other.
        states: First frames, `[draws, *domain]`, or `[draws, fields, *domain]`, float64.
        time: Of the first frames.
        frame: A finite frame of what is looked at: dims, coordinates and units; its points are the first of the
            domain.
        method: How to integrate.
        largest: `|u|` that is known to occur later on.
        others: The same frame of the other fields of a system.
        dirichlet: What the edges of one field are held at, on its grid.
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
        """Standard deviation of the first frames, of each field of a system by itself: `[]` or `[fields]`."""
        space = tuple(range(-self.frame.ndim, 0))
        return np.asarray(np.std(self.states, axis=(0, *space)))


def ensemble_from_draws(
    library: Library,
    coefficients: np.ndarray,
    states: np.ndarray,
    *,
    time: float,
    frame: xr.DataArray,
    method: SolverConfig,
    largest: float = 0.0,
) -> ForecastEnsemble:
    """A ensemble of coefficients of all terms of a library, `[draws, K]`, of which only those that occur are kept."""
    on = np.flatnonzero(coefficients.any(axis=0))
    # An equation needs a term; no draw has it where none has any.
    on = on if len(on) else np.array([0])
    equation = Equation(tuple(library.terms[i] for i in on), (1.0,) * len(on), library.target, library.variable)
    return ForecastEnsemble(equation, np.ascontiguousarray(coefficients[:, on]), states, time, frame, method, largest)


def ensemble_from_trajectories(
    trajectories: Sequence[Trajectory],
    probability: np.ndarray,
    library: Library,
    draws: int,
    random: np.random.Generator,
) -> ForecastEnsemble:
    """Draws of law and first state together: which trajectory by its probability, then from its posterior.

    Coefficients are normal with the covariance of the trajectory, from which the noise of waves is left out; given them
    waves and displacements are, as the problem linearised at the mode has it.

    Args:
        trajectories: Of one field, fitted with the same settings.
        probability: Of each, `[n]`, sum 1.
        library: Has all their terms.
        draws: How many.
        random: Source of randomness.

    Returns:
        The ensemble, at the first frame of the field.
    """
    problem = trajectories[0].mode.problem
    counts = random.multinomial(draws, probability)
    coefficients = np.zeros((draws, len(library)))
    states = np.empty((draws, *problem.resolution.pixels.points))
    begin = 0
    for one, count in zip(trajectories, counts, strict=True):
        rows = slice(begin, begin + int(count))
        begin += int(count)
        places = [library.index(name) for name in one.equation.names]
        coefficients[rows, places], states[rows] = draw_starts(one, int(count), random)
    return ensemble_from_draws(
        library,
        coefficients,
        states,
        time=float(problem.times[0]),
        frame=trajectories[0].start,
        method=problem.method,
        largest=float(np.nanmax(np.abs(trajectories[0].fitted))),
    )


def draw_starts(one: Trajectory, draws: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients `[draws, k]` and first states over the whole domain `[draws, *domain]` of one trajectory."""
    problem, mode = one.mode.problem, one.mode
    terms, shared = problem.terms, problem.shared
    precision = mode.around.curvature / one.variance + np.diag(problem.prior())
    moved = random.multivariate_normal(np.zeros(terms), one.covariance, size=draws, method="cholesky") / problem.scale
    others = scipy.linalg.cholesky(precision[terms:, terms:], lower=True)
    mean = -scipy.linalg.cho_solve((others, True), precision[terms:, :terms] @ moved.T)
    scatter = scipy.linalg.solve_triangular(others.T, random.standard_normal((len(others), draws)))
    waves = mode.parameters[terms:, None] + mean + scatter
    modes = problem.basis.modes * problem.basis.deviation
    states = (modes @ waves[: shared - terms]).T.reshape(draws, *problem.basis.shape)
    return (mode.parameters[:terms] + moved) * problem.scale, states
