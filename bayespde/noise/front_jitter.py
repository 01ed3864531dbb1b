"""Residuals of a moving front -> its displacement noise: jitter from frame to frame, and a random walk.

A front recorded frame by frame is displaced by scan jitter j_t, independent between frames, and may itself follow a
random walk w_t. Both move the field by -(displacement) u_x: noise of rank one per frame, which no average over space
removes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solveh_banded
from scipy.optimize import minimize

# Correlation of neighbouring residuals above which they are not independent noise.
CORRELATED = 0.3
# Mean slope over mean absolute slope above which the ends of a field differ.
NET_STEP = 0.5
# Share of the correlation of residuals that displacements have to remove.
EXPLAINED = 0.5
# Noise below this share of the field's standard deviation is rounding.
NEGLIGIBLE_NOISE = 1e-3


class FrontJitter(NamedTuple):
    """Noise that displaces a front.

    Attributes:
        pixel: Standard deviation of the remaining noise per pixel.
        jitter: Standard deviation of the displacement of a frame, physical length.
        walk: Standard deviation of the step of the front's random walk per frame, physical length.
    """

    pixel: float
    jitter: float
    walk: float


def has_net_step(slope: np.ndarray) -> bool:
    """Whether the two ends of a field along x differ, so that the mean of a frame measures the front's position."""
    return bool(abs(np.mean(slope.sum(axis=1))) > NET_STEP * np.mean(np.abs(slope).sum(axis=1)))


def is_front(raw: np.ndarray, smooth: np.ndarray, slope: np.ndarray, noise_scale: float) -> bool:
    """Whether the noise of a field is that of a front that jitters.

    Its two ends differ, the residuals of a frame are correlated along x, and displacing each frame explains most of
    that: noise that a detector or a filter has correlated would keep its correlation.

    Args:
        raw: The field, NaN where missing, `[time, (z, y,) x]`.
        smooth: The smoothed field, same shape.
        slope: Its derivative along x, same shape.
        noise_scale: Pixel noise of the smoother.
    """
    if raw.ndim != 2 or not has_net_step(slope):
        return False
    seen = ~np.isnan(raw)
    residual = np.where(seen, raw - smooth, 0.0)
    if not _is_correlated(residual, float(np.nanstd(raw)), noise_scale):
        return False
    rest = _registered(residual, slope, seen)
    return bool(np.sum(rest[:, 1:] * rest[:, :-1]) < EXPLAINED * np.sum(residual[:, 1:] * residual[:, :-1]))


def _is_correlated(residual: np.ndarray, spread: float, noise_scale: float) -> bool:
    """Whether the residuals of a frame are correlated along x, and are more than rounding."""
    along = float(np.sum(residual[..., 1:] * residual[..., :-1]) / max(float(np.sum(residual**2)), 1e-300))
    return along > CORRELATED and noise_scale > NEGLIGIBLE_NOISE * spread


def _registered(residual: np.ndarray, slope: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Residuals of each frame without its best displacement; 0 where nothing was observed."""
    shift = np.sum(residual * slope, axis=1) / np.maximum(np.sum(slope**2 * seen, axis=1), 1e-300)
    return np.asarray((residual - shift[:, None] * slope) * seen)


def estimate_front_jitter(raw: np.ndarray, residual: np.ndarray, slope: np.ndarray, seen: np.ndarray) -> FrontJitter:
    """Estimate jitter and walk from the positions of a front, and pixel noise from the registered residuals.

    Args:
        raw: The field without holes, `[time, x]`.
        residual: Raw minus smoothed field, same shape, 0 where missing.
        slope: Derivative of the smoothed field along x, same shape.
        seen: Which pixels are not missing, same shape, bool.
    """
    position = -raw.sum(axis=1) / float(np.mean(slope.sum(axis=1)))
    jitter, walk = jitter_and_walk(np.diff(position))
    pixel = float(np.sqrt(np.mean(_registered(residual, slope, seen)[seen] ** 2)))
    return FrontJitter(pixel, jitter, walk)


def jitter_and_walk(steps: np.ndarray) -> tuple[float, float]:
    """Split the variance of position steps into jitter (differenced white noise) and a random walk.

    The steps of constant drift c plus walk q plus differenced jitter r have mean c and a tridiagonal covariance:
    2 r^2 + q^2 on the diagonal, -r^2 next to it. r and q maximise the likelihood, c profiled out.

    Args:
        steps: Differences of the front's position from frame to frame, `[n]`, physical length.

    Returns:
        Standard deviations `(r, q)`, physical length.
    """
    scale = max(float(np.std(steps)), 1e-300)
    unit, one = steps / scale, np.ones(len(steps))

    def objective(log_sd: np.ndarray) -> float:
        r2, q2 = np.exp(2 * log_sd)
        banded = np.vstack([np.full(len(unit), -r2), np.full(len(unit), 2 * r2 + q2)])
        solved = solveh_banded(banded, np.column_stack([unit, one]))
        drift = (one @ solved[:, 0]) / (one @ solved[:, 1])
        # Eigenvalues of the tridiagonal Toeplitz matrix are known in closed form.
        angles = np.pi * np.arange(1, len(unit) + 1) / (len(unit) + 1)
        log_determinant = np.sum(np.log(2 * r2 * (1 - np.cos(angles)) + q2))
        return float(0.5 * log_determinant + 0.5 * (unit - drift) @ (solved[:, 0] - drift * solved[:, 1]))

    starts = [np.log([0.5, 0.5]), np.log([0.7, 0.1]), np.log([0.1, 0.9])]
    found = minimize(objective, min(starts, key=objective), method="Nelder-Mead", bounds=[(-8.0, 2.0)] * 2)
    return float(scale * np.exp(found.x[0])), float(scale * np.exp(found.x[1]))
