"""Posterior -> Bayes factors of inclusion: posterior odds of every term over its prior odds."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.posterior import Posterior


@validated
def inclusion_bayes_factors(posterior: Posterior) -> xr.Dataset:
    """Factor by which the data change the odds of every term [kass1995].

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        Over `term`: `log_bayes_factor`, nats, positive where the data favour the term; `prior` and `posterior`, its
        inclusion probabilities; `lower` and `upper`, two Monte Carlo standard errors of the posterior one to either
        side (the same number where enumeration ran, NaN for one run). Infinite where the probability is 0 or 1 to
        all digits.

    Raises:
        StatisticsError: If the posterior does not hold its prior.
    """
    prior = posterior.known_prior().inclusion
    probability = posterior.inclusion_probability.values
    error = np.zeros_like(probability) if posterior.exact is not None else 2 * posterior.inclusion_error.values
    ends = {"log_bayes_factor": probability, "lower": probability - error, "upper": probability + error}
    with np.errstate(divide="ignore"):
        factors = {name: _log_odds(np.clip(p, 0, 1)) - _log_odds(prior) for name, p in ends.items()}
    variables = factors | {"prior": prior, "posterior": probability}
    return xr.Dataset(
        {name: (("term",), values) for name, values in variables.items()},
        coords={"term": list(posterior.library.names)},
        attrs={"units": "nat"},
    )


def _log_odds(probability: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(probability) - np.log1p(-probability))
