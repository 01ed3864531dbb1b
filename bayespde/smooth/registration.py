"""A field whose frames jitter + its spline -> frames put back where they belong, the spline of these, and the jitter.

A recorded frame is y(x) = u(x + d) + e with a displacement d of its own. Smoothing the frames as they are blurs the
field, by half the variance of d times its second derivative. So displacements are fitted to the spline frame by frame,
and what they change is subtracted, `y - [S(x + d) - S(x)]`, which leaves the noise of the pixels as it is: nothing is
interpolated. The two steps are repeated until the displacements stay.

Displacements that are slow beside the spline cannot be told from motion of the field, stay in it, and are a noise of
whoever looks at its motion; of that the jitter, a standard deviation, says how large it is.
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

# Share of the squared residuals that displacements must explain, and how often that of a gradient from elsewhere.
EXPLAINED, LIKELIER = 0.1, 3.0
# Shares of the frame's size; the gradient of a wave is its own opposite half a wave further.
ELSEWHERE = (0.12, 0.19, 0.31, 0.44)
# Correlation from frame to frame above which they are no jitter.
INDEPENDENT, FEWEST_FRAMES = 0.5, 8
ROUNDS = 10
# Change of the displacements, over what they scatter, at which they have settled, and at which they nearly have.
SETTLED, NEARLY = 1e-3, 0.03
REWEIGHTINGS = 20


class Registered(NamedTuple):
    """Frames where they belong.

    Attributes:
        field: The field, each frame less what its displacement changes.
        spline: The spline of it.
        displacements: Of every frame, `[time, axis]`, physical lengths: the frame shows u(x + d).
        jitter: Standard deviation of the displacements per axis, `[axis]`, physical lengths.
        settled: Whether displacements and spline had stopped changing, and the noise fell on the way.
    """

    field: xr.DataArray
    spline: SplineFit
    displacements: np.ndarray
    jitter: tuple[float, ...]
    settled: bool


def is_displaced(field: xr.DataArray, spline: SplineFit) -> bool:
    """Whether much of what the spline leaves is frames that are displaced as a whole, each on its own.

    Noise that a detector has spread over neighbours resembles the gradient by chance, and resembles the gradient from
    elsewhere in the frame as much. A spline that lags behind a motion leaves displacements that go on from frame to
    frame.
    """
    if len(field) < FEWEST_FRAMES or not spline.noise_scale > NEGLIGIBLE_NOISE * spline.scales.amplitude:
        return False
    residual, gradient = residual_and_gradient(field.values, [spline.evaluate(o) for o in first_orders(field.ndim)])
    found = regression(residual, gradient)
    chance = found.steps.size / residual.size
    z = found.steps / np.maximum(np.sqrt(_variance(np.linalg.pinv(found.normal, hermitian=True))), 1e-300)
    follows = np.sum(z[1:] * z[:-1]) > INDEPENDENT * np.sum(z**2)
    if found.share - chance < EXPLAINED or follows:
        return False
    axes, places = tuple(range(1, field.ndim)), np.array(field.shape[1:])
    elsewhere = (np.roll(gradient, (places * part).astype(int), axis=axes) for part in ELSEWHERE)
    by_chance = min(regression(residual, other).share for other in elsewhere) - chance
    return bool(found.share - chance > LIKELIER * by_chance) or _is_all(residual, gradient, found.steps)


def _is_all(residual: np.ndarray, gradient: np.ndarray, steps: np.ndarray) -> bool:
    """Whether residuals hang together in space, and hardly do without their displacements."""
    moved = np.einsum("t...i,ti->t...", gradient, steps)
    before, after = (
        min(neighbour_correlation(values, axis) for axis in range(1, residual.ndim))
        for values in (residual, residual - moved)
    )
    return before > CORRELATED and after < before / LIKELIER


def register_if_jittering(
    field: xr.DataArray, *, config: SplineConfig, spline: SplineFit, is_known: bool = False
) -> Registered:
    """The field with its frames put back if they are displaced, and as it is, without jitter, if not.

    Args:
        field: A checked field; NaN are missing.
        config: Of the splines.
        spline: Of the field as it is.
        is_known: Whether frames are displaced for certain, so that it need not be seen.

    Returns:
        The field at rest, on the same grid.
    """
    if is_known or is_displaced(field, spline):
        found = register(field, config=config, spline=spline)
        if any(found.jitter):
            return found
    return Registered(field, spline, np.zeros((len(field), field.ndim - 1)), (), settled=True)


def register(field: xr.DataArray, *, config: SplineConfig, spline: SplineFit) -> Registered:
    """Estimate the displacement of every frame and take it back.

    Args:
        field: A checked field; NaN are missing.
        config: Of the splines; pixels are held out, whatever it says, for with frames in place these are independent.
        spline: Of the field as it is.

    Returns:
        The aligned field, on the same grid.
    """
    config, moved = replace(config, hold_out="pixels"), np.zeros((len(field), field.ndim - 1))
    first, step = spline.noise_scale, np.inf
    for _ in range(ROUNDS):
        before, (moved, jitter) = moved, _displacements(field, spline, moved)
        aligned = field.copy(
            data=field.values - _displaced(field, spline, moved)[0] + spline.evaluate((0,) * field.ndim)
        )
        spline = fit_spline(aligned, config=config)
        step = float(np.sqrt(np.mean((moved - before) ** 2)) / max(float(np.sqrt(np.mean(moved**2))), 1e-300))
        if step <= SETTLED:
            break
    settled = step <= NEARLY and spline.noise_scale < first
    return Registered(aligned, spline, moved, tuple(map(float, jitter)), bool(settled))


def _displaced(field: xr.DataArray, spline: SplineFit, moved: np.ndarray) -> list[np.ndarray]:
    """The spline and its gradient where every frame was really taken, field shape each."""
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
    """A better estimate of all displacements, normal with the jitter that they show, and that jitter, `[axis]`."""
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

    From differences of consecutive frames, weighted by what they say: what is slow stayed in the spline.
    """
    square, known = np.diff(displacements, axis=0) ** 2 / 2, (error[1:] + error[:-1]) / 2
    seen = known > 0
    variance = np.median(np.where(seen, square, 0.0), axis=0)
    for _ in range(REWEIGHTINGS):
        weight = np.where(seen, 1.0 / np.maximum(variance + known, 1e-300) ** 2, 0.0)
        variance = np.maximum(np.sum(weight * (square - known), axis=0) / np.maximum(weight.sum(axis=0), 1e-300), 0.0)
    return np.asarray(np.sqrt(variance))
