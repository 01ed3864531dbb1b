"""Equation + states at all frames -> the most probable ones, and coefficients, where it is only nearly right.

Weak-constraint data assimilation [tremolet2006]: from frame to frame the state follows the equation, plus noise of a
size that is fitted along. Linearised around a path it is a Kalman smoother, and smoothing again around what it finds is
Gauss-Newton on the whole path [bell1994]. As every frame starts anew from a state near its own pixels, neither chaos
nor waves that turn many times give the likelihood of the coefficients many maxima.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from bayespde.core.errors import IntegrationError
from bayespde.core.progress import Progress
from bayespde.core.terms import Term
from bayespde.solve.tangent import TangentModel
from bayespde.trajectory.problem import TrajectoryProblem
from bayespde.trajectory.state_space import StateSpace, kalman_filter, smoothed

# Prior deviation of coefficients, relative to those at the start: next to flat.
FLAT = 100.0
# Sizes of the process noise, relative to the change of the field from frame to frame.
SMALLEST, LARGEST = 1e-3, 10.0
# Accuracy of its logarithm, and the change of that and of coefficients in standard deviations at which a fit ends.
ACCURACY, SETTLED = 0.02, 0.1
# Shortest share of a step that is tried.
SHORTEST = 0.1


class Path(NamedTuple):
    """Where a fit is.

    Attributes:
        coefficients: `[k]`, physical units.
        states: Coefficients of the modes of every frame, `[T, M]`, units of the field.
    """

    coefficients: np.ndarray
    states: np.ndarray


class WeakConstraintFit(NamedTuple):
    """Where a fit ended.

    Attributes:
        path: The most probable one.
        covariance: Of the coefficients, `[k, k]`.
        model: Linearised around the path.
        log_size: Logarithm of the standard deviation of process noise per root of a time unit, units of the field.
        converged: Whether path and size had stopped changing.
        steps: That were taken.
    """

    path: Path
    covariance: np.ndarray
    model: StateSpace
    log_size: float
    converged: bool
    steps: int


@dataclass(frozen=True, eq=False)
class WeakConstraint:
    """A trajectory problem whose states may leave the trajectory at every frame.

    Attributes:
        problem: Its basis holds the waves of all frames; no frame is displaced.
        change: Root mean square change of the field from frame to frame, over the root of the time in between.
    """

    problem: TrajectoryProblem
    change: float

    def fit(self, start: Path, *, steps: int, progress: Progress | None = None) -> WeakConstraintFit:
        """Smooth around the path that the last step found, until it stays, with process noise of largest evidence.

        Raises:
            BudgetError: If no CPU time is left.
            IntegrationError: If states at a frame diverge before the next one.
        """
        path, before, done, is_settled, progress = start, math.inf, 0, False, progress or Progress()
        while not is_settled and done < steps:
            progress.check()
            model = self.linearised(path)
            log_size = self._best_size(model)
            found = kalman_filter(model, math.exp(2 * log_size))
            moved, terms = smoothed(model, found), self.problem.terms
            path, share = self._moved(path, model, moved, log_size)
            covariance = found.last[:terms, :terms]
            shift = float(moved[-1, :terms] @ np.linalg.solve(covariance, moved[-1, :terms]))
            is_settled = share == 1.0 and shift < SETTLED**2 and abs(log_size - before) < SETTLED
            before, done = log_size, done + 1
        scale = self.problem.scale
        return WeakConstraintFit(path, covariance * np.outer(scale, scale), model, log_size, is_settled, done)

    def linearised(self, path: Path) -> StateSpace:
        """The state-space model of departures from a path, `(coefficients over their scale, states)`."""
        problem, terms = self.problem, self.problem.terms
        ends, slopes = self._intervals(path, problem.equation.terms)
        intervals, size = len(ends), terms + len(problem.basis.deviation)
        transition = np.zeros((intervals, size, size))
        transition[:, :terms, :terms] = np.eye(terms)
        transition[:, terms:] = np.swapaxes(slopes, 1, 2)
        transition[:, terms:, :terms] *= problem.scale
        shift, information = np.zeros((intervals, size)), np.zeros((intervals + 1, size, size))
        shift[:, terms:] = ends - path.states[1:]
        white = self._white(path.states)
        turned, _ = problem.observation.rotated(white, self._modes.shape[1:])
        score = np.zeros((intervals + 1, size))
        information[:, terms:, terms:] = self._information
        score[:, terms:] = (self._rows @ turned[:, :, None])[:, :, 0]
        deviation = np.concatenate([np.full(terms, FLAT), problem.basis.deviation])
        process = np.pad(self._process, ((0, 0), (terms, 0)))
        mean = np.concatenate([np.zeros(terms), -path.states[0]])
        misfit = float(np.sum(white**2)) / 2
        return StateSpace(mean, np.diag(deviation**2), transition, shift, process, information, score, misfit)

    def at_pixels(self, states: np.ndarray) -> np.ndarray:
        """Predicted pixels of states `[T, M]`: `[T, pixels]`, units of the field."""
        return self.problem.observation.predicted(self._at_points(states), self._still)

    def _best_size(self, model: StateSpace) -> float:
        """Logarithm of the size of largest evidence, all else integrated over."""
        bounds = [math.log(share * self.change) for share in (SMALLEST, LARGEST)]
        found = minimize_scalar(
            lambda log: -kalman_filter(model, math.exp(2 * log)).log_density,
            bounds=bounds,
            method="bounded",
            options={"xatol": ACCURACY},
        )
        return float(found.x)

    def _moved(self, path: Path, model: StateSpace, moved: np.ndarray, log_size: float) -> tuple[Path, float]:
        """The path after a step, shortened until it goes down, and the share of the step that was taken."""
        terms, share = self.problem.terms, 1.0
        here = self._objective(path.states, model.shift[:, terms:], log_size)
        while True:
            found = Path(
                path.coefficients + share * moved[-1, :terms] * self.problem.scale,
                path.states + share * moved[:, terms:],
            )
            if self._objective(found.states, self._departures(found), log_size) < here or share < SHORTEST:
                return found, share
            share /= 2

    def _objective(self, states: np.ndarray, departures: np.ndarray, log_size: float) -> float:
        """Minus the log posterior of states and their departures `[T - 1, M]`, at a size of the noise."""
        noise = departures**2 / (math.exp(2 * log_size) * self._process)
        prior = (states[0] / self.problem.basis.deviation) ** 2
        return float(np.sum(self._white(states) ** 2) + noise.sum() + prior.sum()) / 2

    def _departures(self, path: Path) -> np.ndarray:
        """Of every frame from where the one before it leads, `[T - 1, M]`; infinite where a state diverges."""
        try:
            ends, _ = self._intervals(path, ())
        except IntegrationError:
            return np.full_like(path.states[1:], np.inf)
        return ends - path.states[1:]

    def _intervals(self, path: Path, forced: tuple[Term, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Where every state leads in one interval, `[T - 1, M]`, and its slopes in coefficients and states.

        Slopes are `[T - 1, k + M, M]`, and empty if no terms are forced.
        """
        problem, starts = self.problem, self._at_points(path.states)
        equation = replace(problem.equation, coefficients=tuple(map(float, path.coefficients)))
        ends, slopes = [], []
        for t in range(len(starts) - 1):
            times = problem.times[t : t + 2]
            one = TangentModel(equation, problem.resolution.grid, problem.method, times, starts[t], forced)
            ends.append(self._of_points(one.states()[1]))
            if forced:
                slopes.append(self._of_points(one.slopes(self._modes)[1].astype(np.float64)))
        return np.array(ends), np.array(slopes)

    def _white(self, states: np.ndarray) -> np.ndarray:
        observation = self.problem.observation
        return observation.white(self.problem.observed - self.at_pixels(states))

    def _at_points(self, states: np.ndarray) -> np.ndarray:
        return np.tensordot(states, self._modes, axes=1)

    def _of_points(self, values: np.ndarray) -> np.ndarray:
        """Coefficients of the modes of values `[..., *points]`."""
        pixels = self.problem.resolution.at_pixels(values)
        basis = self.problem.basis
        return pixels.reshape(*pixels.shape[: pixels.ndim - len(basis.shape)], -1) @ basis.modes

    @cached_property
    def _modes(self) -> np.ndarray:
        """At the points, `[M, *points]`."""
        basis = self.problem.basis
        return self.problem.resolution.at_points(basis.modes.T.reshape(-1, *basis.shape))

    @cached_property
    def _rows(self) -> np.ndarray:
        """How white pixels move with the states of their frame, `[T, M, rows]`."""
        frames = len(self.problem.times)
        each = np.broadcast_to(self._modes, (frames, *self._modes.shape))
        return self.problem.observation.rows(each, self._still, slice(0, frames))

    @cached_property
    def _information(self) -> np.ndarray:
        """Of every frame about its state, `[T, M, M]`."""
        return self._rows @ np.swapaxes(self._rows, 1, 2)

    @cached_property
    def _process(self) -> np.ndarray:
        """Variance of noise of unit size in every interval, `[T - 1, M]`: as smooth as the field, 1 per time unit."""
        basis = self.problem.basis
        share = basis.deviation**2 / np.sum(basis.deviation**2)
        return np.diff(self.problem.times)[:, None] * share * math.prod(basis.shape)

    @cached_property
    def _still(self) -> np.ndarray:
        """No displacements, `[T, 0]`."""
        return np.zeros((len(self.problem.times), 0))
