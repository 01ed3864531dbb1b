"""Posterior -> its sensitivity to powers of the prior and of the likelihood, without new sampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from bayespde.core.annotations import Positive
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior

POWERS = (0.5, 2.0)


@validated
def power_scaling_sensitivity(posterior: Posterior, *, powers: Sequence[Positive] = POWERS) -> xr.Dataset:
    """Inclusion probabilities under powers of the complexity prior, and of the likelihood [kallioinen2024].

    The posterior is proportional to prior times likelihood; here one of the two is raised to a power. A power of 2 of
    the prior squares the prior odds of every term; a power of 2 of the likelihood counts the data twice. A term whose
    probability changes with the prior and hardly with the likelihood is determined by the prior.

    Args:
        posterior: What sampling or enumeration returned: all configurations it holds are reweighted.
        powers: Positive.

    Returns:
        Over `term`: `inclusion`; `prior` and `likelihood`, change of the probability as the power of that part is
        doubled, to first order. Over `part, power, term`: `scaled`, the probabilities under each power, among the
        configurations that the posterior holds; `held` is their posterior mass.

    Raises:
        ConfigError: If a power is not positive and finite.
    """
    if not len(powers):
        raise ConfigError("No power is given.", got=powers, wanted="one or more", fix="powers=(0.5, 2.0)")
    spins, probability = posterior.configurations()
    held = probability > 0
    share = float(probability.sum())
    spins, probability = spins[held], probability[held] / share
    prior = posterior.known_prior().log_density(spins)
    parts = {"prior": prior, "likelihood": np.log(probability) - prior}
    scaled = np.array([[_scaled(spins, probability, part, power) for power in powers] for part in parts.values()])
    inclusion = probability @ spins
    slopes = {name: np.log(2) * (probability * (part - probability @ part)) @ spins for name, part in parts.items()}
    return xr.Dataset(
        {
            "inclusion": (("term",), inclusion),
            **{name: (("term",), slope) for name, slope in slopes.items()},
            "scaled": (("part", "power", "term"), scaled),
            "held": ((), share),
        },
        coords={"term": list(posterior.library.names), "part": list(parts), "power": list(powers)},
    )


def _scaled(spins: np.ndarray, probability: np.ndarray, part: np.ndarray, power: float) -> np.ndarray:
    log_weight = np.log(probability) + (power - 1) * part
    weight = np.exp(log_weight - log_weight.max())
    return np.asarray(weight @ spins / weight.sum())
