"""Log odds -> Barker's probabilities `1 / (1 + exp(-log odds))`, one or many, compiled [barker1965].

They are the probabilities that a Gibbs update flips a spin, formed from the log odds of the flip in both directions,
never as one minus the other: log odds of 1e4 occur.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# exp(x) = 2^n exp(r) with |r| <= log(2) / 2, where a series of degree 13 is exact to rounding. Adding 3 * 2^51 rounds
# to an integer, which is then in the last bits; log(2) in two parts, the first with trailing zeros.
LOG2_E, ROUND = 1.4426950408889634, 6755399441055744.0
LOG_2, LOG_2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
SERIES = tuple(1.0 / math.factorial(n) for n in range(14))
# Below it a probability has no effect on a sum.
SMALLEST = -700.0


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def barker(value: float) -> float:
    """Probability of a flip from its log odds, without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    odds = math.exp(value)
    return odds / (1.0 + odds)


@njit(cache=True, nogil=True, error_model="numpy")
def barker_all(values: np.ndarray) -> float:
    """Replace log odds (`[N]`) by probabilities, 0 for those of -700 or less, and return their sum.

    The exponential is written out, in operations that the compiler can vectorise.
    """
    _, _, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = SERIES
    for j in range(values.shape[0]):
        x = values[j]
        negative = max(-abs(x), SMALLEST)
        rounded = negative * LOG2_E + ROUND
        n = rounded - ROUND
        r = (negative - n * LOG_2) - n * LOG_2_REST
        p = (((((c13 * r + c12) * r + c11) * r + c10) * r + c9) * r + c8) * r + c7
        p = ((((((p * r + c6) * r + c5) * r + c4) * r + c3) * r + c2) * r + 1.0) * r + 1.0
        bits = np.float64(p).view(np.int64) + (np.float64(rounded).view(np.int64) << 52)
        odds = np.int64(bits).view(np.float64)
        rate = (1.0 if x >= 0.0 else odds) / (1.0 + odds)
        values[j] = rate if x > SMALLEST else 0.0
    total = 0.0
    for j in range(values.shape[0]):
        total += values[j]
    return total
