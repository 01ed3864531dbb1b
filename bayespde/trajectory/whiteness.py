"""Residuals of a trajectory -> whether they are white in time, as noise of frames is.

Noise of frames is independent in time, so that for every wave of space its slow and its fast part in time have one
variance: their ratio has Fisher's distribution, whatever the size of the noise and its correlation in space. Dynamics
that an equation does not describe leave slow residuals. It is a test of residual whiteness as in system identification.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn
from scipy.stats import chi2, f, norm

# Scores above this are so far from noise that nothing along the trajectory can be trusted.
REJECT_SCORE = 20.0
# Shares of the waves in time that are slow, and the share that is fast.
SLOW, FAST = (32, 16, 8), 2
FEWEST = 3
# Smallest logarithm of a tail probability whose exponential is above 0.
LEAST = -700.0


def whiteness_score(residual: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far slow residuals exceed fast ones, in standard deviations.

    Args:
        residual: In units of the noise, `[time, pixels]`, 0 where nothing was observed.
        shape: Points per dimension of space.

    Returns:
        The largest score of the slowest 1/32, 1/16 and 1/8 of the waves in time and of the longest 1, 2, 4, ... waves
        in space and all, each standard normal if residuals are noise; 0 with too few frames.
    """
    frames = len(residual)
    fast = frames // FAST
    if frames - fast < FEWEST or fast < FEWEST:
        return 0.0
    square = dctn(residual.reshape(frames, *shape), norm="ortho") ** 2
    numbers = np.indices(shape) / np.array(shape).reshape(-1, *(1,) * len(shape))
    waves = square.reshape(frames, -1)[:, np.argsort((numbers**2).sum(axis=0).ravel(), kind="stable")]
    noise = np.maximum(waves[-fast:].mean(axis=0), 1e-300)
    return max(_score(waves[:slow], noise, fast) for slow in {max(FEWEST, frames // share) for share in SLOW})


def _score(waves: np.ndarray, noise: np.ndarray, fast: int) -> float:
    """Normal score of slow waves, `[time, space]`, the longest first, with p-values combined [fisher1932]."""
    logs = -2 * np.maximum(f.logsf(waves.mean(axis=0) / noise, len(waves), fast), LEAST)
    counts = np.unique([*(2 ** np.arange(int(np.log2(len(logs))) + 1)), len(logs)])
    tails = chi2.logsf(np.cumsum(logs)[counts - 1], 2 * counts)
    return float(norm.isf(np.exp(max(tails.min(), LEAST))))
