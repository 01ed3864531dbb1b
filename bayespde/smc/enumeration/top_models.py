"""Configurations in any order -> the most probable ones, and the best of every size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class TopModels(NamedTuple):
    """The best configurations so far, in arrays with room for more candidates.

    Attributes:
        code: Configurations as binary numbers, the first column in the highest bit, `[room]`, int64.
        log_mass: Their unnormalised log posteriors, `[room]`, float64.
        size: Their numbers of terms, `[room]`, int64.
        used: How many there are, `[1]`, int64.
        threshold: Log mass that a configuration of each size needs to be a candidate, `[K+1]`, float64.
        limits: How many are kept in all, and of every size, `[2]`, int64.
    """

    code: np.ndarray
    log_mass: np.ndarray
    size: np.ndarray
    used: np.ndarray
    threshold: np.ndarray
    limits: np.ndarray


def empty(terms: int, *, keep: int, per_size: int, leaves: int) -> TopModels:
    """No configuration yet, with room for twice the number to keep and for `leaves` more candidates."""
    room = 2 * (keep + (terms + 1) * per_size) + leaves
    threshold = np.full(terms + 1, -np.inf if keep + per_size > 0 else np.inf)
    limits = np.array([keep, per_size])
    return TopModels(
        np.empty(room, np.int64), np.empty(room), np.empty(room, np.int64), np.zeros(1, np.int64), threshold, limits
    )


def prune(top: TopModels, *, leaves: int) -> None:
    """Drop candidates that are not among the best and raise the thresholds, unless there is room for `leaves` more."""
    if top.used[0] + leaves > len(top.code):
        kept = select(top)
        for array, values in zip(top, kept, strict=False):
            array[: len(values)] = values
        top.used[0] = len(kept[0])


def select(top: TopModels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code, log mass and size of the best, `[N]` each, most probable first; of equal ones the higher code first.

    Raises the thresholds of `top` on the way.
    """
    code, log_mass, size = (array[: top.used[0]] for array in top[:3])
    order = np.lexsort((-code, -log_mass))
    code, log_mass, size = code[order], log_mass[order], size[order]
    keep, per_size = top.limits
    wanted = np.arange(len(code)) < keep
    overall = _threshold(log_mass, keep)
    for k in range(len(top.threshold)):
        of_size = np.flatnonzero(size == k)
        wanted[of_size[:per_size]] = True
        top.threshold[k] = min(overall, _threshold(log_mass[of_size], per_size))
    return code[wanted], log_mass[wanted], size[wanted]


def joined(parts: list[TopModels]) -> TopModels:
    """The candidates of several, without room for more."""
    code, log_mass, size = (np.concatenate([part[i][: part.used[0]] for part in parts]) for i in range(3))
    return TopModels(code, log_mass, size, np.array([len(code)]), parts[0].threshold, parts[0].limits)


def _threshold(falling: np.ndarray, limit: int) -> float:
    """Least value among the first `limit` of a falling sequence; -inf for a shorter one."""
    if limit == 0:
        return np.inf
    return float(falling[limit - 1]) if len(falling) >= limit else -np.inf
