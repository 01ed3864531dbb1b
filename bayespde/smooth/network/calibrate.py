"""LINEARISED NETWORKS -> SHRINKAGE: the same networks trained again on bootstrap data, so that intervals cover.

The linear model does not include early stopping, the penalty and the initial weights; a parametric bootstrap does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds
from bayespde.noise.families import thinned
from bayespde.smooth.network.ensemble import EnsemblePosterior, NetworkEnsemble
from bayespde.smooth.network.hold_out import HeldOut
from bayespde.smooth.network.jets import MultiIndex
from bayespde.smooth.network.selection import within_one_standard_error
from bayespde.smooth.network.train import train
from bayespde.smooth.network.training_data import TrainingData

# The mean of networks is smoother than the data it was fitted to, and networks trained again have less bias: intervals
# of the first level cover the truth if they cover the second share of the changes.
LEVEL, COVERED = 0.9, 0.93
HIGHEST_ORDER = 3
POINTS = 200
# Of a long video no more pixels are simulated: training ends before a network has used more.
MAX_PIXELS = 10_000_000
# Of the logarithm of the factor; the tolerance is small compared with the error of one replicate.
RANGE, TOLERANCE = (math.log(2**-6), math.log(2**14)), 0.1


def calibrated_shrinkage(
    posterior: EnsemblePosterior,
    coordinates: np.ndarray,
    *,
    penalty_scales: Sequence[float],
    device: str = "cpu",
    seed: int = 0,
    progress: bool | Progress = False,
) -> float:
    """Choose the shrinkage so that intervals cover the changes of networks trained again.

    A parametric bootstrap [efron1993] of one replicate, at the level of the intervals themselves [beran1987]: noise is
    added to the mean of the networks, networks of the same architectures with new initial weights are trained on it,
    and their change is the error that the linear model has to predict. The value and derivatives to order 3 along every
    axis count, at 200 pixels; 90 % intervals are to cover 93 % of the changes.

    Args:
        posterior: Of the networks; its own shrinkage is ignored.
        coordinates: The pixels that `train` was given, `[n, d]`.
        penalty_scales: As `train` was given.
        device: Where networks are trained.
        seed: Non-negative integer.
        progress: Show bars.

    Returns:
        The shrinkage.
    """
    train_seed, point_seed = spawn_seeds(seed, 2)
    data, seeds = bootstrap_data(posterior, coordinates, penalty_scales=penalty_scales, seed=train_seed)
    again = trained_again(posterior.ensemble, data, seeds, device=device, progress=progress)
    some = np.random.default_rng(point_seed).integers(len(coordinates), size=POINTS)
    points, indices = np.asarray(coordinates[some], dtype=np.float64), orders_along_axes(coordinates.shape[1])
    change = again.evaluate(points, indices) - posterior.ensemble.evaluate(points, indices)
    return covering_shrinkage(posterior, points, indices, change)


def covering_shrinkage(
    posterior: EnsemblePosterior,
    points: np.ndarray,
    multi_indices: Sequence[MultiIndex],
    change: np.ndarray,
    *,
    wanted: float = COVERED,
) -> float:
    """The shrinkage at which intervals of `LEVEL` cover a share of the changes `[n, M]`, or an end of `RANGE`."""
    along, width = posterior.along(points, multi_indices), norm.ppf((1 + LEVEL) / 2)
    low, high = RANGE
    while high - low > TOLERANCE:
        middle = (low + high) / 2
        covered = np.mean(np.abs(change) < width * replace(posterior, shrinkage=math.exp(middle)).spread(along))
        low, high = (middle, high) if covered > wanted else (low, middle)
    return math.exp((low + high) / 2)


def bootstrap_data(
    posterior: EnsemblePosterior, coordinates: np.ndarray, *, penalty_scales: Sequence[float], seed: int
) -> tuple[TrainingData, list[int]]:
    """The mean of the networks with new noise at the same pixels, and a seed for every architecture."""
    ensemble = posterior.ensemble
    rows = thinned(np.arange(len(coordinates)), MAX_PIXELS)
    noise_seed, *seeds = spawn_seeds(seed, 1 + len(ensemble.fits))
    deviation = ensemble.noise.deviation
    scale = posterior.parts[0].noise_scale
    noise = replace(ensemble.noise, scale=scale, deviation=None if deviation is None else deviation[rows])
    pixels, hidden = coordinates[rows], ensemble.held_out[rows]
    values = ensemble.evaluate(pixels)[:, 0] + noise.draw(np.random.default_rng(noise_seed), len(rows))
    held_out = HeldOut(hidden, np.zeros_like(hidden))
    data = TrainingData(pixels, values.astype(np.float32), ensemble.noise, held_out, tuple(penalty_scales))
    return data, seeds


def trained_again(
    ensemble: NetworkEnsemble,
    data: TrainingData,
    seeds: Sequence[int],
    *,
    device: str = "cpu",
    progress: bool | Progress = False,
) -> NetworkEnsemble:
    """The same networks trained on other data from new initial weights; those within one standard error."""
    watch, count, fits = Progress.of(progress), len(ensemble.fits), []
    for done, (fit, seed) in enumerate(zip(ensemble.fits, seeds, strict=True)):
        share = watch.within(watch.left / (count - done))
        fits.append(train(data, config=fit.config, device=device, seed=seed, progress=share))
    return NetworkEnsemble(within_one_standard_error(fits))


def orders_along_axes(dimensions: int) -> list[MultiIndex]:
    """The value, and derivatives along one axis at a time."""
    pure = [(axis, order) for axis in range(dimensions) for order in range(1, HIGHEST_ORDER + 1)]
    return [(0,) * dimensions, *(tuple(o if a == axis else 0 for a in range(dimensions)) for axis, o in pure)]
