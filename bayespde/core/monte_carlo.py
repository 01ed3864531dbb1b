"""Estimates of independent runs, and variances within each -> Monte Carlo standard errors of what is pooled over them.

Between few runs a variance is itself uncertain: of four it has three degrees of freedom. Within a run, particles that
descend from one initial draw are dependent, and those of different ones nearly independent, which gives a second
estimate of the same variance [lee2018]. Both are pooled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Degrees of freedom that the variance within runs counts for, and ratio of the variance between runs to it above which
# runs disagree: four runs exceed it by chance once in a thousand times.
WITHIN, DISAGREE = 4, 5.4


def evidence_weights(log_evidence: np.ndarray) -> np.ndarray:
    """Weights of runs in what is pooled over them, by their evidence: `[R]`, sum 1; equal where there is none."""
    share = np.ones(len(log_evidence)) if np.isnan(log_evidence).any() else np.exp(log_evidence - log_evidence.max())
    return np.asarray(share / share.sum())


def ancestor_shares(eve_index: np.ndarray) -> list[np.ndarray]:
    """Share of the particles of each run that descend from one initial draw, for every draw of which some do."""
    return [np.unique(a, return_counts=True)[1] / a.size for a in eve_index]


def error_between_runs(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standard error of values by run, `[R, N]`, pooled with weights `[R]`; `[N]`, NaN for one run."""
    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    return np.asarray(values.std(axis=0, ddof=1) * np.sqrt(np.sum(weights**2)))


def inclusion_error(values: np.ndarray, within: np.ndarray, weights: np.ndarray, particles: int) -> np.ndarray:
    """Standard error of inclusion probabilities pooled over runs.

    Args:
        values: By run, `[R, K]`.
        within: Variance of each within its run, `[R, K]`; `[R, 0]` or `[0, 0]` where it is unknown.
        weights: Of the runs, `[R]`, sum 1.
        particles: Number of particles of a run.

    Returns:
        `[K]`, float64; where the variance within is known at least one particle of all. Else that between runs.
    """
    if within.shape != values.shape:
        return error_between_runs(values, weights)
    runs, variance = len(values), within.mean(axis=0)
    if runs > 1:
        variance = _pooled(values.var(axis=0, ddof=1), variance, runs)
    return np.asarray(np.sqrt(variance * np.sum(weights**2) + (1 / (runs * particles)) ** 2))


def clustered_variance(values: np.ndarray, eve_index: np.ndarray) -> np.ndarray:
    """Variance of means over particles (`[P, N]`), of which those of one ancestor (`[P]`) are dependent: `[N]`."""
    order = np.argsort(eve_index, kind="stable")
    first = np.flatnonzero(np.diff(eve_index[order], prepend=-1))
    sums = np.add.reduceat((values - values.mean(axis=0))[order], first, axis=0)
    return np.asarray((sums**2).sum(axis=0) / len(values) ** 2)


def mean_error(values: np.ndarray, eve_index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standard error of means over particles, pooled over runs.

    Args:
        values: Of each particle, `[R, P, N]`.
        eve_index: Index of the initial draw from which each particle descends, `[R, P]`.
        weights: Of the runs, `[R]`, sum 1.

    Returns:
        `[N]`, float64, between and within runs.
    """
    runs = len(values)
    variance = np.mean([clustered_variance(*run) for run in zip(values, eve_index, strict=True)], axis=0)
    if runs > 1:
        variance = _pooled(values.mean(axis=1).var(axis=0, ddof=1), variance, runs)
    return np.asarray(np.sqrt(variance * np.sum(weights**2)))


def evidence_error(log_evidence: np.ndarray, eve_index: np.ndarray) -> float:
    """Standard error of the log of the mean evidence of runs.

    Within a run it follows from the shares f of the ancestors of the particles: sum f^2 - 1/P. Where the variance
    between runs is far larger, runs disagree, and it is taken alone. It is that of the mean evidence, or of the mean
    log evidence where that is larger: the former is at most 1, however far apart the runs are.

    Args:
        log_evidence: By run, `[R]`.
        eve_index: Index of the initial draw from which each particle descends, `[R, P]`.

    Returns:
        The error, in nats.
    """
    runs, particles = eve_index.shape
    within = float(np.mean([np.sum(f**2) for f in ancestor_shares(eve_index)])) - 1 / particles
    if runs < 2:
        return float(np.sqrt(within))
    ratio = np.exp(log_evidence - log_evidence.max())
    between = float(max(ratio.std(ddof=1) / ratio.mean(), log_evidence.std(ddof=1))) ** 2
    if not between < DISAGREE * within:
        return float(np.sqrt(between / runs))
    return float(np.sqrt(_pooled(between, within, runs) / runs))


def _pooled(between: Any, within: Any, runs: int) -> Any:
    """Both estimates of a variance, by their degrees of freedom."""
    return ((runs - 1) * between + WITHIN * within) / (runs - 1 + WITHIN)
