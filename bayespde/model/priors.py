"""Settings -> prior distributions: complexity logits for the spins, slabs for the coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.model.couplings import Coupling, interactions

EXPECTED_TERMS = 3.0


def complexity_logits(complexity: np.ndarray, *, expected_terms: float | None = None) -> np.ndarray:
    """Log odds `-gamma * complexity` of independent spins, `[K]`, float64: the prior of `complexity_prior`."""
    return complexity_prior(complexity, expected_terms=expected_terms).fields


def complexity_prior(
    complexity: np.ndarray,
    *,
    expected_terms: float | None = None,
    names: Sequence[str] = (),
    couplings: Sequence[Coupling] = (),
) -> PairwiseSpins:
    """The prior `exp(-gamma * complexity)` of configurations, gamma solved from the expected number of terms.

    Without couplings spins are independent under it. With couplings gamma is solved with them.

    Args:
        complexity: Cost per term, `[K]`, float64, positive, dimensionless.
        expected_terms: Prior mean number of terms, in (0, K); None means 3, or half the terms if that is
            fewer.
        names: Names of the terms, which couplings need.
        couplings: Pairs of terms that are not independent beforehand.

    Returns:
        The distribution of the spins.

    Raises:
        ConfigError: If a complexity is not positive, no gamma gives that expectation, or couplings cannot be used.
    """
    cost = np.asarray(complexity, dtype=np.float64)
    if cost.ndim != 1 or not cost.size or not (np.isfinite(cost).all() and (cost > 0).all()):
        raise ConfigError(
            "Complexities must be positive.", got=cost, wanted="[K] positive numbers", fix="use 1 per term"
        )
    terms = cost.size
    wanted = min(EXPECTED_TERMS, terms / 2) if expected_terms is None else float(expected_terms)
    if not 0 < wanted < terms:
        raise ConfigError(
            "The expected number of terms is impossible.",
            got=wanted,
            wanted=f"more than 0 and fewer than the {terms} terms of the library",
            fix=f"expected_terms={terms / 2:g}",
        )

    fields, joint = interactions(names, couplings) if couplings else (np.zeros(terms), np.zeros((terms, terms)))

    def at(gamma: float) -> PairwiseSpins:
        return PairwiseSpins(fields - gamma * cost, joint)

    def excess(gamma: float) -> float:
        return float(at(gamma).inclusion.sum()) - wanted

    limit = 1.0 / cost.max()
    while excess(limit) > 0 or excess(-limit) < 0:
        limit *= 2
    return at(float(brentq(excess, -limit, limit, xtol=1e-14, rtol=1e-14)))


@dataclass(frozen=True)
class HyperGSlab:
    """The g-prior [zellner1986] with the hyper-g/n mixture over g [liang2008], as an exact finite mixture.

    Given g the coefficients are `N(0, s2 g (A'A)^-1)`. g takes `nodes` values evenly spaced in log g, with
    weights proportional to the density `(1 + g/n)^(-shape/2)` times g (the node spacing), normalised: the
    finite mixture is the model, not an approximation of it.

    Attributes:
        shape: The a of hyper-g/n, above 2.
        nodes: Number of values of g.
        smallest: First value of g, in units of the number of rows n.
        largest: Last value of g, in units of n.
    """

    shape: float = 3.0
    nodes: int = 24
    smallest: float = 0.1
    largest: float = 1e7

    def __post_init__(self) -> None:
        if not (self.shape > 2 and self.nodes >= 2 and 0 < self.smallest < self.largest < math.inf):
            raise ConfigError(
                "The hyper-g slab is not proper.",
                got=self,
                wanted="shape > 2, nodes >= 2, 0 < smallest < largest",
                fix="HyperGSlab()",
            )

    def ridge(self, rows: float) -> float:
        """Prior precision of unit-norm columns that does not depend on the design: none, 0."""
        return 0.0

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """Values of g `[G]` and their log weights `[G]`, float64, for `rows` effective rows."""
        ratio = np.geomspace(self.smallest, self.largest, self.nodes)
        log_weight = np.log(ratio) - 0.5 * self.shape * np.log1p(ratio)
        return ratio * rows, log_weight - np.logaddexp.reduce(log_weight)


@dataclass(frozen=True)
class GPriorSlab:
    """The g-prior `N(0, s2 g (A'A)^-1)` at one fixed g [zellner1986].

    Attributes:
        g: Prior variance in units of the sampling variance, positive; None means the number of effective rows
            (unit information).
    """

    g: float | None = None

    def __post_init__(self) -> None:
        if self.g is not None and not 0 < self.g < math.inf:
            raise ConfigError("g must be positive.", got=self.g, wanted="g > 0", fix="GPriorSlab()")

    def ridge(self, rows: float) -> float:
        """Prior precision of unit-norm columns that does not depend on the design: none, 0."""
        return 0.0

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """The one value of g, `[1]`, and its log weight 0, `[1]`, float64."""
        return np.array([rows if self.g is None else self.g], dtype=np.float64), np.zeros(1)


@dataclass(frozen=True)
class IsotropicSlab:
    """Independent coefficients: `N(0, s2 scale^2)` on columns of unit root mean square over the n rows.

    On columns scaled to unit norm this is `N(0, s2 scale^2 n)`, that is a ridge of `1 / (scale^2 n)`.

    Attributes:
        scale: Prior standard deviation in units of the noise, positive.
    """

    scale: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise ConfigError(
                "The slab's scale must be positive.", got=self.scale, wanted="scale > 0", fix="scale=10.0"
            )

    def ridge(self, rows: float) -> float:
        """Prior precision of unit-norm columns in units of the noise precision, dimensionless."""
        return 1.0 / (self.scale**2 * rows)

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """No shrinkage beyond the ridge: `g = inf`, `[1]`, and log weight 0, `[1]`, float64."""
        return np.array([np.inf]), np.zeros(1)


@dataclass(frozen=True)
class ProfileLikelihood:
    """No prior of the coefficients: least squares, plugged in [seedrepo2020].

    The likelihood of a configuration is its largest one, `RSS^(-n/2)` for n effective rows where nothing is known of
    their variance. More terms never cost anything but the complexity prior, and evidence is not defined. Together with
    `StrongForm(power="mean")`, n = 1, it is the likelihood of the algorithm that this package grew out of, so that its
    Pareto fronts can be set beside ours.
    """

    def ridge(self, rows: float) -> float:
        """Prior precision of unit-norm columns: none, 0."""
        return 0.0

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """No shrinkage: `g = inf`, `[1]`, and log weight 0, `[1]`, float64."""
        return np.array([np.inf]), np.zeros(1)


Slab = HyperGSlab | GPriorSlab | IsotropicSlab | ProfileLikelihood
