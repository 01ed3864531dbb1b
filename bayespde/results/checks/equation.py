"""Posterior -> checks of its most probable equation: conditioning, information matrix, groups, and other estimates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayespde.core.posterior import Posterior
from bayespde.core.slabs import fixed_g
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.checks.check import Check, at_most
from bayespde.results.checks.weak_form import is_noise_dominated
from bayespde.results.equations import group_masses
from bayespde.results.errors_in_variables import errors_in_variables_estimate
from bayespde.results.information_matrix import information_matrix_test

CONDITION = 1e3
# Score of the information matrix test in standard deviations, and the smallest ratio that matters.
INFORMATION_SCORE, INFORMATION_RATIO = 4.0, 1.25
# The errors-in-variables estimate does not include the bias of the smoother in its errors.
ERRORS_IN_VARIABLES_SCORE = 6.0
# Residuals below this multiple of 1/g are not resolved by a fixed g.
G_RESOLUTION = 3.0


def equation_checks(posterior: Posterior) -> Iterator[Check]:
    """The checks of the most probable equation that the rows allow."""
    statistics, best = posterior.statistics, posterior.configurations()[0][0]
    yield _condition_check(statistics, best)
    if all(map(is_noise_dominated, statistics.records)):
        yield _information_matrix_check(statistics, best)
    yield _group_check(posterior, best)
    yield from _errors_in_variables_check(posterior)
    yield from _g_prior_check(posterior, best)


def _condition_check(statistics: SufficientStatistics, best: np.ndarray) -> Check:
    columns = statistics.factor[:, :-1][:, best] / statistics.column_scale[best]
    condition = float(np.linalg.cond(columns)) if best.any() else 1.0
    reason = f"the terms of the equation nearly cancel each other (condition number {condition:.2g})"
    return at_most("condition", condition, CONDITION, "coefficients one by one", reason)


def _information_matrix_check(statistics: SufficientStatistics, best: np.ndarray) -> Check:
    found = information_matrix_test(statistics, best)
    value = found.score if found.ratio > INFORMATION_RATIO else min(found.score, INFORMATION_SCORE)
    reason = (
        f"the scores of blocks of rows scatter {found.ratio:.1f} times as much as those of independent rows "
        f"({found.score:.1f} standard deviations): rows repeat each other"
    )
    return at_most("information matrix", value, INFORMATION_SCORE, "intervals and probabilities", reason)


def _group_check(posterior: Posterior, best: np.ndarray) -> Check:
    names = {n for n, on in zip(posterior.statistics.names, best, strict=True) if on}
    groups = [g for g, _ in group_masses(posterior) if names & set(g.members)]
    reason = f"these data cannot tell {groups[0].describe() if groups else ''} apart"
    return at_most("groups", len(groups), 0, "one description over the other", reason)


def _errors_in_variables_check(posterior: Posterior) -> Iterator[Check]:
    other = errors_in_variables_estimate(posterior)
    if other is None:
        return
    worst = int(np.argmax(other.scores))
    reason = (
        f"it is {other.weak_form[worst]:.4g} by the weak form, and {other.coefficients[worst]:.4g} by the "
        "errors-in-variables estimate from the smoothed field"
    )
    affects = f"the coefficient of {other.names[worst]}"
    yield at_most("errors in variables", other.scores[worst], ERRORS_IN_VARIABLES_SCORE, affects, reason)


def _g_prior_check(posterior: Posterior, best: np.ndarray) -> Iterator[Check]:
    """Whether a fixed g resolves the residual: the information paradox [liang2008]."""
    statistics = posterior.statistics
    g = None if posterior.slab is None else fixed_g(posterior.slab, statistics.observations)
    if g is None:
        return
    left = float(statistics.block_residuals(statistics.least_squares(best)).sum()) / statistics.energy
    value = G_RESOLUTION / g / max(left, 1e-300)
    reason = (
        f"a fixed g of {g:.3g} does not resolve residuals below 1/g of the target, and this one is {left:.1g} of it"
    )
    yield at_most("g-prior resolution", value, 1.0, "that small terms are absent", reason)
