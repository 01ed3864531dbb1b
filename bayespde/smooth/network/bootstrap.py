"""A linearised ensemble, and its networks trained again on pixels made from it -> error bars that cover the change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from bayespde.core.random import spawn_seeds
from bayespde.noise.families import evenly
from bayespde.smooth.network.ensemble import EnsemblePosterior, NetworkEnsemble
from bayespde.smooth.network.jets import MultiIndex
from bayespde.smooth.network.selection import within_one_standard_error
from bayespde.smooth.network.train import train

# The mean of networks is smoother than what it was fitted to, and networks trained again have less of a bias: so that
# intervals of this level hold the truth, they have to hold a few hundredths more of the changes.
LEVEL, COVERED = 0.9, 0.93
HIGHEST_ORDER = 3
POINTS = 200
# Of a long video no more pixels are made: hardly a network sees as many before training ends.
MOST_PIXELS = 10_000_000
# Of the logarithm of the factor; its tolerance is a small part of what one data set can tell.
RANGE, TOLERANCE = (math.log(2**-6), math.log(2**14)), 0.1


def calibrated(
    posterior: EnsemblePosterior, coordinates: np.ndarray, *, penalty_scales: Sequence[float], seed: int = 0
) -> EnsemblePosterior:
    """Choose the shrinkage so that intervals hold what networks trained again miss.

    A parametric bootstrap [efron1993] of one replicate, at the level of the intervals themselves [beran1987]: noise is
    added to the mean of the networks, others with new starts are trained on it just as these were, and what they miss
    is what the linear model is to expect: early stopping, penalty and starts, which it does not know, included. The
    value and derivatives to order 3 along every axis count, at 200 pixels; 90 % intervals are to hold 93 % of that.

    Args:
        posterior: Of the networks; its own shrinkage is replaced.
        coordinates: The pixels that `train` was given, `[n, d]`.
        penalty_scales: As `train` was given.
        seed: Non-negative integer.

    Returns:
        The same with another shrinkage.
    """
    seeds = spawn_seeds(seed, 2)
    again = trained_again(posterior, coordinates, penalty_scales=penalty_scales, seed=seeds[0])
    some = np.random.default_rng(seeds[1]).integers(len(coordinates), size=POINTS)
    points, indices = np.asarray(coordinates[some], dtype=np.float64), orders_along_axes(coordinates.shape[1])
    change = again.evaluate(points, indices) - posterior.ensemble.evaluate(points, indices)
    return replace(posterior, shrinkage=matched(posterior, points, indices, change))


def matched(
    posterior: EnsemblePosterior,
    points: np.ndarray,
    multi_indices: Sequence[MultiIndex],
    change: np.ndarray,
    *,
    wanted: float = COVERED,
) -> float:
    """The shrinkage at which intervals of `LEVEL` hold a share of the changes `[n, M]`, or an end of `RANGE`."""
    along, width = posterior.along(points, multi_indices), norm.ppf((1 + LEVEL) / 2)
    low, high = RANGE
    while high - low > TOLERANCE:
        middle = (low + high) / 2
        covered = np.mean(np.abs(change) < width * replace(posterior, shrinkage=math.exp(middle)).spread(along))
        low, high = (middle, high) if covered > wanted else (low, middle)
    return math.exp((low + high) / 2)


def trained_again(
    posterior: EnsemblePosterior, coordinates: np.ndarray, *, penalty_scales: Sequence[float], seed: int
) -> NetworkEnsemble:
    """The same networks, from new starts, on their mean with new noise at the same pixels; those that count."""
    ensemble = posterior.ensemble
    rows = evenly(np.arange(len(coordinates)), MOST_PIXELS)
    noise_seed, *seeds = spawn_seeds(seed, 1 + len(ensemble.fits))
    deviation = ensemble.noise.deviation
    scale = posterior.parts[0].noise_scale
    noise = replace(ensemble.noise, scale=scale, deviation=None if deviation is None else deviation[rows])
    pixels = coordinates[rows]
    values = ensemble.evaluate(pixels)[:, 0] + noise.draw(np.random.default_rng(noise_seed), len(rows))
    fits = [
        train(
            pixels,
            values.astype(np.float32),
            config=fit.config,
            noise=fit.noise,
            penalty_scales=penalty_scales,
            held_out=ensemble.held_out[rows],
            seed=own,
        )
        for fit, own in zip(ensemble.fits, seeds, strict=True)
    ]
    return NetworkEnsemble(within_one_standard_error(fits))


def orders_along_axes(dimensions: int) -> list[MultiIndex]:
    """The value, and derivatives along one axis at a time."""
    pure = [(axis, order) for axis in range(dimensions) for order in range(1, HIGHEST_ORDER + 1)]
    return [(0,) * dimensions, *(tuple(o if a == axis else 0 for a in range(dimensions)) for axis, o in pure)]
