"""Frames of a window -> frames of a periodic domain around it, whose part beyond the window is a smooth bridge.

A window of a larger field has no boundary condition of its own: what enters it was beyond. Where the same PDE holds
there, all that is missing is the initial state beyond, which is as unknown as that within, and not observed. The bridge
is where a fit of that state begins; where nothing is fitted it is sampled, as a Gaussian field of the kind that the
window shows.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from scipy.linalg import cho_factor, cho_solve, solve_triangular

# Share of the variance by which a point of the window may be off: states are not quite as smooth as the sampled field.
NUGGET = 1e-6


def extend(frames: np.ndarray, share: float, *, dims: int) -> np.ndarray:
    """Continue frames beyond their last points, and around to the first.

    Of all periodic states that agree with the frame, the one with the smallest energy of its first three derivatives,
    over the length on which the frame varies: it continues the frame smoothly.

    Args:
        frames: `[..., *space]`, without gaps.
        share: Points beyond, per point within, along every axis; 0 leaves frames as they are.
        dims: Dimensions of space.

    Returns:
        `[..., *domain]`; the first points of every axis are those of the frames.
    """
    for axis in range(-dims, 0) if share else ():
        values = np.moveaxis(frames, axis, 0)
        points = scipy.fft.next_fast_len(math.ceil((1 + share) * len(values)), real=True)
        bridge = np.tensordot(_bridge(len(values), points, _length(values)), values, axes=1)
        frames = np.moveaxis(np.concatenate([values, bridge]), 0, axis)
    return frames


def sample_extension(states: np.ndarray, share: float, random: np.random.Generator | None, *, dims: int) -> np.ndarray:
    """Continue states beyond their last points, and around to the first, by draws from their conditional distribution.

    They are of a periodic Gaussian field with the mean, the deviation and the lengths of the states, given the states:
    a draw of the field, and the regression on its difference from each state [wilson2020]. Its covariance is a product
    over the axes, that of an axis has the spectrum (1 + (l k)^2)^-3, whose deviation over slope is sqrt(3) l.

    Args:
        states: `[draws, *space]`, float64, without gaps.
        share: Points beyond, per point within, along every axis; 0 leaves states as they are.
        random: Source of randomness; None gives the mean.
        dims: Dimensions of space.

    Returns:
        `[draws, *domain]`, float64; the first points of every axis are those of the states.
    """
    if not share:
        return states
    axes = range(-dims, 0)
    domain = [scipy.fft.next_fast_len(math.ceil((1 + share) * states.shape[a]), real=True) for a in axes]
    columns = [_covariance(n, _length(np.moveaxis(states, a, 0))) for n, a in zip(domain, axes, strict=True)]
    drawn = np.zeros((len(states), *domain))
    if random is not None:
        drawn = np.asarray(float(np.std(states)) * random.standard_normal(drawn.shape))
        for axis, column in zip(axes, columns, strict=True):
            root = np.sqrt(np.maximum(scipy.fft.rfft(column).real, 0.0))
            waves = scipy.fft.rfft(drawn, axis=axis) * np.expand_dims(root, tuple(range(1, -axis)))
            drawn = scipy.fft.irfft(waves, len(column), axis=axis)
    drawn += float(np.mean(states))
    window = (slice(None), *(slice(n) for n in states.shape[1:]))
    difference = states - drawn[window]
    for axis, column in zip(axes, columns, strict=True):
        onto = _regression(column, difference.shape[axis])
        difference = np.moveaxis(np.tensordot(onto, np.moveaxis(difference, axis, 0), axes=1), 0, axis)
    drawn += difference
    drawn[window] = states
    return drawn


def _covariance(points: int, length: float) -> np.ndarray:
    """Correlation with the first of the points of a periodic axis, `[points]`; `length` is deviation over slope."""
    waves = 2 * np.pi * scipy.fft.rfftfreq(points)
    column = scipy.fft.irfft((1 + (length * waves) ** 2 / 3) ** -3, points)
    return np.asarray(column / column[0])


def _regression(column: np.ndarray, given: int) -> np.ndarray:
    """Map from the first values of a periodic axis to all of them, `[points, given]`."""
    places = np.arange(len(column))
    covariance = column[(places[:, None] - places[:given]) % len(column)]
    known = covariance[:given] + NUGGET * np.eye(given)
    return np.asarray(cho_solve(cho_factor(known, lower=True), covariance.T).T)


def _length(values: np.ndarray) -> float:
    """Length on which values `[n, ...]` vary, in points: their deviation over their slope."""
    slope = math.sqrt(np.mean(np.diff(values, axis=0) ** 2))
    deviation = math.sqrt(np.mean(np.var(values, axis=0)))
    return float(np.clip(deviation / slope, 1.0, len(values))) if slope else 1.0


def _bridge(given: int, points: int, length: float) -> np.ndarray:
    """Map from the values within to those beyond, `[points - given, given]`."""
    waves = 2 * np.pi * scipy.fft.rfftfreq(points)
    column = scipy.fft.irfft(waves * (1 + (length * waves) ** 2), points)
    places = np.arange(points)
    # The root of the energy, and not the energy, whose condition is that of the root squared.
    root = column[(places[:, None] - places) % points]
    orthogonal, triangle = np.linalg.qr(root[:, given:])
    return np.asarray(solve_triangular(triangle, -orthogonal.T @ root[:, :given]))
