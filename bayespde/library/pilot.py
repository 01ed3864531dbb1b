"""Moments + a way to average over models -> statistics whitened at an equation that no longer moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from bayespde.core.statistics import SufficientStatistics
from bayespde.library.weak import WeakProblem


def iterate_pilot(
    problem: WeakProblem,
    average: Callable[[SufficientStatistics], tuple[np.ndarray, np.ndarray]],
    *,
    tolerance: float = 2e-3,
    progress: bool = False,
) -> tuple[SufficientStatistics, np.ndarray]:
    """Re-whiten at the model-averaged equation until it stops moving.

    Args:
        problem: The moments.
        average: Gives configurations `[N, K]` and probabilities `[N]` for statistics (exact or sampled).
        tolerance: Relative change of the pilot's prediction at which to stop.
        progress: Show a bar.

    Returns:
        The statistics at the last pilot, and that pilot `[K]`, physical units.
    """
    pilot = np.zeros(len(problem.library))
    for _ in tqdm(range(problem.options.pilots), desc="pilot equation", unit="round", disable=not progress):
        spins, probability = average(problem.statistics(pilot))
        weight = probability / probability.sum()
        update = weight @ problem.instrumental_fits(spins, pilot)
        change = np.linalg.norm(problem.design @ (update - pilot))
        pilot = update
        if change <= tolerance * np.linalg.norm(problem.design @ update):
            break
    return problem.statistics(pilot), pilot
