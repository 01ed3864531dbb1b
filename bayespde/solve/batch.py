"""Draws of coefficients and first frames -> their frames, each until it ends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from bayespde.core.coupled import CoupledEquations
from bayespde.core.errors import IntegrationError
from bayespde.core.progress import Progress
from bayespde.solve.compiled.rkc import integrate_draws
from bayespde.solve.config import SolverConfig
from bayespde.solve.ensemble_problem import EnsembleProblem, EnsembleSolution
from bayespde.solve.right_hand_side import RightHandSide, right_hand_side
from bayespde.solve.time_stepping import iterate_frames
from bayespde.solve.well_posed import growth_rates, ill_posed

# Values of draws that share their steps: few enough for the processor's cache.
VALUES_PER_GROUP = 2**19
# Fastest rate times duration below which steps are explicit: the coefficients of exponential ones cost some 100 steps.
EXPLICIT_STIFFNESS = 300.0
# Largest ratio of the fastest rates of draws that share their steps.
SIMILAR_STIFFNESS = 4.0


def evolve_draws(
    problem: EnsembleProblem,
    times: np.ndarray,
    *,
    method: SolverConfig,
    bound: float = math.inf,
    progress: bool | Progress = False,
) -> EnsembleSolution:
    """Integrate draws of an equation together; a draw that fails, or is ill-posed, ends, and the others continue.

    Draws that are similarly stiff share their steps; the answer of a draw depends on the others within the tolerances
    of the method.

    Args:
        problem: The draws.
        times: `[time]`, strictly increasing, two or more.
        method: Scheme, boundary, tolerances, limits.
        bound: Largest `|u|` that a frame may have.
        progress: Show a bar.

    Returns:
        The frames.
    """
    is_ill_posed = ill_posed(growth_rates(problem), times, method)
    if is_ill_posed.any():
        return _without(is_ill_posed, problem, times, method=method, bound=bound, progress=progress)
    boundary = problem.boundary_data
    if boundary is not None:
        every, places = boundary.refined_times(times)
        start = problem._replace(starts=boundary.imposed_on(problem.starts, times[0]))
        found = _Integration(start, every, method, bound, boundary.rates(every)).run(progress)
        return EnsembleSolution(np.ascontiguousarray(found.frames[:, places]), found.blow_up_time)
    if method.scheme == "rkc" and not isinstance(problem.equation, CoupledEquations):
        return integrate_draws(problem, times, method=method, bound=bound, progress=progress)
    return _Integration(problem, times, method, bound).run(progress)


def _without(
    ended: np.ndarray,
    problem: EnsembleProblem,
    times: np.ndarray,
    *,
    method: SolverConfig,
    bound: float,
    progress: bool | Progress,
) -> EnsembleSolution:
    """The same where some draws, `[draws]`, end at the start."""
    starts = problem.starts
    frames = np.full((len(starts), len(times), *starts.shape[1:]), np.nan)
    frames[:, 0] = starts
    found = EnsembleSolution(frames, np.where(ended, times[0], np.inf))
    if not ended.all():
        others = problem._replace(coefficients=problem.coefficients[~ended], starts=starts[~ended])
        allowed = replace(method, allow_ill_posed=True)
        rest = evolve_draws(others, times, method=allowed, bound=bound, progress=progress)
        frames[~ended], found.blow_up_time[~ended] = rest
    return found


class _Integration(NamedTuple):
    """What all draws have in common, and the rates of moving boundary points, `[time - 1, *points]`."""

    problem: EnsembleProblem
    times: np.ndarray
    method: SolverConfig
    bound: float
    boundary_rates: np.ndarray | None = None

    def run(self, progress: bool | Progress) -> EnsembleSolution:
        """Integrate groups of draws, one after the other."""
        starts, points = self.problem.starts, math.prod(self.problem.grid.points)
        frames = np.full((len(starts), len(self.times), *starts.shape[1:]), np.nan)
        found, duration = EnsembleSolution(frames, np.full(len(starts), np.inf)), float(self.times[-1] - self.times[0])
        stiffness = _stiffness(self.problem, self.method)
        with Progress.of(progress).bar(total=len(starts), desc="forecast", unit="draw") as bar:
            for rows in _groups(stiffness, max(1, VALUES_PER_GROUP // points)):
                method = _cheapest(self.method, float(stiffness[rows].max()) * duration)
                self._replace(method=method)._run_group(rows, found)
                bar.update(len(rows))
        return found

    def _run_group(self, rows: np.ndarray, found: EnsembleSolution) -> None:
        """Integrate draws that share their steps, and write their frames and ends."""
        equation, grid, coefficients, starts, _ = self.problem
        found.frames[rows, 0] = starts[rows]
        begin = 0
        while len(rows) and begin < len(self.times) - 1:
            some = torch.from_numpy(coefficients[rows])
            compiled = right_hand_side(equation, grid, method=self.method, coefficients=some)
            begin, failed, time = self._until_one_fails(compiled, rows, begin, found.frames)
            found.blow_up_time[rows[failed]] = time
            found.frames[rows[failed], begin + 1 :] = np.nan
            rows = np.delete(rows, failed)

    def _until_one_fails(
        self, compiled: RightHandSide, rows: np.ndarray, begin: int, frames: np.ndarray
    ) -> tuple[int, np.ndarray, float]:
        """Index of the last frame that all draws have, which draws have failed after it, and when."""
        start, times = torch.from_numpy(frames[rows, begin]), self.times[begin:]
        rates = None if self.boundary_rates is None else self.boundary_rates[begin:]
        try:
            with torch.no_grad():
                for frame in iterate_frames(compiled, start, times, method=self.method, boundary_rates=rates):
                    values = frame.numpy()
                    too_large = ~(np.abs(values).reshape(len(rows), -1).max(axis=1) <= self.bound)
                    frames[rows, begin + 1] = values
                    if too_large.any():
                        return begin, np.flatnonzero(too_large), float(self.times[begin + 1])
                    begin += 1
        except IntegrationError as error:
            return begin, np.array(error.draws, dtype=int), error.time
        return begin, np.array([], dtype=int), math.inf


def _stiffness(problem: EnsembleProblem, method: SolverConfig) -> np.ndarray:
    """Fastest rate of every draw, `[draws]`, 1 / time unit."""
    equation, grid, coefficients, _, _ = problem
    compiled = right_hand_side(equation, grid, method=method, coefficients=torch.from_numpy(coefficients))
    fastest = compiled.rates.abs().flatten(start_dim=-len(grid.dims) - bool(compiled.fields)).amax(dim=-1)
    return fastest.expand(len(coefficients)).numpy()


def _groups(stiffness: np.ndarray, most: int) -> list[np.ndarray]:
    """Indices of draws of similar stiffness, at most `most` in a group."""
    order = np.argsort(stiffness, kind="stable")
    groups: list[list[int]] = []
    for draw in order.tolist():
        if not groups or len(groups[-1]) == most or stiffness[draw] > SIMILAR_STIFFNESS * stiffness[groups[-1][0]]:
            groups.append([])
        groups[-1].append(draw)
    return [np.array(group) for group in groups]


def _cheapest(method: SolverConfig, stiffness: float) -> SolverConfig:
    """Explicit steps if few of them are needed: the coefficients of exponential ones are computed for every draw."""
    is_easy = method.scheme == "auto" and stiffness < EXPLICIT_STIFFNESS
    return replace(method, scheme="explicit") if is_easy else method
