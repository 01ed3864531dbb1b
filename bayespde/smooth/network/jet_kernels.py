"""Taylor coefficients of tanh(z) and sin(z) from those of z, and their adjoints: compiled, for arrays on a CPU."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add(out: np.ndarray, factor: float, left: np.ndarray, right: np.ndarray) -> None:
    """Add factor left right to out, all `[B]`."""
    for j in range(len(out)):
        out[j] += factor * left[j] * right[j]


@njit(cache=True, nogil=True, error_model="numpy")
def series(
    z: np.ndarray,
    is_tanh: bool,
    tables: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
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
                # s = 1 - y^2; b and c may change places.
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
    tables: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    bars: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Pull the sensitivities of y back to z, last coefficient first; those of y are used up."""
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


@njit(cache=True, nogil=True, error_model="numpy")
def compose(
    z: np.ndarray,
    value: np.ndarray,
    slope: np.ndarray,
    is_tanh: bool,
    tables: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    found: np.ndarray,
) -> None:
    """Taylor coefficients of tanh(z) or sin(z).

    Args:
        z: Those of z, `[C, M, B]`, contiguous: blocks that stay in the cache.
        value: The function at the coefficient 0, `[C, B]`.
        slope: Its slope there, `[C, B]`.
        is_tanh: Which function.
        tables: `start`, `left`, `right`, `share`, `is_slope` of a `JetTable`.
        found: The coefficients, `[C, M, B]`; written.
    """
    s = np.empty(z.shape[1:], dtype=z.dtype)
    for block in range(len(z)):
        found[block, 0], s[0] = value[block], slope[block]
        series(z[block], is_tanh, tables, found[block], s)


@njit(cache=True, nogil=True, error_model="numpy")
def pull_back(
    z: np.ndarray,
    value: np.ndarray,
    slope: np.ndarray,
    is_tanh: bool,
    tables: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    sensitivity: np.ndarray,
    found: np.ndarray,
    pulled: np.ndarray,
) -> None:
    """`compose` once more, and the sensitivities of z from those of the coefficients.

    Args:
        z: As there.
        value: As there.
        slope: As there.
        is_tanh: As there.
        tables: As there.
        sensitivity: Of the coefficients, `[C, M, B]`; used up.
        found: The coefficients, `[C, M, B]`; written.
        pulled: The sensitivities of z, `[C, M, B]`; written.
    """
    s, s_bar = np.empty(z.shape[1:], dtype=z.dtype), np.empty(z.shape[1:], dtype=z.dtype)
    for block in range(len(z)):
        found[block, 0], s[0] = value[block], slope[block]
        series(z[block], is_tanh, tables, found[block], s)
        bars = pulled[block], sensitivity[block], s_bar
        adjoint(z[block], found[block], s, is_tanh, tables, bars)
