"""Frames of a window -> frames of a periodic domain around it, whose part beyond the window is as smooth.

A window of a larger field has no boundary condition of its own: what enters it was beyond. Where the same PDE holds
there, all that is missing is the initial state beyond, which is as unknown as that within, and not observed. It is
taken for a Gaussian field of the kind that the window shows: its mean is where a fit of that state begins; where
nothing is fitted it is sampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.fft
from scipy.linalg import cho_factor, cho_solve

from bayespde.solve.resolution import along_each

# Share of the variance by which a point of the window may be off: slopes at the edges of a smoothed frame are hardly
# known, and must not be extrapolated.
NUGGET = 1e-2
# What is left of the frame is continued over a few points only: length on which it varies, and its own share.
REMAINDER, EXACT = 2.0, 1e-6


def extend(states: np.ndarray, share: float, *, dims: int) -> np.ndarray:
    """Continue states smoothly beyond their last points, and around to the first: where the fit of one begins.

    The mean of a periodic Gaussian field given the states, in which every point may be off [wilson2020]. Its covariance
    is a product over the axes; that of an axis has the spectrum (1 + (l k)^2)^-3, where sqrt(3) l is the length on
    which the states vary, their deviation over their slope.

    Args:
        states: `[draws, *space]`, float64, without gaps.
        share: Points beyond, per point within, along every axis; 0 leaves states as they are.
        dims: Dimensions of space.

    Returns:
        `[draws, *domain]`, float64; the first points of every axis are those of the states, smoothed.
    """
    if not share:
        return states
    mean, columns = float(np.mean(states)), _field_covariance(states, share, dims)
    return mean + along_each(states - mean, _regressions(columns, states.shape[1:], NUGGET))


def sample_extension(states: np.ndarray, share: float, random: np.random.Generator | None, *, dims: int) -> np.ndarray:
    """Continue states, which stay as they are, by draws from the conditional distribution of that field.

    A draw of the field, and the regression on its difference from each state [wilson2020]; what that leaves of the
    difference is continued over a few points.

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
    columns, given = _field_covariance(states, share, dims), states.shape[1:]
    domain = [len(c) for c in columns]
    found = np.zeros((len(states), *domain))
    if random is not None:
        found = np.asarray(float(np.std(states)) * random.standard_normal(found.shape))
        for axis, column in zip(range(-dims, 0), columns, strict=True):
            root = np.sqrt(np.maximum(scipy.fft.rfft(column).real, 0.0))
            waves = scipy.fft.rfft(found, axis=axis) * np.expand_dims(root, tuple(range(1, -axis)))
            found = scipy.fft.irfft(waves, len(column), axis=axis)
    found += float(np.mean(states))
    window = (slice(None), *(slice(n) for n in given))
    found += along_each(states - found[window], _regressions(columns, given, NUGGET))
    short = [_covariance(n, REMAINDER) for n in domain]
    found += along_each(states - found[window], _regressions(short, given, EXACT))
    found[window] = states
    return found


def _field_covariance(states: np.ndarray, share: float, dims: int) -> list[np.ndarray]:
    """Correlation with the first point of the domain, along every axis, of a field that varies as the states do."""
    points = [scipy.fft.next_fast_len(math.ceil((1 + share) * n), real=True) for n in states.shape[1:]]
    lengths = [_length(np.moveaxis(states, axis, 0)) for axis in range(-dims, 0)]
    return [_covariance(n, length) for n, length in zip(points, lengths, strict=True)]


def _covariance(points: int, length: float) -> np.ndarray:
    """Correlation with the first of the points of a periodic axis, `[points]`; `length` is deviation over slope."""
    waves = 2 * np.pi * scipy.fft.rfftfreq(points)
    column = scipy.fft.irfft((1 + (length * waves) ** 2 / 3) ** -3, points)
    return np.asarray(column / column[0])


def _regressions(columns: Sequence[np.ndarray], given: Sequence[int], nugget: float) -> list[np.ndarray]:
    """Along every axis, the map from its first values to all of them, `[points, given]`."""
    return [_regression(column, n, nugget) for column, n in zip(columns, given, strict=True)]


def _regression(column: np.ndarray, given: int, nugget: float) -> np.ndarray:
    """Map from the first values of a periodic axis to all of them, `[points, given]`."""
    places = np.arange(len(column))
    covariance = column[(places[:, None] - places[:given]) % len(column)]
    known = covariance[:given] + nugget * np.eye(given)
    return np.asarray(cho_solve(cho_factor(known, lower=True), covariance.T).T)


def _length(values: np.ndarray) -> float:
    """Length on which values `[n, ...]` vary, in points: their deviation over their slope."""
    slope = math.sqrt(np.mean(np.diff(values, axis=0) ** 2))
    deviation = math.sqrt(np.mean(np.var(values, axis=0)))
    return float(np.clip(deviation / slope, 1.0, len(values))) if slope else 1.0
