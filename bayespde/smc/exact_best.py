"""Configurations in any order -> the most probable ones, and the best of every size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Best(NamedTuple):
    """Configurations worth keeping so far, in arrays with room for more.

    Attributes:
        code: Configurations as binary numbers, the first column highest, `[room]`, int64.
        log_mass: Their unnormalised log posteriors, `[room]`, float64.
        size: Their numbers of terms, `[room]`, int64.
        used: How many there are, `[1]`, int64.
        gate: Log mass that a configuration of each size needs to be kept, `[K+1]`, float64.
        quota: How many are kept in all, and of every size, `[2]`, int64.
    """

    code: np.ndarray
    log_mass: np.ndarray
    size: np.ndarray
    used: np.ndarray
    gate: np.ndarray
    quota: np.ndarray


def nothing_yet(terms: int, *, keep: int, per_size: int, leaves: int) -> Best:
    """Room for everything that may be kept, twice, and for `leaves` candidates more."""
    room = 2 * (keep + (terms + 1) * per_size) + leaves
    gate = np.full(terms + 1, -np.inf if keep + per_size > 0 else np.inf)
    quota = np.array([keep, per_size])
    return Best(np.empty(room, np.int64), np.empty(room), np.empty(room, np.int64), np.zeros(1, np.int64), gate, quota)


def sift(best: Best, *, leaves: int) -> None:
    """Drop what cannot be among the best and raise the gates, unless there is room for `leaves` candidates more."""
    if best.used[0] + leaves > len(best.code):
        kept = select(best)
        for array, values in zip(best, kept, strict=False):
            array[: len(values)] = values
        best.used[0] = len(kept[0])


def select(best: Best) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code, log mass and size of the best, `[N]` each, most probable first; of equal ones the higher code first.

    Raises the gates of `best` on the way.
    """
    code, log_mass, size = (array[: best.used[0]] for array in best[:3])
    order = np.lexsort((-code, -log_mass))
    code, log_mass, size = code[order], log_mass[order], size[order]
    keep, per_size = best.quota
    wanted = np.arange(len(code)) < keep
    overall = _least(log_mass, keep)
    for k in range(len(best.gate)):
        of_size = np.flatnonzero(size == k)
        wanted[of_size[:per_size]] = True
        best.gate[k] = min(overall, _least(log_mass[of_size], per_size))
    return code[wanted], log_mass[wanted], size[wanted]


def joined(parts: list[Best]) -> Best:
    """All that several have kept, without room for more."""
    code, log_mass, size = (np.concatenate([part[i][: part.used[0]] for part in parts]) for i in range(3))
    return Best(code, log_mass, size, np.array([len(code)]), parts[0].gate, parts[0].quota)


def _least(falling: np.ndarray, quota: int) -> float:
    """What it takes to be among the first `quota` of a falling sequence."""
    if quota == 0:
        return np.inf
    return float(falling[quota - 1]) if len(falling) >= quota else -np.inf
