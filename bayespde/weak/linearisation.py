"""A way to form rows at an equation + a way to average over models -> the equation that no longer moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from tqdm import tqdm

from bayespde.core.statistics import SufficientStatistics
from bayespde.weak.problem import WeakProblem
from bayespde.weak.whitening import WhitenedRows

Average = Callable[[SufficientStatistics], tuple[np.ndarray, np.ndarray]]
"""Gives configurations `[N, K]` and probabilities `[N]` for statistics, exact or sampled."""


def only_model(on: np.ndarray) -> Average:
    """The average of somebody who is certain of one configuration, `[K]`, bool."""
    return lambda _: (on[None], np.ones(1))


class ModelPosterior(Protocol):
    """The posterior over configurations for given statistics, exact or sampled."""

    def average(self, statistics: SufficientStatistics) -> tuple[np.ndarray, np.ndarray]:
        """Leading configurations `[N, K]` and their probabilities `[N]`."""
        ...

    def log_posterior(self, statistics: SufficientStatistics, spins: np.ndarray) -> np.ndarray:
        """Log prior plus log evidence of configurations `[N, K]`: `[N]`."""
        ...


@dataclass(frozen=True, eq=False)
class LinearisationPoint:
    """The equation at which rows are linearised and whitened, and how it was found.

    Attributes:
        rows: Formed at the equation of the round before, whitened at it.
        coefficients: Model-averaged, `[K]`, physical units.
        rounds: How many there were.
        change: Relative change of the right-hand side in the last one.
        converged: Whether that was below the tolerance.
    """

    rows: WhitenedRows
    coefficients: np.ndarray
    rounds: int
    change: float
    converged: bool

    @cached_property
    def settled(self) -> WhitenedRows:
        """The same moments, whitened at the coefficients themselves."""
        return WhitenedRows(self.rows.problem, self.coefficients)


def iterate(
    form: Callable[[np.ndarray], WeakProblem],
    average: Average,
    start: np.ndarray,
    *,
    rounds: int,
    tolerance: float = 2e-3,
    progress: bool = False,
) -> LinearisationPoint:
    """Form rows at an equation, average the models they support, and repeat until the equation stops moving.

    Args:
        form: Moments at a pilot `[K]`.
        average: Posterior over configurations.
        start: The first pilot, `[K]`.
        rounds: Most rounds.
        tolerance: Relative change of the pilot's prediction at which to stop.
        progress: Show a bar.

    Returns:
        The pilot.
    """
    pilot, change, done = start, np.inf, 0
    with tqdm(total=rounds, desc="pilot equation", unit="round", disable=not progress) as bar:
        while True:
            rows = WhitenedRows(form(pilot), pilot)
            spins, probability = average(rows.statistics)
            update = probability / probability.sum() @ rows.instrumental_fits(spins)
            design = rows.problem.design
            moved = float(np.linalg.norm(design @ (update - pilot)))
            change = moved / max(float(np.linalg.norm(design @ update)), 1e-300) if moved else 0.0
            pilot, done = update, done + 1
            bar.update()
            if change <= tolerance or done == rounds:
                return LinearisationPoint(rows, pilot, done, change, change <= tolerance)
