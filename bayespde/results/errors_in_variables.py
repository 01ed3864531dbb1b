"""Posterior -> the second estimate of the coefficients, from the smooth field alone, beside the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayespde.core.posterior import Posterior
from bayespde.results.equations import RankedEquation, closed_form, format_equations, format_value


@dataclass(frozen=True, eq=False)
class ErrorsInVariablesEstimate:
    """Coefficients of one equation, estimated twice.

    Attributes:
        names: Its terms.
        coefficients: From the smooth field alone, `[k]`, float64, physical units.
        sd: Their standard deviations; they know of the noise, not of the smoother's bias.
        first: From the rows that selected the equation, `[k]`.
        first_sd: Theirs.
        is_corrected: Whether the noise could be taken out of the normal equations of the second.
    """

    names: tuple[str, ...]
    coefficients: np.ndarray
    sd: np.ndarray
    first: np.ndarray
    first_sd: np.ndarray
    is_corrected: bool

    @property
    def scores(self) -> np.ndarray:
        """Differences of the two in standard deviations, `[k]`, as if they were independent."""
        return np.abs(self.coefficients - self.first) / np.hypot(self.sd, self.first_sd)

    def __str__(self) -> str:
        pairs = zip(self.names, self.coefficients, self.sd, strict=True)
        text = ", ".join(f"{n} {format_value(c, s)}" for n, c, s in pairs)
        return f"second estimate, from the smooth field alone: {text}" + (
            "" if self.is_corrected else "; not corrected"
        )


def errors_in_variables_estimate(posterior: Posterior) -> ErrorsInVariablesEstimate | None:
    """The coefficients of the most probable equation, from the smooth field alone [fuller1987].

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        Both estimates; None where there is no second one: for the strong form, noise that is not white, an empty
        equation, statistics that were added, and an equation other than the one preferred while rows were formed.
    """
    found = posterior.statistics.provenance.get("fit", {}).get("field_estimate")
    on = posterior.configurations()[0][0]
    if found is None or {n for n, s in zip(posterior.statistics.names, on, strict=True) if s} != set(found["terms"]):
        return None
    first, first_sd, _, _ = closed_form(posterior.statistics, on)
    return ErrorsInVariablesEstimate(
        tuple(found["terms"]),
        np.array(found["coefficients"]),
        np.array(found["sd"]),
        first,
        first_sd,
        bool(found["is_corrected"]),
    )


def format_estimates(posterior: Posterior, ranked: Sequence[RankedEquation]) -> str:
    """Write ranked equations, and below them the second estimate of the first where there is one."""
    second = errors_in_variables_estimate(posterior)
    return format_equations(ranked) + (f"\n{second}" if second else "")
