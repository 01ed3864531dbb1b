"""A smooth field -> the boundaries that its edges look like: guesses, to be judged by the trajectories they give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# The seam of a periodic field bends no more than any other place, slopes at walls and changes of held edges are small
# against others: by these factors, over the largest and the root mean square.
BEND, SMALL = 1.5, 0.1
# Of the scatter of the smooth field, within which it may miss that.
SCATTER = 3.0


def infer_boundary_conditions(values: np.ndarray, draws: np.ndarray) -> tuple[str, ...]:
    """What the boundary of a smooth field may be, by its edges.

    Args:
        values: `[time, *space]`, float64.
        draws: The same from its posterior, `[n, time, *space]`, one or more.

    Returns:
        Those of "periodic", "neumann" and "dirichlet" that all edges look like.
    """
    errors = draws - values
    axes = [(np.moveaxis(values, a, 1), np.moveaxis(errors, a + 1, 2)) for a in range(1, values.ndim)]
    looks = {"periodic": _bend, "neumann": _slope, "dirichlet": _change}
    return tuple(name for name, misfit in looks.items() if all(_within(misfit, *both) for both in axes))


def _within(misfit: Callable[[np.ndarray], tuple[np.ndarray, float]], values: np.ndarray, errors: np.ndarray) -> bool:
    edge, allowed = misfit(values)
    scatter = np.sqrt(np.mean([misfit(e)[0] ** 2 for e in errors], axis=0))
    return bool(np.all(edge <= np.hypot(allowed, SCATTER * scatter)))


def _size(values: np.ndarray) -> np.ndarray:
    """Root mean square over all but axis 1."""
    return np.asarray(np.sqrt(np.mean(values**2, axis=tuple(a for a in range(values.ndim) if a != 1))))


def _bend(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Second differences across the seam, and what they may be."""
    around = np.concatenate([values[:, -2:], values[:, :2]], axis=1)
    return _size(np.diff(around, 2, axis=1)), BEND * float(_size(np.diff(values, 2, axis=1)).max())


def _slope(values: np.ndarray) -> tuple[np.ndarray, float]:
    """First differences half a pixel outside, where the mirror stands, and what they may be."""
    steps = np.diff(values, axis=1)
    return _size(2 * steps[:, [0, -1]] - steps[:, [1, -2]]), SMALL * float(np.sqrt(np.mean(steps**2)))


def _change(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Changes of the edges since the first frame, and what they may be."""
    moved = _size(values - values[:1])
    return moved[[0, -1]], SMALL * float(np.sqrt(np.mean(moved**2)))
