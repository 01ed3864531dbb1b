"""FIELD WITH FRAME JITTER + SPLINE -> REGISTERED FIELD, its spline, and the jitter.

A recorded frame is y(x) = u(x + d) + e with a displacement d of its own. Smoothing the frames without registration
blurs the field, by half the variance of d times its second derivative. So displacements are fitted to the spline frame
by frame, and the change that they cause is subtracted, `y - [S(x + d) - S(x)]`, which leaves the noise of the pixels
unchanged: nothing is interpolated. The two steps are repeated until the displacements converge.

Displacements that vary slowly compared with the spline cannot be distinguished from motion of the field. They stay in
it, as noise of its motion; the jitter, a standard deviation, gives the size of that noise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.neighbours import neighbour_correlation
from bayespde.noise.frame_jitter import first_orders, regression, residual_and_gradient
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import CORRELATED, NEGLIGIBLE_NOISE, fit_spline
from bayespde.smooth.spline.fitted import SplineFit

# Share of the squared residuals that displacements must explain, and its ratio to the share of a shifted gradient.
EXPLAINED, LIKELIER = 0.1, 3.0
# Shifts of that gradient, in shares of the frame's size: several, for the gradient of a wave shifted by half a
# wavelength is its own opposite.
SHIFTS = (0.12, 0.19, 0.31, 0.44)
# Correlation of displacements from frame to frame above which they are motion, and the fewest frames that show it.
INDEPENDENT, MIN_FRAMES = 0.5, 8
MAX_ITERATIONS = 10
# Change of the displacements, relative to their scatter, at which iteration stops, and at which it has converged.
STOP, CONVERGED = 1e-3, 0.03
REWEIGHTINGS = 20


class Registered(NamedTuple):
    """A field whose frames are in place.

    Attributes:
        field: The field, each frame less the change by its displacement.
        spline: The spline of it.
        displacements: Of every frame, `[time, axis]`, physical lengths: the frame shows u(x + d).
        jitter: Standard deviation of the displacements per axis, `[axis]`, physical lengths.
        settled: Whether displacements and spline converged, and the noise decreased.
    """

    field: xr.DataArray
    spline: SplineFit
    displacements: np.ndarray
    jitter: tuple[float, ...]
    settled: bool


def is_displaced(field: xr.DataArray, spline: SplineFit) -> bool:
    """Whether displacements of whole frames, independent from frame to frame, explain much of the residuals.

    Noise that is correlated between neighbours resembles the gradient by chance, and a shifted gradient as much. A
    spline that lags behind a motion leaves displacements that are correlated from frame to frame.
    """
    if len(field) < MIN_FRAMES or not spline.noise_scale > NEGLIGIBLE_NOISE * spline.scales.amplitude:
        return False
    residual, gradient = residual_and_gradient(field.values, [spline.evaluate(o) for o in first_orders(field.ndim)])
    found = regression(residual, gradient)
    chance = found.steps.size / residual.size
    z = found.steps / np.maximum(np.sqrt(_variance(np.linalg.pinv(found.normal, hermitian=True))), 1e-300)
    is_motion = np.sum(z[1:] * z[:-1]) > INDEPENDENT * np.sum(z**2)
    if found.share - chance < EXPLAINED or is_motion:
        return False
    axes, places = tuple(range(1, field.ndim)), np.array(field.shape[1:])
    shifted = (np.roll(gradient, (places * part).astype(int), axis=axes) for part in SHIFTS)
    by_chance = min(regression(residual, other).share for other in shifted) - chance
    return bool(found.share - chance > LIKELIER * by_chance) or _decorrelates(residual, gradient, found.steps)


def _decorrelates(residual: np.ndarray, gradient: np.ndarray, steps: np.ndarray) -> bool:
    """Whether residuals are correlated in space, and much less without the displacements."""
    moved = np.einsum("t...i,ti->t...", gradient, steps)
    before, after = (
        min(neighbour_correlation(values, axis) for axis in range(1, residual.ndim))
        for values in (residual, residual - moved)
    )
    return before > CORRELATED and after < before / LIKELIER


def register_if_jittering(
    field: xr.DataArray, *, config: SplineConfig, spline: SplineFit, is_known: bool = False
) -> Registered:
    """Register the frames of a field if they are displaced; else return it unchanged, without jitter.

    Args:
        field: A checked field; NaN are missing.
        config: Of the splines.
        spline: Of the field before registration.
        is_known: Whether frames are known to be displaced, so that this is not tested.

    Returns:
        The field, on the same grid.
    """
    if is_known or is_displaced(field, spline):
        found = register(field, config=config, spline=spline)
        if any(found.jitter):
            return found
    return Registered(field, spline, np.zeros((len(field), field.ndim - 1)), (), settled=True)


def register(field: xr.DataArray, *, config: SplineConfig, spline: SplineFit) -> Registered:
    """Estimate the displacement of every frame and undo it.

    Args:
        field: A checked field; NaN are missing.
        config: Of the splines; pixels are held out, whatever it sets, for in registered frames they are independent.
        spline: Of the field before registration.

    Returns:
        The registered field, on the same grid.
    """
    config, moved = replace(config, hold_out="pixels"), np.zeros((len(field), field.ndim - 1))
    first, step = spline.noise_scale, np.inf
    for _ in range(MAX_ITERATIONS):
        before, (moved, jitter) = moved, _displacements(field, spline, moved)
        registered = field.copy(
            data=field.values - _displaced(field, spline, moved)[0] + spline.evaluate((0,) * field.ndim)
        )
        spline = fit_spline(registered, config=config)
        step = float(np.sqrt(np.mean((moved - before) ** 2)) / max(float(np.sqrt(np.mean(moved**2))), 1e-300))
        if step <= STOP:
            break
    settled = step <= CONVERGED and spline.noise_scale < first
    return Registered(registered, spline, moved, tuple(map(float, jitter)), bool(settled))


def _displaced(field: xr.DataArray, spline: SplineFit, moved: np.ndarray) -> list[np.ndarray]:
    """The spline and its gradient at the displaced positions of every frame, field shape each."""
    time, *space = (field[d].values for d in field.dims)
    frames = []
    for t, shift in zip(time, moved, strict=True):
        places = (np.array([t]), *(x + s for x, s in zip(space, shift, strict=True)))
        frames.append([spline.evaluate(o, places)[0] for o in first_orders(field.ndim)])
    return [np.stack(parts) for parts in zip(*frames, strict=True)]


def _variance(inverse: np.ndarray) -> np.ndarray:
    """Of displacements, `[time, axis]`, by the inverse of their normal equations, `[time, axis, axis]`."""
    return np.diagonal(inverse, axis1=1, axis2=2)


def _displacements(field: xr.DataArray, spline: SplineFit, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An update of all displacements, under a normal prior with their jitter, and that jitter, `[axis]`."""
    found = regression(*residual_and_gradient(field.values, _displaced(field, spline, moved)))
    normal = found.normal / spline.noise_scale**2
    moment = found.moment / spline.noise_scale**2 + np.einsum("tij,tj->ti", normal, moved)
    inverse = np.linalg.pinv(normal, hermitian=True)
    alone = np.einsum("tij,tj->ti", inverse, moment)
    jitter = _jitter(alone, _variance(inverse))
    prior = np.diag(1.0 / np.maximum(jitter, 1e-150) ** 2)
    return np.einsum("tij,tj->ti", np.linalg.inv(normal + prior), moment), jitter


def _jitter(displacements: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Standard deviation of independent displacements, `[axis]`, from those of single frames and their variances.

    From differences of consecutive frames, weighted by their precision: slow displacements stayed in the spline.
    """
    square, known = np.diff(displacements, axis=0) ** 2 / 2, (error[1:] + error[:-1]) / 2
    determined = known > 0
    variance = np.median(np.where(determined, square, 0.0), axis=0)
    for _ in range(REWEIGHTINGS):
        weight = np.where(determined, 1.0 / np.maximum(variance + known, 1e-300) ** 2, 0.0)
        variance = np.maximum(np.sum(weight * (square - known), axis=0) / np.maximum(weight.sum(axis=0), 1e-300), 0.0)
    return np.asarray(np.sqrt(variance))
