"""A polynomial right-hand side on a line -> exponential steps of a state and its perturbations, compiled.

On a line a state has so few points that calls of tensor functions take nearly all the time of a step. Transforms are
products with matrices here, which are small as well.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Rows from which on a product of matrices is left to BLAS.
MANY_ROWS = 4
# NaN and infinity are kept: they show that a trajectory diverges.
FAST = {"contract", "reassoc", "arcp", "nsz"}


@njit(cache=True, nogil=True, fastmath=FAST)
def etdrk4_step(joint, tables, line, forced):  # type: ignore[no-untyped-def] # pragma: no cover
    """One step [coxmatthews2002] of the modes of a state and of its perturbations, `[1 + n, modes]`.

    `tables` `[6, modes]` are those of `etd_coefficients`; for `line` and `forced` see `line_equation`.
    """
    whole, half, q, first, middle, last = tables
    n = rest(joint, line, forced)
    a = np.zeros_like(joint)
    _add(a, half, joint, 1.0)
    b, c, following = a.copy(), np.zeros_like(joint), np.zeros_like(joint)
    _add(c, half, a, 1.0)
    _add(following, whole, joint, 1.0)
    _add(a, q, n, 1.0)
    c[:] = 0.0
    _add(c, half, a, 1.0)
    n_a = rest(a, line, forced)
    _add(b, q, n_a, 1.0)
    n_b = rest(b, line, forced)
    _add(c, q, n_b, 2.0)
    _add(c, q, n, -1.0)
    _add(following, first, n, 1.0)
    _add(following, middle, n_a, 2.0)
    _add(following, middle, n_b, 2.0)
    _add(following, last, rest(c, line, forced), 1.0)
    return following


@njit(cache=True, nogil=True, fastmath=FAST)
def rest(joint, line, forced):  # type: ignore[no-untyped-def] # pragma: no cover
    """What is not rates of modes: of the state, its slope along the perturbations, and forced terms."""
    inverse, forward, removed, weights, powers = line
    forced_weights, forced_powers, rows, linear = forced
    derivatives, points = inverse.shape[0], forward.shape[1]
    values = np.empty((derivatives, len(joint), points))
    for k in range(derivatives):
        _product(joint.view(np.float64), inverse[k], values[k])
    state = values[:, 0]
    rate = np.zeros((len(joint), points))
    for t in range(len(weights)):
        _add_monomial(rate[0], weights[t], powers[t], state)
    if len(joint) > 1:
        slope, lower = np.empty(points), powers.copy()
        for k in range(derivatives):
            slope[:] = 0.0
            for t in range(len(weights)):
                if powers[t, k]:
                    lower[t, k] -= 1
                    _add_monomial(slope, weights[t] * powers[t, k], lower[t], state)
                    lower[t, k] += 1
            for row in range(1, len(joint)):
                for i in range(points):
                    rate[row, i] += slope[i] * values[k, row, i]
    for t in range(len(rows)):
        _add_monomial(rate[rows[t]], forced_weights[t], forced_powers[t], state)
    change = np.zeros_like(joint)
    _product(rate, forward, change.view(np.float64))
    for row in range(len(joint)):
        change[row] -= removed * joint[row]
    for row in range(len(linear)):
        change[row + 1] += linear[row] * joint[0]
    return change


@njit(cache=True, nogil=True, fastmath=FAST)
def largest_value(modes, inverse):  # type: ignore[no-untyped-def] # pragma: no cover
    """Of the values of modes `[1, modes]`; not a number if any is not."""
    values = np.empty((1, len(inverse)))
    _product(modes.view(np.float64), inverse, values)
    found = 0.0
    for value in values[0]:
        # In this order a value that is not a number is not lost.
        found = found if abs(value) <= found else abs(value)
        if found != found:
            break
    return found


@njit(cache=True, nogil=True, fastmath=FAST)
def _add(out, table, modes, factor):  # type: ignore[no-untyped-def] # pragma: no cover
    for row in range(len(modes)):
        for j in range(len(table)):
            out[row, j] += factor * table[j] * modes[row, j]


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_monomial(out, weight, powers, values):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add a weight times powers of the values `[k, points]`."""
    product = np.full(len(out), weight)
    for k in range(len(powers)):
        for _ in range(powers[k]):
            product *= values[k]
    out += product


@njit(cache=True, nogil=True, fastmath=FAST)
def _product(rows, matrix, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Multiply the first columns of rows `[n, ...]` by a matrix `[m, k]`: the first columns of `out` `[n, ...]`."""
    given, found = matrix.shape[1], matrix.shape[0]
    if len(rows) >= MANY_ROWS:
        out[:, :found] = np.dot(np.ascontiguousarray(rows[:, :given]), matrix.T)
        return
    for row in range(len(rows)):
        for a in range(found):
            total = 0.0
            for r in range(given):
                total += matrix[a, r] * rows[row, r]
            out[row, a] = total
