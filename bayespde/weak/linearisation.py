"""Moments at an equation + an average over models -> the linearisation point: the equation that no longer changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from bayespde.core.progress import Progress
from bayespde.core.statistics import SufficientStatistics
from bayespde.weak.problem import WeakProblem
from bayespde.weak.whitening import WhitenedRows

Average = Callable[[SufficientStatistics], tuple[np.ndarray, np.ndarray]]
"""Gives models `[N, K]` and probabilities `[N]` for statistics, exact or sampled."""


def only_model(on: np.ndarray) -> Average:
    """The average that gives probability 1 to one model, `[K]`, bool."""
    return lambda _: (on[None], np.ones(1))


class ModelPosterior(Protocol):
    """The posterior over models for given statistics, exact or sampled."""

    def average(self, statistics: SufficientStatistics) -> tuple[np.ndarray, np.ndarray]:
        """Leading models `[N, K]` and their probabilities `[N]`."""
        ...

    def log_posterior(self, statistics: SufficientStatistics, spins: np.ndarray) -> np.ndarray:
        """Log prior plus log evidence of models `[N, K]`: `[N]`."""
        ...


@dataclass(frozen=True, eq=False)
class LinearisationPoint:
    """The equation at which rows are linearised and whitened, and how it was found.

    Attributes:
        rows: Formed and whitened at the equation of the iteration before.
        coefficients: Model-averaged, `[K]`, physical units.
        iterations: Number of them.
        change: Relative change of the right-hand side in the last one.
        converged: Whether that was below the tolerance.
        leaders: The most probable model of every iteration, `[iterations, K]`, bool.
    """

    rows: WhitenedRows
    coefficients: np.ndarray
    iterations: int
    change: float
    converged: bool
    leaders: np.ndarray

    @cached_property
    def final_rows(self) -> WhitenedRows:
        """The same moments, whitened at the coefficients themselves."""
        return WhitenedRows(self.rows.problem, self.coefficients)


class ModelWeights(NamedTuple):
    """Models on the rows at a linearisation point, `[N, K]`, and their probabilities, `[N]`."""

    spins: np.ndarray
    probability: np.ndarray

    @classmethod
    def at(cls, point: LinearisationPoint, models: ModelPosterior) -> ModelWeights:
        """Those on the final rows of a linearisation point."""
        return cls(*models.average(point.final_rows.statistics))

    @property
    def best(self) -> np.ndarray:
        """The most probable model, `[K]`."""
        return np.asarray(self.spins[np.argmax(self.probability)])


def iterate(
    form: Callable[[np.ndarray], WeakProblem],
    average: Average,
    start: np.ndarray,
    *,
    max_iterations: int,
    tolerance: float = 2e-3,
    progress: bool | Progress = False,
) -> LinearisationPoint:
    """Form rows at an equation, average the models they support, and repeat until the equation stops changing.

    Args:
        form: Moments at an equation `[K]`.
        average: Posterior over models.
        start: The first equation, `[K]`.
        max_iterations: Most iterations.
        tolerance: Relative change of the right-hand side at which to stop.
        progress: Show a bar.

    Returns:
        The linearisation point.
    """
    point, change, leaders = start, np.inf, np.zeros((0, len(start)), dtype=bool)
    with Progress.of(progress).bar(total=max_iterations, desc="linearisation", unit="iteration") as bar:
        while True:
            rows = WhitenedRows(form(point), point)
            spins, probability = average(rows.statistics)
            update = probability / probability.sum() @ rows.instrumental_fits(spins)
            design = rows.problem.design
            moved = float(np.linalg.norm(design @ (update - point)))
            change = moved / max(float(np.linalg.norm(design @ update)), 1e-300) if moved else 0.0
            point, leaders = update, np.vstack([leaders, spins[np.argmax(probability)]])
            bar.update()
            if change <= tolerance or len(leaders) == max_iterations:
                return LinearisationPoint(rows, point, len(leaders), change, change <= tolerance, leaders)
