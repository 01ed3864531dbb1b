"""Triangular factor -> residuals and pivots of its sub-models, by rotations without square roots.

Row i of a factor R is held as its squared pivot `R[i, i]**2`, on the diagonal, and as `R[i, k] / R[i, i]` right of
it. The last diagonal element is the residual sum of squares with all columns included. Including the first column needs
no work: the rest of the triangle is the result. Excluding it adds its row to the rows below by Givens rotations
without square roots [gentleman1973]. Every residual and every pivot is a sum of squares, and none is ever subtracted
from another: a nearly perfect fit and a nearly collinear column keep their digits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LEAST_PIVOT = 1e-30


def without_square_roots(factor: np.ndarray) -> np.ndarray:
    """Squared pivots and unit rows, `[K+1, K+1]`, of an upper triangular factor, `[K+1, K+1]`, float64."""
    pivots = np.diagonal(factor).copy()
    # a row that begins with 0 has no unit form; so small a pivot changes the columns by less than rounding
    pivots[np.abs(pivots) < LEAST_PIVOT] = LEAST_PIVOT
    triangle = np.triu(factor / pivots[:, None], 1) + np.diag(pivots**2)
    triangle[-1, -1] = factor[-1, -1] ** 2
    return np.ascontiguousarray(triangle)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def exclude_column(triangles: np.ndarray, above: int, below: int, column: int, row: np.ndarray) -> None:
    """Write the triangle of the undecided columns after `column` is excluded; those before it are decided.

    Args:
        triangles: `[layers, K+1, K+1]`, float64.
        above: Layer to read.
        below: Layer to write, below the row of `column`.
        column: First column of the triangle.
        row: Scratch, `[K+1]`.
    """
    last = triangles.shape[2] - 1
    weight = triangles[above, column, column]
    for k in range(column + 1, last + 1):
        row[k] = triangles[above, column, k]
    for i in range(column + 1, last):
        x, old = row[i], triangles[above, i, i]
        new = old + weight * x * x
        cosine, sine = old / new, weight * x / new
        weight *= cosine
        triangles[below, i, i] = new
        for k in range(i + 1, last + 1):
            value = triangles[above, i, k]
            triangles[below, i, k] = cosine * value + sine * row[k]
            row[k] -= x * value
    triangles[below, last, last] = triangles[above, last, last] + weight * row[last] * row[last]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def last_three_columns(
    triangles: np.ndarray, layer: int, a: int, tolerance: float, rss: np.ndarray, det: np.ndarray
) -> None:
    """Write residuals and determinants of the eight choices of the last three columns, the first in the highest bit.

    Args:
        triangles: `[layers, K+1, K+1]`, float64.
        layer: Layer to read.
        a: First of the last three columns.
        tolerance: Least pivot of an included column.
        rss: Residual sums of squares, `[8]`; inf where a pivot is below the tolerance.
        det: Products of the pivots of the included columns, `[8]`.
    """
    pa, ab, ac, ay = (
        triangles[layer, a, a],
        triangles[layer, a, a + 1],
        triangles[layer, a, a + 2],
        triangles[layer, a, a + 3],
    )
    pb, bc, by = triangles[layer, a + 1, a + 1], triangles[layer, a + 1, a + 2], triangles[layer, a + 1, a + 3]
    pc, cy, least = triangles[layer, a + 2, a + 2], triangles[layer, a + 2, a + 3], triangles[layer, a + 3, a + 3]
    # pivots where columns before are excluded: of b without a; of c without b, without a, without both
    b = pb + pa * ab**2
    pa_b = pa * (pb / b)
    c_a, c_b = pc + pb * bc**2, pc + pa_b * (ac - ab * bc) ** 2
    c = c_a + pa * ac**2
    rss[7] = least
    rss[6] = least + pc * cy**2
    rss[5] = least + pb * (pc / c_a) * (by - bc * cy) ** 2
    rss[4] = rss[6] + pb * by**2
    rss[3] = least + pa_b * (pc / c_b) * (ay - ab * by - (ac - ab * bc) * cy) ** 2
    rss[2] = rss[6] + pa_b * (ay - ab * by) ** 2
    # residual of y on the last column, by Lagrange's identity
    crossed = pc * (pa * (ac * cy - ay) ** 2 + pb * (bc * cy - by) ** 2) + pa * pb * (ac * by - bc * ay) ** 2
    rss[1] = least + crossed / c
    rss[0] = rss[4] + pa * ay**2
    det[0], det[1], det[2], det[3] = 1.0, c, b, b * c_b
    det[4], det[5], det[6], det[7] = pa, pa * c_a, pa * pb, pa * pb * pc
    # a pivot only grows when a column before it is excluded
    if min(pa, pb, pc) < tolerance:
        smallest = (np.inf, c, b, min(b, c_b), pa, min(pa, c_a), min(pa, pb), min(pa, pb, pc))
        for choice in range(8):
            if smallest[choice] < tolerance:
                rss[choice] = np.inf
