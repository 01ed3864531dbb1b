"""Posterior -> checks of fit: each a number, a limit, and what not to trust beyond it, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayespde.core.posterior import Posterior
from bayespde.results.equations import group_masses

RESIDUAL_SCORE = 5.0
CORRELATION = 0.1
WINDOW_SCORE = 3.0
LOG_ODDS_CHANGE = 1.0
PILOT_CHANGE = 0.05
CONDITION = 1e3
BLINDNESS = 3.0
ROWS_PER_TERM = 10.0


@dataclass(frozen=True)
class Check:
    """One check of fit.

    Attributes:
        name: What is checked.
        value: What was found, dimensionless.
        limit: Largest value that passes.
        passed: Whether it did.
        distrust: What not to trust if it did not.
        because: Why.
    """

    name: str
    value: float
    limit: float
    passed: bool
    distrust: str
    because: str

    def __str__(self) -> str:
        if self.passed:
            return f"{self.name}: {self.value:.3g} (limit {self.limit:g})"
        return f"do not trust {self.distrust}, because {self.because}"


def check_fit(posterior: Posterior) -> tuple[Check, ...]:
    """Check whether the rows, the noise model and the most probable equation fit each other.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        All checks that the rows allow, those that did not pass first.
    """
    found = [*_form_checks(posterior), *_row_checks(posterior.statistics.provenance), *_equation_checks(posterior)]
    return tuple(sorted(found, key=lambda c: c.passed))


def format_checks(checks: tuple[Check, ...]) -> str:
    """Write what failed as sentences, or that nothing did."""
    failed = [str(c) for c in checks if not c.passed]
    return "\n".join(failed) if failed else f"all {len(checks)} checks of fit passed"


def _upper(name: str, value: float, limit: float, distrust: str, because: str) -> Check:
    return Check(name, float(value), limit, bool(value <= limit), distrust, because)


def _form_checks(posterior: Posterior) -> Iterator[Check]:
    statistics = posterior.statistics
    terms = len(statistics.names)
    if statistics.provenance.get("form") == "strong":
        yield Check(
            "form",
            1.0,
            0.0,
            False,
            "which terms are in",
            "rows at points inherit the bias of the smoother, and with noise they select wrong terms",
        )
    share = terms * ROWS_PER_TERM / max(statistics.rows, 1e-300)
    yield _upper(
        "effective rows",
        share,
        1.0,
        "probabilities near 0 or 1",
        f"{statistics.rows:.0f} effective rows are few for {terms} candidate terms",
    )


def _row_checks(provenance: Mapping[str, Any]) -> Iterator[Check]:
    fit = provenance.get("fit", {})
    if fit:
        yield from _residual_checks(fit["residual_map"])
        if provenance.get("noise") != "front":
            found = fit["residual_correlation"]
            lags = provenance.get("correlation") or [[1.0]] * len(found)
            left = [pair for pair, known in zip(found.items(), lags, strict=True) if len(known) == 1]
            dim, value = max(left, key=lambda pair: abs(pair[1]))
            yield _upper(
                "noise",
                abs(value),
                CORRELATION,
                "intervals and probabilities",
                f"neighbouring residuals along {dim} are correlated ({value:.2f}) and were taken as independent",
            )
    if "other_windows" in fit:
        other = fit["other_windows"]
        scores = np.abs(np.subtract(*other["coefficients"])) / np.maximum(*other["sd"])
        worst = int(np.argmax(scores))
        narrow, wide = (c[worst] for c in other["coefficients"])
        yield _upper(
            "windows",
            scores[worst],
            WINDOW_SCORE,
            f"the coefficient of {other['terms'][worst]}",
            f"it is {narrow:.4g} on narrower and {wide:.4g} on wider test functions: errors in variables; "
            "wider ones are safer",
        )
    if "pilot_change" in provenance:
        yield _upper(
            "pilot",
            provenance["pilot_change"],
            PILOT_CHANGE,
            "log odds near 0",
            "the equation at which the rows are whitened did not settle",
        )
    if "log_odds_change_left" in provenance:
        yield _upper(
            "own covariance",
            provenance["log_odds_change_left"],
            LOG_ODDS_CHANGE,
            "the odds between the leading equations",
            f"judged with their own covariance they change by {provenance['log_odds_change_left']:.1f} nats",
        )


def _residual_checks(residuals: Mapping[str, Any]) -> Iterator[Check]:
    overall, scores = residuals["overall"], np.asarray(residuals["score"])
    direction = "more" if overall > 0 else "less"
    yield _upper(
        "residual",
        abs(overall),
        RESIDUAL_SCORE,
        "intervals and probabilities",
        f"the rows are left {direction} residual than their noise explains ({abs(overall):.1f} standard deviations)",
    )
    worst = int(np.argmax(np.abs(scores)))
    box = np.unravel_index(worst, residuals["shape"])
    dims = ("time", "z", "y", "x")[:1] + ("z", "y", "x")[-(len(box) - 1) :]
    where = ", ".join(f"{d} {i + 1} of {n}" for d, i, n in zip(dims, box, residuals["shape"], strict=True))
    yield _upper(
        "residual map",
        abs(scores[worst]),
        RESIDUAL_SCORE,
        "one equation for the whole video",
        f"the misfit is concentrated in part {where} ({scores[worst]:.1f} standard deviations)",
    )


def _equation_checks(posterior: Posterior) -> Iterator[Check]:
    statistics, best = posterior.statistics, posterior.configurations()[0][0]
    columns = statistics.factor[:, :-1][:, best] / statistics.column_scale[best]
    condition = float(np.linalg.cond(columns)) if best.any() else 1.0
    yield _upper(
        "condition",
        condition,
        CONDITION,
        "coefficients one by one",
        f"the terms of the equation nearly cancel each other (condition number {condition:.2g})",
    )
    names = {n for n, on in zip(statistics.names, best, strict=True) if on}
    groups = [g for g, _ in group_masses(posterior) if names & set(g.members)]
    yield _upper(
        "groups",
        len(groups),
        0,
        "one description over the other",
        f"these data cannot tell {groups[0].describe() if groups else ''} apart",
    )
    g = posterior.provenance.get("g")
    if g is not None:
        left = float(statistics.block_residuals(statistics.least_squares(best)).sum()) / statistics.energy
        yield _upper(
            "blindness",
            BLINDNESS / g / max(left, 1e-300),
            1.0,
            "that small terms are absent",
            f"a fixed g of {g:.3g} cannot see residuals below 1/g of the rows, and these leave {left:.1g}",
        )
