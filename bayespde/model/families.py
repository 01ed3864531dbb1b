"""Name of a family -> log density, score and information of its observations, given the linear predictor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special

LOG_ROOT_2_PI = 0.5 * float(np.log(2 * np.pi))
Pair = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Family:
    """A distribution of counts or truth values whose log density is concave in the linear predictor.

    Attributes:
        log_density: Of observations, elementwise, from predictor and observation, float64.
        score: Its derivative by the predictor.
        curvature: Its negative second derivative.
        information: Expectation of the curvature, from the predictor alone.
        link: Mean to predictor.
        largest: Largest possible observation; all are non-negative integers.
    """

    log_density: Pair
    score: Pair
    curvature: Pair
    information: Callable[[torch.Tensor], torch.Tensor]
    link: Callable[[float], float]
    largest: float


def _logistic_information(eta: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(eta) * torch.sigmoid(-eta)


def _hazard(z: torch.Tensor) -> torch.Tensor:
    """Normal density over distribution function."""
    return torch.exp(-0.5 * z**2 - LOG_ROOT_2_PI - torch.special.log_ndtr(z))


def _probit_score(eta: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    sign = 2 * y - 1
    return sign * _hazard(sign * eta)


def _probit_curvature(eta: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = (2 * y - 1) * eta
    hazard = _hazard(z)
    return torch.clamp(hazard * (hazard + z), min=0.0)


FAMILIES: Mapping[str, Family] = {
    "binomial": Family(
        log_density=lambda eta, y: y * eta - torch.nn.functional.softplus(eta),
        score=lambda eta, y: y - torch.sigmoid(eta),
        curvature=lambda eta, y: _logistic_information(eta),
        information=_logistic_information,
        link=lambda mean: float(special.logit(mean)),
        largest=1,
    ),
    "probit": Family(
        log_density=lambda eta, y: torch.special.log_ndtr((2 * y - 1) * eta),
        score=_probit_score,
        curvature=_probit_curvature,
        information=lambda eta: _hazard(eta) * _hazard(-eta),
        link=lambda mean: float(special.ndtri(mean)),
        largest=1,
    ),
    "poisson": Family(
        log_density=lambda eta, y: y * eta - torch.exp(eta) - torch.lgamma(y + 1),
        score=lambda eta, y: y - torch.exp(eta),
        curvature=lambda eta, y: torch.exp(eta),
        information=torch.exp,
        link=lambda mean: float(np.log(mean)),
        largest=np.inf,
    ),
}
