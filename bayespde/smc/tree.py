"""Triangular factor -> residuals of all configurations, depth first: the compiled part of the enumeration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit


class Branch(NamedTuple):
    """What is left of the factor once it is decided which of the first columns are in.

    Attributes:
        triangle: Factor of the remaining columns' and the response's residuals, `[L+1, L+1]`, float64.
        logdet: Log determinant of the Gram matrix of the columns taken in.
        pivot: Smallest pivot among them; inf if there is none.
    """

    triangle: np.ndarray
    logdet: float
    pivot: float


def descend(factor: np.ndarray, prefix: np.ndarray) -> Branch:
    """Decide the first M columns of a factor (`[K+1, K+1]`) by the bits of `prefix` (`[M]`, bool)."""
    triangle, logdet, pivot = np.ascontiguousarray(factor), 0.0, np.inf
    for included in prefix:
        size = len(triangle)
        smaller = np.zeros((size - 1, size - 1))
        if included:
            square = triangle[0, 0] ** 2
            pivot = min(pivot, square)
            logdet += np.log(max(square, 1e-300))
            _include(triangle, smaller, size)
        else:
            _exclude(triangle, smaller, size, np.empty(size))
        triangle = smaller
    return Branch(triangle, logdet, pivot)


def residuals(branch: Branch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residual sum of squares, log determinant and smallest pivot of all 2^L completions of a branch.

    Configuration c has the branch's next column in if the highest of its L bits is set, and so on down.
    Going from one configuration to the next redoes two levels on average. Leaving a column out is a chain of
    Givens rotations of the triangle, taking it in is free: orthogonal throughout, so a nearly perfect fit
    keeps its digits.

    Args:
        branch: From `descend`.

    Returns:
        Three arrays `[2^L]`, float64.
    """
    levels = len(branch.triangle) - 1
    result = (np.empty(2**levels), np.empty(2**levels), np.empty(2**levels))
    _fill(branch.triangle, branch.logdet, branch.pivot, *result)
    return result


@njit(cache=True, nogil=True)
def _include(source: np.ndarray, target: np.ndarray, size: int) -> None:
    for row in range(1, size):
        for column in range(row, size):
            target[row - 1, column - 1] = source[row, column]


@njit(cache=True, nogil=True)
def _exclude(source: np.ndarray, target: np.ndarray, size: int, carry: np.ndarray) -> None:
    for column in range(1, size):
        carry[column - 1] = source[0, column]
    for row in range(size - 1):
        first, second = carry[row], source[row + 1, row + 1]
        length = np.sqrt(first * first + second * second)
        cosine, sine = (first / length, second / length) if length > 0 else (1.0, 0.0)
        for column in range(row, size - 1):
            below = source[row + 1, column + 1]
            target[row, column] = cosine * carry[column] + sine * below
            carry[column] = cosine * below - sine * carry[column]


@njit(cache=True, nogil=True)
def _fill(
    triangle: np.ndarray,
    log_start: float,
    pivot_start: float,
    rss: np.ndarray,
    logdet: np.ndarray,
    pivot: np.ndarray,
) -> None:
    levels = triangle.shape[0] - 1
    stack = np.zeros((levels + 1, levels + 1, levels + 1))
    stack[0] = triangle
    logs, pivots, carry = np.empty(levels + 1), np.empty(levels + 1), np.empty(levels + 1)
    logs[0], pivots[0] = log_start, pivot_start
    for code in range(1 << levels):
        depth = 0
        if code > 0:
            depth = levels - 1
            while (code >> (levels - 1 - depth)) & 1 == 0:
                depth -= 1
        while depth < levels:
            size = levels - depth + 1
            if (code >> (levels - 1 - depth)) & 1:
                square = stack[depth, 0, 0] ** 2
                logs[depth + 1] = logs[depth] + np.log(max(square, 1e-300))
                pivots[depth + 1] = min(pivots[depth], square)
                _include(stack[depth], stack[depth + 1], size)
            else:
                logs[depth + 1], pivots[depth + 1] = logs[depth], pivots[depth]
                _exclude(stack[depth], stack[depth + 1], size, carry)
            depth += 1
        rss[code] = stack[levels, 0, 0] ** 2
        logdet[code] = logs[levels]
        pivot[code] = pivots[levels]
