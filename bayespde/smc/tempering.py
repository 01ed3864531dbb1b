"""Log likelihoods -> incremental log weights and the next temperature: all readers share one function."""

from __future__ import annotations

import math

import torch

from bayespde.core.errors import ConfigError

HALVINGS = 80


def incremental_log_weights(log_likelihood: torch.Tensor, *, previous: float, temperature: float) -> torch.Tensor:
    """Log ratio of successive tempered targets, `(temperature - previous) * log_likelihood` [delmoral2006].

    Args:
        log_likelihood: `[P]`, float64; -inf is allowed.
        previous: Temperature of the particles.
        temperature: Temperature to reach, not below `previous`.

    Returns:
        Unnormalised log weights, `[P]`, float64; 0 for an increment of 0, whatever the likelihood.
    """
    if temperature == previous:
        return torch.zeros_like(log_likelihood)
    return (temperature - previous) * log_likelihood


def effective_sample_size(log_weights: torch.Tensor) -> float:
    """`(sum w)^2 / sum w^2` of unnormalised log weights (`[P]`): between 1 and P."""
    return math.exp(2 * float(log_weights.logsumexp(0)) - float((2 * log_weights).logsumexp(0)))


def log_mean_weight(log_weights: torch.Tensor) -> float:
    """Log of the mean weight: the increment of the log evidence."""
    return float(log_weights.logsumexp(0)) - math.log(len(log_weights))


def living_particles(log_likelihood: torch.Tensor) -> int:
    """Number of particles with a positive likelihood.

    Raises:
        ConfigError: If there is none.
    """
    alive = int(torch.isfinite(log_likelihood).sum())
    if alive == 0:
        raise ConfigError(
            "No particle has a positive likelihood.",
            got=f"{len(log_likelihood)} particles, all refused",
            wanted="at least one possible configuration among the prior draws",
            fix="use more particles or a smaller expected_terms",
        )
    return alive


def next_temperature(log_likelihood: torch.Tensor, *, previous: float, ess_fraction: float) -> float:
    """Largest temperature at which the incremental weights keep the wanted effective sample size [jasra2011].

    Args:
        log_likelihood: `[P]`, float64.
        previous: Current temperature.
        ess_fraction: Wanted effective sample size as a fraction of the particles with finite log likelihood;
            those without die at any positive temperature.

    Returns:
        A temperature in (previous, 1].

    Raises:
        ConfigError: If no particle has a positive likelihood.
    """
    alive = living_particles(log_likelihood)

    def enough(temperature: float) -> bool:
        log_weights = incremental_log_weights(log_likelihood, previous=previous, temperature=temperature)
        return effective_sample_size(log_weights) >= ess_fraction * alive

    if enough(1.0):
        return 1.0
    low, high = previous, 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if enough(middle) else (low, middle)
    return high
