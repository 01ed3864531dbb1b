"""Posterior -> checks of fit: rows, noise model, trajectory and equation against each other."""

from __future__ import annotations

from collections.abc import Iterator

from bayespde.core.checked import validated
from bayespde.core.posterior import Posterior
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.checks.check import Check, at_most
from bayespde.results.checks.equation import equation_checks
from bayespde.results.checks.trajectory import trajectory_checks
from bayespde.results.checks.weak_form import weak_form_checks

ROWS_PER_TERM = 10.0


@validated
def model_checks(posterior: Posterior) -> tuple[Check, ...]:
    """Check whether the rows, the noise model and the most probable equation fit each other.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        All checks that the rows allow, the failed ones first.
    """
    statistics = posterior.statistics
    found = [*_row_checks(statistics), *weak_form_checks(statistics.records), *equation_checks(posterior)]
    return tuple(sorted(found, key=lambda c: c.passed))


def _row_checks(statistics: SufficientStatistics) -> Iterator[Check]:
    """The kind and the number of the rows, and the trajectory around which they are linearised."""
    if statistics.record.form == "strong":
        reason = "rows of the strong form inherit the bias of the smoother, and with noise they select wrong terms"
        yield Check("form", 1.0, 0.0, False, "which terms are in", reason)
    if statistics.record.trajectory is not None:
        yield from trajectory_checks(statistics.record.trajectory)
    terms = len(statistics.names)
    share = terms * ROWS_PER_TERM / max(statistics.rows, 1e-300)
    reason = f"{statistics.rows:.0f} effective rows are few for {terms} candidate terms"
    yield at_most("effective rows", share, 1.0, "probabilities near 0 or 1", reason)
