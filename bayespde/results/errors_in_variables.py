"""Posterior -> the errors-in-variables estimate of its coefficients from the smoothed field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayespde.core.checked import validated
from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.posterior import Posterior
from bayespde.results.equations import RankedEquation, format_equations, format_value


@dataclass(frozen=True, eq=False)
class ErrorsInVariablesEstimate:
    """Coefficients of one equation by two estimators.

    Attributes:
        names: Its terms.
        coefficients: The errors-in-variables estimate from the smoothed field, `[k]`, float64, physical units.
        sd: Their standard deviations; they contain the noise, not the bias of the smoother.
        weak_form: Coefficients by the weak form, which selected the equation, `[k]`.
        weak_form_sd: Their standard deviations.
        is_corrected: Whether the noise could be removed from the normal equations of the errors-in-variables estimate.
    """

    names: tuple[str, ...]
    coefficients: np.ndarray
    sd: np.ndarray
    weak_form: np.ndarray
    weak_form_sd: np.ndarray
    is_corrected: bool

    @property
    def scores(self) -> np.ndarray:
        """Differences of the two estimates in standard deviations, `[k]`, as if they were independent."""
        return np.abs(self.coefficients - self.weak_form) / np.hypot(self.sd, self.weak_form_sd)

    def __str__(self) -> str:
        pairs = zip(self.names, self.coefficients, self.sd, strict=True)
        text = ", ".join(f"{n} {format_value(c, s)}" for n, c, s in pairs)
        ending = "" if self.is_corrected else "; not corrected for noise"
        return f"errors-in-variables estimate from the smoothed field: {text}{ending}"


@validated
def errors_in_variables_estimate(posterior: Posterior) -> ErrorsInVariablesEstimate | None:
    """The coefficients of the most probable equation, from the smoothed field alone [fuller1987].

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        Both estimates; None where there is none: for the strong form, noise that is not white, an empty equation,
        statistics that were added, and an equation other than the one at which the weak form was linearised.
    """
    fit = posterior.statistics.record.fit
    found = fit.errors_in_variables if fit else None
    on = posterior.configurations()[0][0]
    if found is None or {n for n, s in zip(posterior.statistics.names, on, strict=True) if s} != set(found.terms):
        return None
    weak_form = CoefficientPosterior.of(posterior.statistics, on)
    return ErrorsInVariablesEstimate(
        found.terms,
        np.array(found.coefficients),
        np.array(found.sd),
        weak_form.mean,
        weak_form.sd,
        found.is_corrected,
    )


def format_estimates(posterior: Posterior, ranked: Sequence[RankedEquation]) -> str:
    """Write ranked equations, and below them the errors-in-variables estimate of the first where there is one."""
    other = errors_in_variables_estimate(posterior)
    return format_equations(ranked) + (f"\n{other}" if other else "")
