"""Residuals of the smooth field -> what the noise is made of: white pixels, or a front that jitters and wanders.

A front recorded frame by frame is displaced by scan jitter j_t, independent between frames, and may itself wander as a
random walk w_t. Both move the field by -(displacement) u_x: noise of rank one per frame, which no average over space
removes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded
from scipy.optimize import minimize

from bayespde.core.errors import ConfigError

CORRELATED = 0.3
NET_STEP = 0.5


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise of a field on the grid of its data.

    Attributes:
        pixel: Standard deviation of independent noise per pixel, field shape, 0 where a pixel is missing.
        pattern: Slope of the field along x, field shape, which displacement multiplies; None for white noise.
        jitter: Standard deviation of the displacement of a frame, physical length.
        walk: Standard deviation of the step of the front's random walk per frame, physical length.
    """

    pixel: np.ndarray
    pattern: np.ndarray | None = None
    jitter: float = 0.0
    walk: float = 0.0

    @property
    def kind(self) -> str:
        """`white` or `front`."""
        return "white" if self.pattern is None else "front"


def estimate_noise(
    raw: np.ndarray, smooth: np.ndarray, slope: np.ndarray, spacing: float, noise_scale: float, kind: str
) -> NoiseModel:
    """Decide what the noise is made of, and estimate it.

    Args:
        raw: The field, NaN where missing, `[time, (z, y,) x]`.
        smooth: The smooth field, same shape.
        slope: Its derivative along x, same shape.
        spacing: Grid step along x.
        noise_scale: Pixel noise of the smoother.
        kind: `white`, `front`, or `auto`: a front where residuals of a frame hang together along x, the field has one
            space dimension, and its two ends differ, so that the mean of a frame measures the front's position.

    Returns:
        The noise model.

    Raises:
        ConfigError: If `front` is asked for where no front's position can be measured.
    """
    missing = np.isnan(raw)
    white = NoiseModel(np.where(missing, 0.0, noise_scale))
    residual = np.where(missing, 0.0, raw - smooth)
    if kind == "front" and raw.ndim != 2:
        raise ConfigError(
            "The noise of a front is modelled in one space dimension only.",
            got=f"{raw.ndim - 1} space dimensions",
            wanted="a field with dims time, x",
            fix="Weak(noise='white')",
        )
    if kind == "white" or raw.ndim != 2 or not np.any(residual):
        return white
    along = float(np.sum(residual[:, 1:] * residual[:, :-1]) / np.sum(residual**2))
    step = float(np.mean(slope.sum(axis=1))) * spacing
    has_net_step = abs(step) > NET_STEP * float(np.mean(np.abs(slope).sum(axis=1))) * spacing
    if kind == "auto" and not (along > CORRELATED and has_net_step and noise_scale > 1e-3 * np.nanstd(raw)):
        return white
    if not has_net_step:
        raise ConfigError(
            "The field has no front whose position could be measured.",
            got=f"net step {step:.3g} between its ends",
            wanted="a field that differs between its two ends",
            fix="Weak(noise='white')",
        )
    position = -np.where(missing, smooth, raw).sum(axis=1) * spacing / step
    jitter, walk = jitter_and_walk(np.diff(position))
    shift = np.sum(residual * slope, axis=1) / np.maximum(np.sum(slope**2, axis=1), 1e-300)
    rest = residual - shift[:, None] * slope
    return NoiseModel(np.where(missing, 0.0, float(np.sqrt(np.mean(rest**2)))), slope, jitter, walk)


def jitter_and_walk(steps: np.ndarray) -> tuple[float, float]:
    """Split the scatter of position steps into jitter (differenced white noise) and a random walk.

    The steps of constant drift c plus walk q plus differenced jitter r have mean c and the tridiagonal covariance
    (2 r^2 + q^2) on, -r^2 beside the diagonal. r and q maximise the likelihood, c profiled out.

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
