"""Posterior -> ranked equations with coefficients, errors and units; mass of interchangeable descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayespde.core.annotations import Count, Share
from bayespde.core.checked import validated
from bayespde.core.collinear import Group, collinear_groups
from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.equation import Equation, Library
from bayespde.core.posterior import Posterior
from bayespde.core.scales import coefficient_unit
from bayespde.core.sums import format_sum
from bayespde.core.terms import Term, factor_of

MINIMUM_DRAWS = 100
MAJORITY = 0.5
SUPPORTED = 0.05
# Rounding error of a probability with three digits.
ROUNDING = 0.0005


@dataclass(frozen=True)
class RankedEquation:
    """One configuration of the posterior, written as an equation.

    Attributes:
        names: Terms on the right-hand side, in library order.
        probability: Posterior probability of exactly this set of terms.
        coefficients: Posterior mean of each coefficient given this set, physical units.
        sd: Posterior standard deviation of each coefficient, physical units.
        lower: Lower end of each equal-tailed interval, physical units.
        upper: Upper end of each equal-tailed interval, physical units.
        units: Unit of each coefficient, such as `nm^2 s^-1`.
        complexity: Sum of the terms' complexities.
        log_odds: Log of the probability against that of the most probable equation, at most 0.
        draws: Effective number of particles behind the coefficients; 0 where the closed form was used.
        level: Mass of the intervals.
        target: Left-hand side.
        factors: The terms as they are written in a sum; by default those of an equation of a field.
    """

    names: tuple[str, ...]
    probability: float
    coefficients: tuple[float, ...]
    sd: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    units: tuple[str, ...]
    complexity: float
    log_odds: float
    draws: float = 0.0
    level: float = 0.9
    target: str = "u_t"
    factors: tuple[str, ...] = ()

    def equation(self, library: Library) -> Equation:
        """With the posterior means as coefficients; `library` is that of the posterior."""
        coefficients = np.zeros(len(library))
        coefficients[[library.index(name) for name in self.names]] = self.coefficients
        return Equation.from_library(library, coefficients)

    def __str__(self) -> str:
        numbers = [format_value(abs(mean), sd) for mean, sd in zip(self.coefficients, self.sd, strict=True)]
        factors = self.factors or [factor_of(name) for name in self.names]
        return f"{self.target} = " + format_sum(factors, self.coefficients, numbers)


@validated
def equations(posterior: Posterior, *, top: Count = 10, level: Share = 0.9) -> tuple[RankedEquation, ...]:
    """Rank the most probable equations.

    Coefficients come from the particles that hold the configuration, runs weighted by their evidence. A
    configuration with fewer than 100 effective particles gets the closed form of its conditional posterior
    instead (`CoefficientPosterior`), so that rare and enumerated configurations have errors too.

    Args:
        posterior: What sampling or enumeration returned.
        top: How many equations at most.
        level: Mass of the equal-tailed intervals, in (0, 1).

    Returns:
        Equations, most probable first; coefficients in the units of `posterior.units`.

    Raises:
        ConfigError: If `top` or `level` is out of range.
    """
    spins, probability = posterior.configurations()
    order = np.argsort(-probability, kind="stable")[:top]
    best = probability[order[0]]
    with np.errstate(divide="ignore"):
        log_odds = np.log(probability) - np.log(best)
    return tuple(_rank(posterior, spins[i], float(probability[i]), float(log_odds[i]), level) for i in order)


def format_equations(ranked: Sequence[RankedEquation]) -> str:
    """Write ranked equations as a table, with the intervals and units of the first below it."""
    if not ranked:
        return "no equations"
    lines = ["rank  probability  log odds  complexity  equation"]
    for rank, item in enumerate(ranked, start=1):
        lines.append(f"{rank:4d}  {item.probability:11.4f}  {item.log_odds:8.2f}  {item.complexity:10.4g}  {item}")
    first = ranked[0]
    if first.names:
        lines += ["", f"coefficients of the first, with {first.level:.0%} intervals:"]
        width = max(map(len, first.names))
        rows = zip(first.names, first.coefficients, first.lower, first.upper, first.units, strict=True)
        lines += [f"  {n:{width}s}  {m: .5g}  [{a: .5g}, {b: .5g}]  {u}" for n, m, a, b, u in rows]
    return "\n".join(lines)


def format_probability(value: float) -> str:
    """A probability with three digits, and never as 0 or 1."""
    return "> 0.999" if value > 1 - ROUNDING else "< 0.001" if value < ROUNDING else f"{value:.3f}"


def format_value(value: float, sd: float) -> str:
    """Write a number with the error of its last digits: `0.100(2)` is 0.100 with standard deviation 0.002.

    The error has one digit, two where the first is a 1. Numbers outside 1e-4 to 1e6 are written with an
    exponent.
    """
    if not (math.isfinite(sd) and sd > 0 and math.isfinite(value)):
        return f"{value:.4g}"
    largest = max(abs(value), sd)
    exponent = math.floor(math.log10(largest))
    if not -5 < exponent < 6 or (sd >= 20 and exponent > 2):
        return f"{_digits(value / 10.0**exponent, sd / 10.0**exponent)}e{exponent:+03d}"
    return _digits(value, sd)


def _digits(value: float, sd: float) -> str:
    leading = math.floor(math.log10(sd))
    keep = 2 if round(sd / 10.0**leading, 1) < 2 else 1
    decimals = max(0, keep - 1 - leading)
    error = round(sd * 10.0**decimals)
    return f"{value:.{decimals}f}({error})"


def group_masses(posterior: Posterior) -> list[tuple[Group, float]]:
    """Posterior mass of each group of interchangeable descriptions: configurations that hold either of them.

    Only groups are reported that hold more than half the mass, or all of whose members have an inclusion
    probability above 0.05. The mass is summed over the configurations kept, so it is a lower bound where
    enumeration kept a part; it is never below the inclusion probability of the replaceable term.

    Returns:
        Pairs of group and mass, largest mass first.
    """
    spins, probability = posterior.configurations()
    names = posterior.library.names
    inclusion = dict(zip(names, posterior.inclusion_probability.values, strict=True))
    found, seen = [], set()
    for group in collinear_groups(posterior.statistics):
        descriptions = frozenset([frozenset([group.single]), *map(frozenset, group.replacements)])
        mass = float(probability[group.covers(spins, names)].sum())
        mass = min(1.0, max(mass, float(inclusion[group.single])))
        is_supported = mass > MAJORITY or all(inclusion[m] > SUPPORTED for m in group.members)
        if descriptions not in seen and is_supported:
            found.append((group, mass))
            seen.add(descriptions)
    return sorted(found, key=lambda pair: -pair[1])


def _rank(posterior: Posterior, spins: np.ndarray, probability: float, log_odds: float, level: float) -> RankedEquation:
    library, on = posterior.library, np.flatnonzero(spins)
    draws, weights = _draws(posterior, spins)
    count = effective_draws(weights)
    if count >= MINIMUM_DRAWS:
        mean, sd, lower, upper = _summarise(draws, weights / weights.sum(), level)
    else:
        count = 0.0
        shrink, ridge = posterior.slab_effect
        conditional = CoefficientPosterior.of(posterior.statistics, spins, shrinkage=shrink, ridge=ridge)
        mean, sd, (lower, upper) = conditional.mean, conditional.sd, conditional.interval(level)
    return RankedEquation(
        names=tuple(library.names[i] for i in on),
        probability=probability,
        coefficients=tuple(map(float, mean)),
        sd=tuple(map(float, sd)),
        lower=tuple(map(float, lower)),
        upper=tuple(map(float, upper)),
        units=tuple(unit_of(posterior, library.terms[i]) for i in on),
        complexity=float(library.complexities[on].sum()),
        log_odds=log_odds,
        draws=count,
        level=level,
        target=library.target,
        factors=tuple(library.terms[i].factor for i in on),
    )


def unit_of(posterior: Posterior, term: Term) -> str:
    """Unit of a coefficient in the units of the posterior, as `coefficient_unit` writes it; 1 of a column."""
    if posterior.library.of_columns:
        return "1"
    return coefficient_unit(term, posterior.library.target_term, dict(posterior.units))


def effective_draws(weights: np.ndarray) -> float:
    """Effective number of draws with weights `[N]`, dimensionless; 0 where there are none."""
    relative = weights / top if (top := weights.max(initial=0.0)) else weights
    return float(relative.sum() ** 2 / np.sum(relative**2)) if top else 0.0


def _draws(posterior: Posterior, spins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the particles that hold `spins`, `[N, k]`, and their weights `[N]`."""
    holds = np.all(posterior.spins == spins, axis=-1)
    weights = np.broadcast_to(posterior.run_weights[:, None], holds.shape)[holds]
    return posterior.coefficients[holds][:, spins], weights


def _summarise(draws: np.ndarray, weights: np.ndarray, level: float) -> tuple[np.ndarray, ...]:
    """Mean, standard deviation and equal-tailed interval of weighted draws (`[N, k]`, weights sum to 1)."""
    mean = weights @ draws
    sd = np.sqrt(weights @ (draws - mean) ** 2)
    ends = np.empty((2, draws.shape[1]))
    for k, values in enumerate(draws.T):
        order = np.argsort(values)
        middle = np.cumsum(weights[order]) - weights[order] / 2
        ends[:, k] = np.interp([(1 - level) / 2, (1 + level) / 2], middle, values[order])
    return mean, sd, ends[0], ends[1]
