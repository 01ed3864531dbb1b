"""SMOOTH FIELD -> LIKELY BOUNDARY CONDITIONS: candidates, to be compared by trajectory matching."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Second differences across the seam of a periodic field are at most this multiple of the largest elsewhere.
MAX_SEAM = 1.5
# Slopes at Neumann boundaries, and changes at Dirichlet boundaries, are at most this multiple of the rms elsewhere.
MAX_BOUNDARY = 0.1
# Posterior standard deviations within which a condition may be violated.
SCATTER = 3.0


def infer_boundary_conditions(values: np.ndarray, draws: np.ndarray) -> tuple[str, ...]:
    """Find the boundary conditions that a smooth field satisfies within its error.

    Args:
        values: `[time, *space]`, float64.
        draws: Draws of it from its posterior, `[n, time, *space]`, one or more.

    Returns:
        Those of "periodic", "neumann" and "dirichlet" that hold along every axis.
    """
    errors = draws - values
    axes = [(np.moveaxis(values, a, 1), np.moveaxis(errors, a + 1, 2)) for a in range(1, values.ndim)]
    violations = {"periodic": _seam, "neumann": _slope, "dirichlet": _change}
    return tuple(name for name, violation in violations.items() if all(_within(violation, *both) for both in axes))


def _within(
    violation: Callable[[np.ndarray], tuple[np.ndarray, float]], values: np.ndarray, errors: np.ndarray
) -> bool:
    size, allowed = violation(values)
    scatter = np.sqrt(np.mean([violation(e)[0] ** 2 for e in errors], axis=0))
    return bool(np.all(size <= np.hypot(allowed, SCATTER * scatter)))


def _size(values: np.ndarray) -> np.ndarray:
    """Root mean square over all but axis 1."""
    return np.asarray(np.sqrt(np.mean(values**2, axis=tuple(a for a in range(values.ndim) if a != 1))))


def _seam(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Second differences across the seam, and their bound."""
    around = np.concatenate([values[:, -2:], values[:, :2]], axis=1)
    return _size(np.diff(around, 2, axis=1)), MAX_SEAM * float(_size(np.diff(values, 2, axis=1)).max())


def _slope(values: np.ndarray) -> tuple[np.ndarray, float]:
    """First differences half a pixel outside, at the plane of reflection, and their bound."""
    steps = np.diff(values, axis=1)
    return _size(2 * steps[:, [0, -1]] - steps[:, [1, -2]]), MAX_BOUNDARY * float(np.sqrt(np.mean(steps**2)))


def _change(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Changes of the boundary values since the first frame, and their bound."""
    moved = _size(values - values[:1])
    return moved[[0, -1]], MAX_BOUNDARY * float(np.sqrt(np.mean(moved**2)))
