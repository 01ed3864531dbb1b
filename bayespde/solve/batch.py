"""Draws of coefficients and first frames -> their frames, each as far as it comes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation
from bayespde.core.errors import IntegrationError
from bayespde.solve.boundary_data import DirichletData
from bayespde.solve.compiled.rkc import follow_draws
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.stencils import RightHandSide, right_hand_side
from bayespde.solve.time_stepping import march

# Values of draws that share their steps: few enough for the processor's cache.
TOGETHER = 2**19
# Fastest rate times duration below which steps are explicit: the tables of exponential ones cost some hundred steps.
EASY = 300.0
# Rates of draws that share their steps differ by less than this factor.
ALIKE = 4.0


class Ensemble(NamedTuple):
    """Frames of several draws of an equation.

    Attributes:
        frames: `[draws, time, *points]`, or `[draws, time, fields, *points]`, float64; NaN from where a draw has ended.
        ended: Time at which each draw blew up, ran away or became too stiff, `[draws]`, float64; inf where it did not.
    """

    frames: np.ndarray
    ended: np.ndarray


def evolve_draws(
    equation: Equation | CoupledEquations,
    grid: Grid,
    coefficients: np.ndarray,
    starts: np.ndarray,
    times: np.ndarray,
    *,
    method: SolverConfig,
    bound: float = math.inf,
    dirichlet: DirichletData | None = None,
    progress: bool = False,
) -> Ensemble:
    """Integrate draws of an equation together, and go on without those that fail.

    Draws that are similarly stiff share their steps; the answer of a draw depends on the others within the tolerances
    of the method.

    Args:
        equation: All terms that any draw has; or a system of such.
        grid: The grid.
        coefficients: `[draws, terms]`, float64, physical units; 0 where a draw lacks a term. Of a system, those of
            its equations one after the other.
        starts: First frames, `[draws, *points]`, or `[draws, fields, *points]`, float64.
        times: `[time]`, strictly increasing, two or more.
        method: Scheme, boundary, tolerances, limits.
        bound: Largest `|u|` that a frame may have.
        dirichlet: What held edges are held at, on this grid; where they are at the start if absent. Of one equation.
        progress: Show a bar.

    Returns:
        The frames.
    """
    if dirichlet is not None:
        every, places = dirichlet.clock(times)
        found = _together(
            equation,
            grid,
            coefficients,
            dirichlet.onto(starts, times[0]),
            every,
            method,
            bound,
            dirichlet.rates(every),
            progress,
        )
        return Ensemble(np.ascontiguousarray(found.frames[:, places]), found.ended)
    if method.scheme == "rkc" and isinstance(equation, Equation):
        return Ensemble(
            *follow_draws(equation, grid, coefficients, starts, times, method=method, bound=bound, progress=progress)
        )
    return _together(equation, grid, coefficients, starts, times, method, bound, None, progress)


def _together(
    equation: Equation | CoupledEquations,
    grid: Grid,
    coefficients: np.ndarray,
    starts: np.ndarray,
    times: np.ndarray,
    method: SolverConfig,
    bound: float,
    drives: np.ndarray | None,
    progress: bool,
) -> Ensemble:
    """Groups of draws, one after the other."""
    frames = np.full((len(starts), len(times), *starts.shape[1:]), np.nan)
    ended, duration = np.full(len(starts), np.inf), float(times[-1] - times[0])
    stiffness = _stiffness(equation, grid, coefficients, method)
    with tqdm(total=len(starts), desc="predict", unit="draw", disable=not progress) as bar:
        for some in _alike(stiffness, max(1, TOGETHER // math.prod(grid.points))):
            chosen = _as_is_best(method, float(stiffness[some].max()) * duration)
            group = _Group(equation, grid, times, chosen, bound, drives)
            group.run(coefficients[some], starts[some], some, frames, ended)
            bar.update(len(some))
    return Ensemble(frames, ended)


def _stiffness(
    equation: Equation | CoupledEquations, grid: Grid, coefficients: np.ndarray, method: SolverConfig
) -> np.ndarray:
    """Largest rate of every draw, `[draws]`, 1 / time unit."""
    law = right_hand_side(equation, grid, method=method, coefficients=torch.from_numpy(coefficients))
    fastest = law.rates.abs().flatten(start_dim=-len(grid.dims) - bool(law.fields)).amax(dim=-1)
    return fastest.expand(len(coefficients)).numpy()


def _alike(stiffness: np.ndarray, most: int) -> list[np.ndarray]:
    """Draws by stiffness, in groups of at most so many that do not differ by much."""
    order = np.argsort(stiffness, kind="stable")
    groups: list[list[int]] = []
    for draw in order.tolist():
        if not groups or len(groups[-1]) == most or stiffness[draw] > ALIKE * stiffness[groups[-1][0]]:
            groups.append([])
        groups[-1].append(draw)
    return [np.array(group) for group in groups]


def _as_is_best(method: SolverConfig, stiffness: float) -> SolverConfig:
    """Few explicit steps cost less than the tables of an exponential one, which every draw needs for itself."""
    easy = method.scheme == "auto" and stiffness < EASY
    return replace(method, scheme="explicit") if easy else method


class _Group(NamedTuple):
    """What draws that share their steps have in common."""

    equation: Equation | CoupledEquations
    grid: Grid
    times: np.ndarray
    method: SolverConfig
    bound: float
    drives: np.ndarray | None

    def run(
        self, coefficients: np.ndarray, starts: np.ndarray, rows: np.ndarray, frames: np.ndarray, ended: np.ndarray
    ) -> None:
        """Write frames and ends of some draws into the given rows of the arrays."""
        frames[rows, 0] = starts
        alive, begin = np.arange(len(rows)), 0
        while len(alive) and begin < len(self.times) - 1:
            some = torch.from_numpy(coefficients[alive])
            compiled = right_hand_side(self.equation, self.grid, method=self.method, coefficients=some)
            begin, lost, time = self._until_one_fails(compiled, rows[alive], begin, frames)
            ended[rows[alive[lost]]] = time
            frames[rows[alive[lost]], begin + 1 :] = np.nan
            alive = np.delete(alive, lost)

    def _until_one_fails(
        self, compiled: RightHandSide, rows: np.ndarray, begin: int, frames: np.ndarray
    ) -> tuple[int, np.ndarray, float]:
        """Last frame that all have, which draws have failed after it, and when."""
        start, drives = torch.from_numpy(frames[rows, begin]), None if self.drives is None else self.drives[begin:]
        try:
            with torch.no_grad():
                for frame in march(compiled, start, self.times[begin:], method=self.method, drives=drives):
                    values = frame.numpy()
                    wild = ~(np.abs(values).reshape(len(rows), -1).max(axis=1) <= self.bound)
                    frames[rows, begin + 1] = values
                    if wild.any():
                        return begin, np.flatnonzero(wild), float(self.times[begin + 1])
                    begin += 1
        except IntegrationError as error:
            return begin, np.array(error.draws, dtype=int), error.time
        return begin, np.array([], dtype=int), math.inf
