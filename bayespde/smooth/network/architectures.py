"""WAVE NUMBERS OF THE SPLINE -> CANDIDATE NETWORKS, each with the scale of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.spline.fitted import SplineFit

# Input scale over root-mean-square wave number, per activation and number of coordinates (2, and more).
SCALE_RATIO = {"tanh": (0.35, 0.35), "sine": (0.5, 1.0)}
MIN_WAVE_NUMBER = 0.1


def candidate_configs(dimensions: int) -> tuple[NetworkConfig, ...]:
    """The networks that are trained by default; their mean is better than either.

    Args:
        dimensions: Number of coordinates, time included.

    Returns:
        A tanh network, which follows fronts best, and a sine network, which follows waves.
    """
    if dimensions == 2:
        front = NetworkConfig(width=32, depth=4, batch=1024, learning_rate=8e-3, steps=1250)
        return front, replace(front, activation="sine", width=40)
    front = NetworkConfig(width=32, depth=6, batch=4096, learning_rate=1e-2, steps=2000)
    return front, replace(front, activation="sine", width=48, depth=4)


def alternative(config: NetworkConfig) -> NetworkConfig:
    """Another architecture of the same activation, for fields that only one of the candidates can follow."""
    if config.activation == "tanh":
        return replace(config, width=max(1, 5 * config.width // 8), depth=config.depth + 2)
    return replace(config, width=3 * config.width // 2, depth=max(1, config.depth - 1))


def enlarged(config: NetworkConfig) -> NetworkConfig:
    """A wider network, trained longer, for fields with more detail than the candidate could learn."""
    return replace(config, width=5 * config.width // 4, batch=2 * config.batch, steps=8 * config.steps // 5)


def with_input_scale(config: NetworkConfig, wave_numbers: Sequence[float]) -> NetworkConfig:
    """Fill in an input scale that was left open: in proportion to the wave number along every axis."""
    if config.input_scale is not None:
        return config
    ratio = SCALE_RATIO[config.activation][len(wave_numbers) > 2]
    return replace(config, input_scale=tuple(ratio * max(k, MIN_WAVE_NUMBER) for k in wave_numbers))


def wave_numbers(spline: SplineFit) -> tuple[float, ...]:
    """Root-mean-square slope along every axis over the standard deviation, in the network's coordinates [-1, 1]."""
    scales, dimensions = spline.scales, len(spline.bases)
    found = []
    for axis in range(dimensions):
        orders = tuple(int(axis == k) for k in range(dimensions))
        slope = float(np.sqrt(np.mean(spline.evaluate(orders) ** 2)))
        found.append(slope / (2 * scales.amplitude * scales.derivative_factor(orders)))
    return tuple(found)
