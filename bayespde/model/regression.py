"""Triangular factor + spins -> residuals, log determinant and smallest pivot of each configuration."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from bayespde.core.triangular import ridged, triangular_factor

# Spins from which on several threads are faster.
WORTH_THREADS = 2**16


class Regression(NamedTuple):
    """The numbers on which the evidence of each configuration depends.

    Attributes:
        rss: Residual sum of squares (plus the ridge penalty at its minimum), `[N]`, float64.
        logdet: Log determinant of the selected Gram matrix (plus ridge), `[N]`, float64; 0 for no term.
        smallest_pivot: Smallest squared norm of a column's residual on those before it, `[N]`; inf for no term.
    """

    rss: np.ndarray
    logdet: np.ndarray
    smallest_pivot: np.ndarray


def canonical_factor(factor: np.ndarray, order: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Reorder the columns of a triangular factor, divide them by `scale`, and make it triangular again.

    Args:
        factor: Of `[design, target]`, `[K+1, K+1]`, upper triangular, float64.
        order: Position of each new column in the old order, `[K]`.
        scale: Divisor of each old column, `[K]`.

    Returns:
        Upper triangular factor, `[K+1, K+1]`; the target is the last column, untouched in scale.
    """
    columns = np.column_stack([factor[:, order] / scale[order], factor[:, -1]])
    return np.ascontiguousarray(triangular_factor(columns))


def regress(factor: np.ndarray, spins: np.ndarray, ridge: float = 0.0) -> Regression:
    """Least squares for many configurations, by Householder reflections of the selected columns of R.

    The Gram matrix is never formed, so the error grows with the condition number of the columns and not with
    its square. Each configuration is computed by one thread in one order: the answer does not depend on the
    threads.

    Args:
        factor: Upper triangular, `[K+1, K+1]`, float64; unit-norm columns, the target last.
        spins: Configurations, `[N, K]`, bool.
        ridge: Precision added to each selected column, dimensionless; the pivots include it.

    Returns:
        The regression, one entry per configuration; `rss` is NaN and `logdet` -inf where a pivot is exactly zero.
    """
    factor, spins, count = ridged(factor, ridge), np.ascontiguousarray(spins), len(spins)
    result = Regression(np.empty(count), np.empty(count), np.empty(count))
    threads = torch.get_num_threads()
    if threads == 1 or spins.size < WORTH_THREADS:
        _regress(factor, spins, *result)
        return result
    edges = np.linspace(0, count, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        parts = [slice(a, b) for a, b in pairwise(edges)]
        list(pool.map(lambda part: _regress(factor, spins[part], *(array[part] for array in result)), parts))
    return result


@njit(cache=True, nogil=True)
def _regress(factor: np.ndarray, spins: np.ndarray, rss: np.ndarray, logdet: np.ndarray, pivot: np.ndarray) -> None:
    terms = factor.shape[1] - 1
    columns = np.empty((terms + 1, terms + 1))
    last = np.empty(terms + 1, np.int64)
    for particle in range(spins.shape[0]):
        size = 0
        for term in range(terms):
            if spins[particle, term]:
                columns[size, :] = factor[:, term]
                last[size] = term
                size += 1
        columns[size, :] = factor[:, terms]
        rss[particle], logdet[particle], pivot[particle] = _reflect(columns, last, size)


@njit(cache=True, nogil=True)
def _reflect(columns: np.ndarray, last: np.ndarray, size: int) -> tuple[float, float, float]:
    """Reduce `columns[:size]` (each nonzero up to row `last`) and the target `columns[size]` in place."""
    log_determinant, smallest = 0.0, np.inf
    for i in range(size):
        end = last[i] + 1
        head = columns[i, i]
        square = 0.0
        for row in range(i, end):
            square += columns[i, row] ** 2
        smallest = min(smallest, square)
        if square == 0.0:
            return np.nan, -np.inf, 0.0
        log_determinant += np.log(square)
        norm = np.sqrt(square)
        columns[i, i] = head + norm if head >= 0 else head - norm
        half_length = square + abs(head) * norm
        for j in range(i + 1, size + 1):
            product = 0.0
            for row in range(i, end):
                product += columns[i, row] * columns[j, row]
            product /= half_length
            for row in range(i, end):
                columns[j, row] -= product * columns[i, row]
    residual = 0.0
    for row in range(size, columns.shape[1]):
        residual += columns[size, row] ** 2
    return residual, log_determinant, smallest
