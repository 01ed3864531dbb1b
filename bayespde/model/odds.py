"""Two sets of terms -> the log posterior odds of one against the other, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.model.spin import SpinModel


@validated
def log_posterior_odds(model: SpinModel, first: Sequence[str], second: Sequence[str]) -> float:
    """Log posterior odds of exactly the terms `first` against exactly the terms `second`, nats.

    Prior and marginal likelihood of both are closed forms: equations that were never sampled can be compared too.

    Args:
        model: The spin model.
        first: Names of terms.
        second: Names of terms.

    Returns:
        Positive where `first` is favoured. Infinite where the columns of one of the two are collinear.

    Raises:
        ConfigError: If a name is not in the library, or the columns of both equations are collinear.
    """
    names = model.statistics.names
    unknown = [n for n in (*first, *second) if n not in names]
    if unknown:
        raise ConfigError(
            "A term is not in the library.",
            got=", ".join(unknown),
            wanted=", ".join(names),
            fix="its name as written there",
        )
    spins = torch.tensor([[n in chosen for n in names] for chosen in (first, second)])
    mass = model.log_prior(spins) + model.log_likelihood(spins)
    if not torch.isfinite(mass).any():
        raise ConfigError(
            "Neither equation is possible.",
            got=f"{', '.join(first)} and {', '.join(second)}, each with collinear columns",
            wanted="at least one whose terms differ on these rows",
            fix="leave out one of the collinear terms",
        )
    return float(mass[0] - mass[1])
