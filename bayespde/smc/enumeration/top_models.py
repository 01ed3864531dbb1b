"""Configurations in any order -> the most probable ones, and the best of every size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class TopModels(NamedTuple):
    """Configurations worth keeping so far, in arrays with room for more.

    Attributes:
        code: Configurations as binary numbers, the first column highest, `[room]`, int64.
        log_mass: Their unnormalised log posteriors, `[room]`, float64.
        size: Their numbers of terms, `[room]`, int64.
        used: How many there are, `[1]`, int64.
        threshold: Log mass that a configuration of each size needs to be kept, `[K+1]`, float64.
        limits: How many are kept in all, and of every size, `[2]`, int64.
    """

    code: np.ndarray
    log_mass: np.ndarray
    size: np.ndarray
    used: np.ndarray
    threshold: np.ndarray
    limits: np.ndarray


def empty(terms: int, *, keep: int, per_size: int, leaves: int) -> TopModels:
    """Room for everything that may be kept, twice, and for `leaves` candidates more."""
    room = 2 * (keep + (terms + 1) * per_size) + leaves
    threshold = np.full(terms + 1, -np.inf if keep + per_size > 0 else np.inf)
    limits = np.array([keep, per_size])
    return TopModels(
        np.empty(room, np.int64), np.empty(room), np.empty(room, np.int64), np.zeros(1, np.int64), threshold, limits
    )


def prune(best: TopModels, *, leaves: int) -> None:
    """Drop what cannot be among the best and raise the gates, unless there is room for `leaves` candidates more."""
    if best.used[0] + leaves > len(best.code):
        kept = select(best)
        for array, values in zip(best, kept, strict=False):
            array[: len(values)] = values
        best.used[0] = len(kept[0])


def select(best: TopModels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code, log mass and size of the best, `[N]` each, most probable first; of equal ones the higher code first.

    Raises the gates of `best` on the way.
    """
    code, log_mass, size = (array[: best.used[0]] for array in best[:3])
    order = np.lexsort((-code, -log_mass))
    code, log_mass, size = code[order], log_mass[order], size[order]
    keep, per_size = best.limits
    wanted = np.arange(len(code)) < keep
    overall = _least(log_mass, keep)
    for k in range(len(best.threshold)):
        of_size = np.flatnonzero(size == k)
        wanted[of_size[:per_size]] = True
        best.threshold[k] = min(overall, _least(log_mass[of_size], per_size))
    return code[wanted], log_mass[wanted], size[wanted]


def joined(parts: list[TopModels]) -> TopModels:
    """All that several have kept, without room for more."""
    code, log_mass, size = (np.concatenate([part[i][: part.used[0]] for part in parts]) for i in range(3))
    return TopModels(code, log_mass, size, np.array([len(code)]), parts[0].threshold, parts[0].limits)


def _least(falling: np.ndarray, limits: int) -> float:
    """What it takes to be among the first `limits` of a falling sequence."""
    if limits == 0:
        return np.inf
    return float(falling[limits - 1]) if len(falling) >= limits else -np.inf
