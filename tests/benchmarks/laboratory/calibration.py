"""Probabilities and what was true, over independent experiments -> whether they mean what they say, with errors.

Probabilities of one experiment hang together: standard errors are those of sums over experiments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Probabilities nearer to 0 or 1 are judged by the scores only: hardly any experiment could tell .99 from .999.
MIDDLE = (0.02, 0.98)
# Probabilities for a slope.
FEWEST = 20
STEPS = 50


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


class Calibration(NamedTuple):
    """How probabilities in the middle compare with the truth.

    Attributes:
        count: How many there are.
        excess: Mean of probability less truth; 0 is right.
        slope: Of the log odds of the truth over those that were claimed; 1 is right, less is overconfident.
        bins: Mean probability, mean truth and count of the probabilities of each bin, `[n, 3]`.
    """

    count: int
    excess: Estimate
    slope: Estimate
    bins: np.ndarray


def mean_of(values: np.ndarray, experiment: np.ndarray) -> Estimate:
    """Mean over everything, its error by the scatter of experiments.

    Args:
        values: `[n]`.
        experiment: Which experiment each belongs to, `[n]`.
    """
    if not len(values):
        return Estimate(np.nan, np.nan)
    _, group = np.unique(experiment, return_inverse=True)
    mean, count = float(np.mean(values)), int(group.max()) + 1
    sums = np.bincount(group, values - mean)
    return Estimate(mean, float(np.sqrt(np.sum(sums**2) * count / max(count - 1, 1)) / len(values)))


def calibration(probability: np.ndarray, truth: np.ndarray, experiment: np.ndarray, *, bins: int = 6) -> Calibration:
    """ModelPosterior the probabilities in the middle.

    The slope is that of the logistic regression of the truth on the claimed log odds [cox1958].

    Args:
        probability: `[n]`.
        truth: `[n]`, bool.
        experiment: `[n]`.
        bins: Of the reliability diagram, of about as many probabilities each.
    """
    middle = (probability > MIDDLE[0]) & (probability < MIDDLE[1])
    p, y, group = probability[middle], truth[middle].astype(float), experiment[middle]
    order = np.array_split(np.argsort(p, kind="stable"), bins)
    found = np.array([(p[k].mean(), y[k].mean(), len(k)) for k in order if len(k)])
    return Calibration(len(p), mean_of(p - y, group), _slope(np.log(p / (1 - p)), y, group), found)


def _slope(claimed: np.ndarray, truth: np.ndarray, experiment: np.ndarray) -> Estimate:
    """Newton's method, and the sandwich of sums over experiments."""
    if len(truth) < FEWEST or truth.all() or not truth.any():
        return Estimate(np.nan, np.nan)
    design = np.column_stack([np.ones_like(claimed), claimed])
    fit = np.array([0.0, 1.0])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-design @ fit))
        curvature = design.T @ (design * (p * (1 - p))[:, None])
        step = np.linalg.solve(curvature, design.T @ (truth - p))
        fit = fit + step
        if np.abs(step).max() < 1e-10:
            break
    _, group = np.unique(experiment, return_inverse=True)
    scores = np.column_stack([np.bincount(group, s) for s in (design * (truth - p)[:, None]).T])
    inverse = np.linalg.inv(curvature)
    covariance = inverse @ scores.T @ scores @ inverse * len(scores) / max(len(scores) - 1, 1)
    return Estimate(float(fit[1]), float(np.sqrt(covariance[1, 1])))


def brier(probability: np.ndarray, truth: np.ndarray, experiment: np.ndarray) -> Estimate:
    """Mean squared difference [brier1950]."""
    return mean_of((probability - truth) ** 2, experiment)


def log_score(probability: np.ndarray, truth: np.ndarray, experiment: np.ndarray) -> Estimate:
    """Minus the mean log probability of what was true, nats per term; a probability is at most 1 - 1e-12."""
    right = np.where(truth, probability, 1 - probability)
    return mean_of(-np.log(np.maximum(right, 1e-12)), experiment)
