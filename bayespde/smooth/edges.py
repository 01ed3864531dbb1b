"""A smooth field -> the boundary that its edges look like: a guess, to be judged by the trajectory that it gives."""

from __future__ import annotations

import numpy as np

# The seam of a periodic field is a step like any other, slopes at walls and changes of held edges are small against
# others: by these factors, over the largest and the root mean square.
STEP, SMALL = 1.5, 0.1


def boundary_like(values: np.ndarray) -> str | None:
    """The boundary of a smooth field by its edges.

    Args:
        values: `[time, *space]`, float64.

    Returns:
        "periodic", "no-flux" or "fixed" if all edges look like that, the first that does; None if none does.
    """
    axes = [np.moveaxis(values, axis, 1) for axis in range(1, values.ndim)]
    for name, looks in (("periodic", _is_seamless), ("no-flux", _is_flat), ("fixed", _is_held)):
        if all(looks(a) for a in axes):
            return name
    return None


def _size(values: np.ndarray) -> np.ndarray:
    """Root mean square over all but axis 1."""
    return np.asarray(np.sqrt(np.mean(values**2, axis=tuple(a for a in range(values.ndim) if a != 1))))


def _is_seamless(values: np.ndarray) -> bool:
    return bool(_size(values[:, :1] - values[:, -1:])[0] <= STEP * _size(np.diff(values, axis=1)).max())


def _is_flat(values: np.ndarray) -> bool:
    steps = np.diff(values, axis=1)
    # Half a pixel outside, where the mirror stands.
    walls = _size(2 * steps[:, [0, -1]] - steps[:, [1, -2]])
    return bool(walls.max() <= SMALL * np.sqrt(np.mean(steps**2)))


def _is_held(values: np.ndarray) -> bool:
    moved = _size(values - values[:1])
    return bool(max(moved[0], moved[-1]) <= SMALL * np.sqrt(np.mean(moved**2)))
