"""TAYLOR COEFFICIENTS OF z -> THOSE OF tanh(z), sin(z), and the adjoint map: compiled, for a CPU."""

from __future__ import annotations

import numpy as np
from numba import njit

from bayespde.smooth.network.jets import Tables


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add(out: np.ndarray, factor: float, left: np.ndarray, right: np.ndarray) -> None:
    """Add factor left right to out, all `[B]`."""
    for j in range(len(out)):
        out[j] += factor * left[j] * right[j]


@njit(cache=True, nogil=True, error_model="numpy")
def series(
    z: np.ndarray,
    is_tanh: bool,
    tables: Tables,
    y: np.ndarray,
    s: np.ndarray,
) -> None:
    """Fill the coefficients y of the function and s of its slope; those at 0 are given."""
    start, left, right, share, is_slope = tables
    minus = -z.dtype.type(1)
    for a in range(1, len(z)):
        y[a, :] = 0
        s[a, :] = 0
        for p in range(start[a], start[a + 1]):
            b, c, w = left[p], right[p], share[p]
            if w:
                _add(y[a], w, z[b], s[c])
        if not is_slope[a]:
            continue
        for p in range(start[a], start[a + 1]):
            b, c, w = left[p], right[p], share[p]
            if is_tanh:
                # s = 1 - y^2, symmetric in b and c.
                if b <= c:
                    _add(s[a], minus if b == c else minus + minus, y[b], y[c])
            elif w:
                _add(s[a], -w, z[b], y[c])


@njit(cache=True, nogil=True, error_model="numpy")
def adjoint(
    z: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    is_tanh: bool,
    tables: Tables,
    bars: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Pull the sensitivities of y back to z, last coefficient first; those of y are overwritten."""
    start, left, right, share, is_slope = tables
    z_bar, y_bar, s_bar = bars
    z_bar[:] = 0
    s_bar[:] = 0
    two = y.dtype.type(2)
    for a in range(len(z) - 1, 0, -1):
        for p in range(start[a], start[a + 1]) if is_slope[a] else range(0):
            b, c, w = left[p], right[p], share[p]
            if is_tanh:
                _add(y_bar[b], -two, s_bar[a], y[c])
            elif w:
                _add(z_bar[b], -w, s_bar[a], y[c])
                _add(y_bar[c], -w, s_bar[a], z[b])
        for p in range(start[a], start[a + 1]):
            b, c, w = left[p], right[p], share[p]
            if w:
                _add(z_bar[b], w, y_bar[a], s[c])
                _add(s_bar[c], w, y_bar[a], z[b])
    for j in range(z.shape[1]):
        if is_tanh:
            z_bar[0, j] += (y_bar[0, j] - two * s_bar[0, j] * y[0, j]) * s[0, j]
        else:
            z_bar[0, j] += y_bar[0, j] * s[0, j] - s_bar[0, j] * y[0, j]
