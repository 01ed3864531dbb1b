"""Residuals of the smooth field -> what noise is made of: white, shot or correlated pixels, or a jittering front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d, uniform_filter

from bayespde.core.errors import ConfigError
from bayespde.core.neighbours import neighbour_correlation
from bayespde.noise.front_jitter import CORRELATED, NEGLIGIBLE_NOISE, displacement, has_net_step, is_front
from bayespde.noise.pixels import correlated_noise, rough_scale, shot_noise

NOISE_KINDS = ("auto", "white", "shot", "correlated", "frame_jitter", "front_jitter")
# Reach of the filter that makes white noise correlated, in lags.
TAIL = 3
NEIGHBOURHOOD = 7
# Share of the field's spread below which residuals may be mostly the smoother's own error.
SMALL_NOISE = 0.03


@dataclass(frozen=True, eq=False)
class NoiseCovariance:
    """Noise of a field on the grid of its data.

    Attributes:
        pixel: Standard deviation of the noise per pixel, field shape; where missing, that of the neighbourhood.
        patterns: Slopes of the field that displacements of frames multiply, field shape each; none where frames stay.
        jitter: Standard deviation of the displacement of a frame along each of these, physical lengths.
        walk: Standard deviation of the step of the front's random walk per frame, physical length.
        gain: Growth of a pixel's noise variance with its value, units of the field; 0 unless there is shot noise.
        correlation: Per dimension, correlation of a pixel's noise with that of its neighbours, from lag 0; `[1.]` where
            pixels are independent. Empty if all are.
        seen: Share of the pixels around each that were seen, field shape, in (0, 1]; None if none is missing.
        kept: Share of the noise around that the values filled in for missing pixels repeat, where it is looked at.
    """

    pixel: np.ndarray
    patterns: tuple[np.ndarray, ...] = ()
    jitter: tuple[float, ...] = ()
    walk: float = 0.0
    gain: float = 0.0
    correlation: tuple[np.ndarray, ...] = ()
    seen: np.ndarray | None = None
    kept: float = 1.0

    @property
    def counted(self) -> np.ndarray:
        """Standard deviation as if no pixel were missing, field shape.

        A sum over n pixels, n s of them seen, has the noise of those plus what the n (1 - s) filled ones repeat of it:
        the variance of n s (1 + kept (1 - s) / s)^2. Filled from close by, kept = 1, that is n / s: what n s know.
        """
        if self.seen is None:
            return self.pixel
        return np.asarray(self.pixel * (self.seen + self.kept * (1 - self.seen)) / np.sqrt(self.seen))

    @property
    def kind(self) -> str:
        """`white`, `shot`, `correlated`, `displaced` or `front`."""
        if self.patterns:
            return "front_jitter" if self.walk else "frame_jitter"
        if self.correlation:
            return "correlated"
        return "shot" if self.gain else "white"

    def seen_by(self, bumps: np.ndarray, axis: int) -> np.ndarray:
        """Test functions of an axis as white noise would have to see them to be this noise, `[c, samples]`.

        Correlated noise is white noise passed through a filter. The filter is short beside all that varies in the
        smooth field, so that it may as well be passed over the test functions.
        """
        if not self.correlation or len(self.correlation[axis]) == 1:
            return bumps
        lags = self.correlation[axis]
        size = next_fast_len(bumps.shape[1] + 8 * len(lags), real=True)
        spectrum = 2 * rfft(lags, size).real - lags[0]
        seen = irfft(rfft(bumps, size) * np.sqrt(np.maximum(spectrum, 0.0)), size)[:, : bumps.shape[1]]
        # Tails are cut at one place for all derivatives of a bump: sums of them must remain covariances.
        near = maximum_filter1d((bumps != 0).astype(np.uint8), 1 + 2 * TAIL * (len(lags) - 1), axis=1, mode="constant")
        return seen * near


def estimate_noise(
    raw: np.ndarray,
    smooth: np.ndarray,
    slopes: tuple[np.ndarray, ...],
    noise_scale: float,
    kind: str,
    jitter: tuple[float, ...] = (),
) -> NoiseCovariance:
    """Decide what the noise is made of, and estimate it.

    Args:
        raw: The field, NaN where missing, `[time, (z, y,) x]`.
        smooth: The smooth field, same shape.
        slopes: Its derivatives along (z, y,) x, same shape each.
        noise_scale: Pixel noise of the smoother.
        kind: `white`; `shot`, a variance that grows linearly with the value; `correlated`, neighbours in space that
            hang together, independent from frame to frame; `displaced`, as `auto` with a jitter; `front`; or `auto`: a
            front where moving each frame explains how its residuals hang together; correlated where neighbours hang
            together otherwise; shot noise where the variance visibly grows; else white.
        jitter: Standard deviations of displacements of single frames that were taken back before, physical lengths.
            What was slow of them stayed, and is noise of the motion.

    Returns:
        The noise model.

    Raises:
        ConfigError: If `front` is asked for where no front's position can be measured.
    """
    missing = np.isnan(raw)
    residual = np.where(missing, 0.0, raw - smooth)
    slope = slopes[-1]
    if kind == "front_jitter":
        _check_front(raw, slope)
    if kind == "front_jitter" or (kind == "auto" and not jitter and is_front(raw, smooth, slope, noise_scale)):
        found = displacement(np.where(missing, smooth, raw), residual, slope, ~missing)
        front = NoiseCovariance(np.where(missing, 0.0, found.pixel), (slope,), (found.jitter,), found.walk)
        return _with_gaps(front, ~missing)
    kind = "auto" if kind == "frame_jitter" else kind
    pixels = _pixel_noise(np.where(missing, np.nan, residual), smooth, noise_scale, kind)
    return replace(pixels, patterns=slopes, jitter=jitter) if jitter else pixels


def noise_of(
    raw: np.ndarray,
    evaluate: Callable[[tuple[int, ...]], np.ndarray],
    noise_scale: float,
    kind: str,
    jitter: tuple[float, ...] = (),
) -> NoiseCovariance:
    """The same for a smooth field that can be evaluated; of its slopes those that are needed.

    Args:
        raw: The field, NaN where missing, `[time, (z, y,) x]`.
        evaluate: A derivative of the smooth field on its grid, by orders.
        noise_scale: Pixel noise of the smoother.
        kind: As for `estimate_noise`.
        jitter: As for `estimate_noise`.

    Returns:
        The noise model.
    """
    axes = range(1 if jitter else raw.ndim - 1, raw.ndim)
    slopes = tuple(evaluate(tuple(int(i == axis) for i in range(raw.ndim))) for axis in axes)
    return estimate_noise(raw, evaluate((0,) * raw.ndim), slopes, noise_scale, kind, jitter)


def _pixel_noise(residual: np.ndarray, smooth: np.ndarray, noise_scale: float, kind: str) -> NoiseCovariance:
    """Noise of the pixels themselves; it may hang together in space and grow with the value at once.

    Small residuals that hang together in time are mostly what the smoother missed: the noise is what changes quickly
    in them, and what it is made of cannot be seen.
    """
    seen, redundancy, spread = ~np.isnan(residual), 1.0, float(np.std(smooth))
    correlation: tuple[np.ndarray, ...] = ()
    is_noise = noise_scale > NEGLIGIBLE_NOISE * spread and abs(neighbour_correlation(residual, 0)) < CORRELATED
    if not is_noise and noise_scale < SMALL_NOISE * spread:
        noise_scale = min(noise_scale, rough_scale(residual))
    if kind == "correlated" or (kind == "auto" and is_noise):
        scale, lags = correlated_noise(residual)
        if any(len(c) > 1 for c in lags):
            noise_scale, correlation = scale, lags
            redundancy = float(np.prod([2 * np.sum(c**2) - 1 for c in lags]))
    pixel, gain = np.where(seen, noise_scale, 0.0), 0.0
    if kind == "shot" or (kind == "auto" and is_noise):
        variance, slope, is_visible = shot_noise(residual[seen], smooth[seen], redundancy=redundancy)
        if kind == "shot" or is_visible:
            # The smoother took up a little of every residual: its own noise level knows how much.
            pixel[seen], gain = noise_scale * np.sqrt(variance / max(float(variance.mean()), 1e-300)), slope
    return _with_gaps(NoiseCovariance(pixel, gain=gain, correlation=correlation), seen)


def _with_gaps(noise: NoiseCovariance, seen: np.ndarray) -> NoiseCovariance:
    """Give missing pixels the noise around them, deep inside a hole that of all, and note the share seen around."""
    if seen.all():
        return noise
    share, square = (
        uniform_filter(values, size=NEIGHBOURHOOD, mode="nearest") for values in (seen.astype(float), noise.pixel**2)
    )
    # Inside a hole the filter's running sums end near zero, on either side of it.
    is_near = share > 0.5 / NEIGHBOURHOOD**seen.ndim
    around = np.where(is_near, square / np.where(is_near, share, 1.0), np.mean(noise.pixel[seen] ** 2))
    pixel = np.where(seen, noise.pixel, np.sqrt(np.maximum(around, 0.0)))
    return replace(noise, pixel=pixel, seen=np.maximum(share, 1.0 / NEIGHBOURHOOD))


def _check_front(raw: np.ndarray, slope: np.ndarray) -> None:
    if raw.ndim != 2:
        raise ConfigError(
            "The noise of a front is modelled in one space dimension only.",
            got=f"{raw.ndim - 1} space dimensions",
            wanted="a field with dims time, x",
            fix="WeakForm(noise='white')",
        )
    if not has_net_step(slope):
        raise ConfigError(
            "The field has no front whose position could be measured.",
            got="a mean slope near zero: both ends of x have the same value",
            wanted="a field that differs between its two ends",
            fix="WeakForm(noise='white')",
        )
