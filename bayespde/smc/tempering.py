"""Log likelihoods -> incremental log weights and the next inverse temperature: all readers share one function."""

from __future__ import annotations

import math

import torch
from scipy.optimize import brentq

from bayespde.core.errors import ConfigError


def incremental_log_weights(log_likelihood: torch.Tensor, *, previous: float, beta: float) -> torch.Tensor:
    """Log ratio of successive tempered targets, `(beta - previous) * log_likelihood` [delmoral2006].

    Args:
        log_likelihood: `[P]`, float64; -inf is allowed.
        previous: Inverse temperature of the particles.
        beta: Inverse temperature to reach, not below `previous`.

    Returns:
        Unnormalised log weights, `[P]`, float64; 0 for an increment of 0, whatever the likelihood.
    """
    if beta == previous:
        return torch.zeros_like(log_likelihood)
    return (beta - previous) * log_likelihood


def effective_sample_size(log_weights: torch.Tensor) -> float:
    """`(sum w)^2 / sum w^2` of unnormalised log weights (`[P]`): between 1 and P."""
    weights = torch.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights @ weights))


def log_mean_weight(log_weights: torch.Tensor) -> float:
    """Log of the mean weight: the increment of the log marginal likelihood."""
    return float(log_weights.logsumexp(0)) - math.log(len(log_weights))


def count_positive(log_likelihood: torch.Tensor) -> int:
    """Number of particles with a positive likelihood.

    Raises:
        ConfigError: If there is none.
    """
    alive = int(torch.isfinite(log_likelihood).sum())
    if alive == 0:
        raise ConfigError(
            "No particle has a positive likelihood.",
            got=f"{len(log_likelihood)} particles, all impossible",
            wanted="at least one possible configuration among the initial draws",
            fix="use more particles, a smaller expected_terms, or pilot_fraction=0 to start from the prior",
        )
    return alive


def next_inverse_temperature(log_likelihood: torch.Tensor, *, previous: float, ess_fraction: float) -> float:
    """Largest inverse temperature at which the weights keep the wanted effective sample size [jasra2011].

    Args:
        log_likelihood: `[P]`, float64.
        previous: Current inverse temperature.
        ess_fraction: Wanted effective sample size as a fraction of the particles with finite log likelihood;
            the others get weight 0 at any positive inverse temperature.

    Returns:
        An inverse temperature in (previous, 1].

    Raises:
        ConfigError: If no particle has a positive likelihood.
    """
    wanted = ess_fraction * count_positive(log_likelihood)

    def excess(step: float) -> float:
        log_weights = incremental_log_weights(log_likelihood, previous=previous, beta=previous + step)
        return effective_sample_size(log_weights) - wanted

    high = 1.0 - previous
    if excess(high) >= 0:
        return 1.0
    low = high
    # the effective sample size is smooth in the logarithm of the step over many orders of magnitude
    while excess(low) < 0:
        high, low = low, low / 16
    return previous + math.exp(brentq(lambda x: excess(math.exp(x)), math.log(low), math.log(high), xtol=1e-13))
