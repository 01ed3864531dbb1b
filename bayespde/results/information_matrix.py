"""Statistics and a configuration -> the information matrix test: scatter of the scores of blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from bayespde.core.statistics import SufficientStatistics

# Residuals below this share of the target are rounding errors, which are the same in every block.
ROUNDING = 1e-9
# Score beyond which probabilities underflow.
LARGEST = 37.0


class InformationMatrixTest(NamedTuple):
    """Scatter of the scores of blocks, compared with that of independent rows.

    Attributes:
        ratio: Sum of squared scores over its expectation: about how often every row is repeated.
        score: The same in standard deviations of a normal variable.
    """

    ratio: float
    score: float


def information_matrix_test(statistics: SufficientStatistics, spins: np.ndarray) -> InformationMatrixTest:
    """Compare the scatter of the blocks' scores with their information, as a sandwich estimator does [huber1967].

    With whitened blocks X_b, information W_b = A^(-1/2) X_b'X_b A^(-1/2) that adds up to 1, and scores t_b of the
    least-squares residuals in units of the noise, independent normal rows give t_b covariances W_b - W_b^2 within and
    -W_b W_c between blocks. The sum of the squares of t_b then has the mean k - sum tr W_b^2 and the variance
    2 (sum tr (W_b - W_b^2)^2 + sum_(b != c) tr W_b^2 W_c^2), and is near a multiple of a chi-squared variable with
    these moments [satterthwaite1946].

    Args:
        statistics: The compressed rows.
        spins: The configuration, `[K]`, bool.

    Returns:
        Ratio and score; 1 and 0 where there is one block, no term, or no residual.
    """
    on, rows = np.flatnonzero(spins), statistics.rows - int(np.sum(spins))
    residual = statistics.factors @ np.append(-statistics.least_squares(spins), 1.0)
    noise = float(np.sum(residual**2)) / max(rows, 1.0)
    is_rounding = float(np.sum(residual**2)) <= ROUNDING**2 * statistics.energy
    if not on.size or statistics.blocks < 2 or rows <= 0 or is_rounding:
        return InformationMatrixTest(1.0, 0.0)
    columns = statistics.factors[:, :, on] / statistics.column_scale[on]
    root = np.linalg.pinv(np.linalg.qr(columns.reshape(-1, on.size), mode="r"), rcond=1e-10)
    whitened = columns @ root
    scores = np.einsum("brk,br->bk", whitened, residual)
    mean, variance = _moments(np.einsum("brk,brl->bkl", whitened, whitened))
    if not mean > 0 or not variance > 0:
        return InformationMatrixTest(1.0, 0.0)
    ratio = float(np.sum(scores**2)) / noise / mean
    freedom = 2 * mean**2 / variance
    score = stats.norm.isf(stats.chi2.sf(ratio * freedom, freedom))
    return InformationMatrixTest(ratio, float(np.clip(score, -LARGEST, LARGEST)))


def _moments(information: np.ndarray) -> tuple[float, float]:
    """Mean and variance of the sum of squared scores of independent rows; information of blocks `[B, k, k]`."""
    squares = information @ information
    mean = float(np.trace(information - squares, axis1=1, axis2=2).sum())
    inner = _trace_of_squares(information - squares)
    between = _trace_of_squares(squares.sum(axis=0)[None]) - _trace_of_squares(squares)
    return mean, 2 * (inner + max(between, 0.0))


def _trace_of_squares(matrices: np.ndarray) -> float:
    """Sum of tr M^2 over symmetric matrices `[n, k, k]`."""
    return float(np.einsum("nkl,nlk->", matrices, matrices))
