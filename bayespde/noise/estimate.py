"""Residuals of a smoothed field -> its `NoiseModel`: pixel noise, white or not, and frame or front jitter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter

from bayespde.core.errors import ConfigError
from bayespde.core.neighbours import neighbour_correlation
from bayespde.core.noise import NoiseModel
from bayespde.noise.correlated import correlated_noise, rough_scale
from bayespde.noise.front_jitter import CORRELATED, NEGLIGIBLE_NOISE, estimate_front_jitter, has_net_step, is_front
from bayespde.noise.variance_functions import VARIANCE_FUNCTIONS, choose_variance

# Width of the box over which the share of seen pixels is taken, samples.
NEIGHBOURHOOD = 7
# Share of the field's standard deviation below which residuals may be mostly the error of the smoother.
SMALL_NOISE = 0.03


def estimate_noise(
    raw: np.ndarray,
    evaluate: Callable[[tuple[int, ...]], np.ndarray],
    noise_scale: float,
    *,
    kind: str,
    jitter: tuple[float, ...] = (),
) -> NoiseModel:
    """Choose the kind of noise from the residuals, and estimate it.

    Args:
        raw: The field, NaN where missing, `[time, (z, y,) x]`.
        evaluate: A derivative of the smoothed field on its grid, by orders.
        noise_scale: Pixel noise of the smoother.
        kind: `white`; a name in `VARIANCE_FUNCTIONS`, such as `shot`, a variance that grows linearly with the value;
            `correlated`, neighbours in space are correlated, frames are independent; `frame_jitter`, as `auto` with
            `jitter`; `front_jitter`; or `auto`: front jitter where displacing each frame explains the correlation of
            its residuals, correlated where neighbours are correlated otherwise, the function that the variance of a
            pixel visibly follows if there is one, else white.
        jitter: Standard deviations of displacements of single frames that registration has removed, per axis of space,
            physical lengths. Their slow part stayed, and is noise of the motion.

    Returns:
        The noise model.

    Raises:
        ConfigError: If front jitter is asked for where the position of a front cannot be measured.
    """
    missing, smooth = np.isnan(raw), evaluate((0,) * raw.ndim)
    residual = np.where(missing, 0.0, raw - smooth)
    if kind == "front_jitter" or (kind == "auto" and not jitter and raw.ndim == 2):
        slope = evaluate((0,) * (raw.ndim - 1) + (1,))
        if kind == "front_jitter":
            _check_front(raw, slope)
        if kind == "front_jitter" or is_front(raw, smooth, slope, noise_scale):
            found = estimate_front_jitter(np.where(missing, smooth, raw), residual, slope, ~missing)
            sd = np.where(missing, 0.0, found.pixel)
            return _with_gaps(NoiseModel(sd, jitter=(found.jitter,), walk=found.walk), ~missing)
    kind = "auto" if kind == "frame_jitter" else kind
    return replace(_pixel_noise(np.where(missing, np.nan, residual), smooth, noise_scale, kind), jitter=jitter)


def _pixel_noise(residual: np.ndarray, smooth: np.ndarray, noise_scale: float, kind: str) -> NoiseModel:
    """Noise of the pixels themselves; it may be correlated in space and differ between pixels at once.

    Small residuals that are correlated in time are mostly the error of the smoother: the noise is then what changes
    quickly in them, and its kind cannot be told.
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
    noise = NoiseModel(np.where(seen, noise_scale, 0.0), correlation)
    may_differ = kind in VARIANCE_FUNCTIONS or (kind == "auto" and is_noise)
    if may_differ and (chosen := choose_variance(residual, smooth, kind=kind, redundancy=redundancy)):
        name, fitted = chosen
        mean = max(float(fitted.variance[seen].mean()), 1e-300)
        # The smoother removes a little of every residual; its own noise level accounts for that.
        sd = np.where(seen, noise_scale * np.sqrt(fitted.variance / mean), 0.0)
        noise = replace(noise, sd=sd, variance_function=name, parameters=fitted.parameters)
    return _with_gaps(noise, seen)


def _with_gaps(noise: NoiseModel, seen: np.ndarray) -> NoiseModel:
    """Give missing pixels the noise around them, deep inside a hole that of all, and record the share seen around."""
    if seen.all():
        return noise
    sd = np.asarray(noise.sd)
    share, square = (uniform_filter(v, size=NEIGHBOURHOOD, mode="nearest") for v in (seen.astype(float), sd**2))
    # Inside a hole the filter's running sums end near zero, on either side of it.
    is_near = share > 0.5 / NEIGHBOURHOOD**seen.ndim
    around = np.where(is_near, square / np.where(is_near, share, 1.0), np.mean(sd[seen] ** 2))
    filled = np.where(seen, sd, np.sqrt(np.maximum(around, 0.0)))
    return replace(noise, sd=filled, seen_share=np.maximum(share, 1.0 / NEIGHBOURHOOD))


def _check_front(raw: np.ndarray, slope: np.ndarray) -> None:
    if raw.ndim != 2:
        raise ConfigError(
            "Front jitter is modelled in one space dimension only.",
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
