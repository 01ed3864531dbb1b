"""Moments + a way to average over models -> statistics whitened at an equation that no longer moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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
) -> SufficientStatistics:
    """Re-whiten at the model-averaged equation until it stops moving.

    Args:
        problem: The moments.
        average: Gives configurations `[N, K]` and probabilities `[N]` for statistics (exact or sampled).
        tolerance: Relative change of the pilot's prediction at which to stop.
        progress: Show a bar.

    Returns:
        The statistics at the last pilot; rounds, last relative change and whether it stopped are in the provenance.
    """
    pilot, change, rounds = np.zeros(len(problem.library)), np.inf, 0
    bar = tqdm(total=problem.options.pilots, desc="pilot equation", unit="round", disable=not progress)
    with bar:
        while change > tolerance and rounds < problem.options.pilots:
            spins, probability = average(problem.statistics(pilot))
            update = probability / probability.sum() @ problem.instrumental_fits(spins, pilot)
            moved = float(np.linalg.norm(problem.design @ (update - pilot)))
            change = moved / max(float(np.linalg.norm(problem.design @ update)), 1e-300) if moved else 0.0
            pilot, rounds = update, rounds + 1
            bar.update()
    statistics = problem.statistics(pilot)
    record = {"pilot_rounds": rounds, "pilot_change": change, "pilot_converged": int(change <= tolerance)}
    return replace(statistics, provenance=dict(statistics.provenance) | record)
