"""A linear Gaussian state-space model -> its likelihood and smoothed states, by a Kalman filter in information form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class StateSpace(NamedTuple):
    """States `z` of `n` numbers at T times, of which every frame says something.

    Attributes:
        mean: Of the first state, `[n]`.
        covariance: Of the first state, `[n, n]`.
        transition: From every state to the next one, `[T - 1, n, n]`.
        shift: Added there, `[T - 1, n]`.
        process: Variance of the noise that is added there, per unit of its size, `[T - 1, n]`.
        information: Curvature of minus the log likelihood of every frame in its state, `[T, n, n]`.
        score: Slope of the log likelihood of every frame at the origin, `[T, n]`.
        misfit: Half the squared white residual at the origin, of all frames.
    """

    mean: np.ndarray
    covariance: np.ndarray
    transition: np.ndarray
    shift: np.ndarray
    process: np.ndarray
    information: np.ndarray
    score: np.ndarray
    misfit: float


class Filtered(NamedTuple):
    """Before each frame.

    Attributes:
        log_density: Of all frames, without the constant of their noise.
        mean: Of every state given the frames before it, `[T, n]`.
        covariance: Theirs, `[T, n, n]`.
        last: Covariance of the last state given all frames, `[n, n]`.
    """

    log_density: float
    mean: np.ndarray
    covariance: np.ndarray
    last: np.ndarray


def kalman_filter(model: StateSpace, variance: float) -> Filtered:
    """Run forwards [kalman1960]; `variance` is the size of the process noise."""
    frames, n = model.score.shape
    means, covariances = np.empty((frames, n)), np.empty((frames, n, n))
    mean, covariance, log_density = model.mean, model.covariance, -model.misfit
    for t in range(frames):
        means[t], covariances[t] = mean, covariance
        information, score = model.information[t], model.score[t] - model.information[t] @ mean
        spread = np.eye(n) + covariance @ information
        left = np.linalg.solve(spread, np.column_stack([covariance, covariance @ score]))
        updated, gain = (left[:, :n] + left[:, :n].T) / 2, left[:, n]
        log_density += float(model.score[t] @ mean - mean @ model.information[t] @ mean / 2 + score @ gain / 2)
        log_density -= float(np.linalg.slogdet(spread)[1]) / 2
        mean = mean + gain
        if t < frames - 1:
            forward = model.transition[t]
            mean = forward @ mean + model.shift[t]
            covariance = forward @ updated @ forward.T + variance * np.diag(model.process[t])
    return Filtered(log_density, means, covariances, updated)


def smoothed(model: StateSpace, found: Filtered) -> np.ndarray:
    """Mean of every state given all frames, `[T, n]`, without inverses of covariances [bierman1973]."""
    frames, n = model.score.shape
    means, ahead = np.empty((frames, n)), np.zeros(n)
    for t in range(frames - 1, -1, -1):
        information = model.information[t]
        score = model.score[t] - information @ found.mean[t]
        ahead = np.linalg.solve(np.eye(n) + information @ found.covariance[t], ahead + score)
        means[t] = found.mean[t] + found.covariance[t] @ ahead
        if t:
            ahead = model.transition[t - 1].T @ ahead
    return means
