"""SMOOTH FIELD -> LIKELY BOUNDARY CONDITIONS: candidates, to be compared by trajectory matching."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

# Second differences across the seam of a periodic field are at most this multiple of the largest elsewhere.
MAX_SEAM = 1.5
# Posterior standard deviations within which a seam may be larger.
SCATTER = 3.0
# Slopes at Neumann boundaries, and changes at Dirichlet boundaries, as they are found without noise: this multiple of
# the rms elsewhere.
SMALL = 0.05

# At both boundaries of axis 1 of values `[time, ...]`, and its root mean square elsewhere.
Violation = Callable[[np.ndarray], tuple[np.ndarray, float]]


def infer_boundary_conditions(values: np.ndarray, draws: np.ndarray) -> tuple[str, ...]:
    """Find the boundary conditions that a smooth field is likely to satisfy.

    Args:
        values: `[time, *space]`, float64.
        draws: Draws of it from its posterior, `[n, time, *space]`, one or more.

    Returns:
        Those of "periodic", "neumann" and "dirichlet" that hold along every axis.
    """
    errors = draws - values
    axes = [(np.moveaxis(values, a, 1), np.moveaxis(errors, a + 1, 2)) for a in range(1, values.ndim)]
    small = {"neumann": _slope, "dirichlet": _change}
    holds = {"periodic": _is_periodic} | {n: partial(_is_smaller_than_elsewhere, v) for n, v in small.items()}
    return tuple(name for name, check in holds.items() if all(check(*both) for both in axes))


def _is_periodic(values: np.ndarray, errors: np.ndarray) -> bool:
    size, most = _seam(values)
    scatter = np.sqrt(np.mean([_seam(e)[0] ** 2 for e in errors], axis=0))
    return bool(np.all(size <= np.hypot(MAX_SEAM * most, SCATTER * scatter)))


def _is_smaller_than_elsewhere(violation: Violation, values: np.ndarray, errors: np.ndarray) -> bool:
    """Whether a violation at both boundaries is more probable if it is small than if it is as large as elsewhere.

    The ratio of the likelihoods of two normal distributions with mean zero; the posterior adds its variance to both.
    """
    size, elsewhere = violation(values)
    noise = np.mean([violation(e)[0] ** 2 for e in errors], axis=0)
    small, large = ((share * elsewhere) ** 2 + noise for share in (SMALL, 1.0))
    if not np.all(small):
        return not size.any()
    return bool(np.sum(np.log(large / small) + size**2 / large - size**2 / small) >= 0)


def _size(values: np.ndarray) -> np.ndarray:
    """Root mean square over all but axis 1."""
    return np.asarray(np.sqrt(np.mean(values**2, axis=tuple(a for a in range(values.ndim) if a != 1))))


def _seam(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Second differences across the seam, and the largest elsewhere."""
    around = np.concatenate([values[:, -2:], values[:, :2]], axis=1)
    return _size(np.diff(around, 2, axis=1)), float(_size(np.diff(values, 2, axis=1)).max())


def _slope(values: np.ndarray) -> tuple[np.ndarray, float]:
    """First differences half a pixel outside, at the plane of reflection, and those elsewhere."""
    steps = np.diff(values, axis=1)
    return _size(2 * steps[:, [0, -1]] - steps[:, [1, -2]]), float(np.sqrt(np.mean(steps**2)))


def _change(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Changes of the boundary values since the first frame, and those elsewhere."""
    moved = _size(values - values[:1])
    return moved[[0, -1]], float(np.sqrt(np.mean(moved**2)))
