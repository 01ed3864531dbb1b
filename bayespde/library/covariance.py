"""Residuals of the smooth field -> what the noise is made of: white pixels, shot noise, or a front that jitters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayespde.core.errors import ConfigError
from bayespde.library.front import displacement, has_net_step, moves_as_a_whole

NOISE_KINDS = ("auto", "white", "shot", "front")
STANDARD_ERRORS = 5.0
NOTICEABLE_RATIO = 1.5
SMALLEST_SHARE = 0.05
REWEIGHTINGS = 5


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise of a field on the grid of its data.

    Attributes:
        pixel: Standard deviation of independent noise per pixel, field shape, 0 where a pixel is missing.
        pattern: Slope of the field along x, field shape, which displacement multiplies; None for white noise.
        jitter: Standard deviation of the displacement of a frame, physical length.
        walk: Standard deviation of the step of the front's random walk per frame, physical length.
        gain: Growth of a pixel's noise variance with its value, units of the field; 0 unless there is shot noise.
    """

    pixel: np.ndarray
    pattern: np.ndarray | None = None
    jitter: float = 0.0
    walk: float = 0.0
    gain: float = 0.0

    @property
    def kind(self) -> str:
        """`white`, `shot` or `front`."""
        if self.pattern is not None:
            return "front"
        return "shot" if self.gain else "white"


def estimate_noise(raw: np.ndarray, smooth: np.ndarray, slope: np.ndarray, noise_scale: float, kind: str) -> NoiseModel:
    """Decide what the noise is made of, and estimate it.

    Args:
        raw: The field, NaN where missing, `[time, (z, y,) x]`.
        smooth: The smooth field, same shape.
        slope: Its derivative along x, same shape.
        noise_scale: Pixel noise of the smoother.
        kind: `white`; `shot`, a variance that grows linearly with the value; `front`; or `auto`: a front where the
            residuals of a frame hang together along x, the field has one space dimension, and its two ends differ;
            shot noise where they do not hang together and their variance visibly grows; else white.

    Returns:
        The noise model.

    Raises:
        ConfigError: If `front` is asked for where no front's position can be measured.
    """
    missing = np.isnan(raw)
    residual = np.where(missing, 0.0, raw - smooth)
    if kind == "front":
        _check_front(raw, slope)
    moves = moves_as_a_whole(residual, float(np.nanstd(raw)), noise_scale)
    if kind == "front" or (kind == "auto" and raw.ndim == 2 and has_net_step(slope) and moves):
        found = displacement(np.where(missing, smooth, raw), residual, slope)
        return NoiseModel(np.where(missing, 0.0, found.pixel), slope, found.jitter, found.walk)
    if kind == "shot" or (kind == "auto" and not moves):
        variance, gain, is_visible = shot_noise(residual[~missing], smooth[~missing])
        if kind == "shot" or is_visible:
            pixel = np.zeros(raw.shape)
            # The smoother took up a little of every residual: its own noise level knows how much.
            pixel[~missing] = noise_scale * np.sqrt(variance / max(float(variance.mean()), 1e-300))
            return NoiseModel(pixel, gain=gain)
    return NoiseModel(np.where(missing, 0.0, noise_scale))


def shot_noise(residual: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """Fit a noise variance that is linear in the value: counts of electrons on top of a constant.

    The variance a + b v is fitted to squared residuals, which scatter in proportion to it, by reweighted least squares.

    Args:
        residual: `[n]`.
        value: Of the smooth field at the same pixels, `[n]`.

    Returns:
        The variance at every pixel `[n]`, at least a twentieth of its mean; the gain b; and whether the growth is
        visible: five standard errors, and a ratio of at least 1.5 between the brighter and the darker parts.
    """
    square, centred = residual**2, value - value.mean()
    mean = float(square.mean())
    variance, gain, error = np.full(len(square), mean), 0.0, np.inf
    if not mean > 0 or not np.ptp(value) > 0:
        return variance, 0.0, False
    for _ in range(REWEIGHTINGS):
        weight = 1.0 / variance**2
        middle = np.average(centred, weights=weight)
        offset = np.average(square, weights=weight)
        spread = float(np.sum(weight * (centred - middle) ** 2))
        gain = float(np.sum(weight * (centred - middle) * square)) / spread
        error = float(np.sqrt(2.0 / spread))
        variance = np.maximum(offset + gain * (centred - middle), SMALLEST_SHARE * mean)
    dark, bright = np.quantile(variance, [0.05, 0.95])
    return variance, gain, bool(gain > STANDARD_ERRORS * error and bright > NOTICEABLE_RATIO * dark)


def _check_front(raw: np.ndarray, slope: np.ndarray) -> None:
    if raw.ndim != 2:
        raise ConfigError(
            "The noise of a front is modelled in one space dimension only.",
            got=f"{raw.ndim - 1} space dimensions",
            wanted="a field with dims time, x",
            fix="Weak(noise='white')",
        )
    if not has_net_step(slope):
        raise ConfigError(
            "The field has no front whose position could be measured.",
            got="a mean slope near zero: both ends of x have the same value",
            wanted="a field that differs between its two ends",
            fix="Weak(noise='white')",
        )
