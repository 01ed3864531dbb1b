"""Posterior -> checks of fit: each a number, a limit, and what not to trust beyond it, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayespde.core.posterior import Posterior
from bayespde.results.equations import group_masses
from bayespde.results.errors_in_variables import errors_in_variables_estimate
from bayespde.results.information_matrix import block_scatter

RESIDUAL_SCORE = 5.0
CORRELATION = 0.1
WINDOW_SCORE = 3.0
# Relative change of a coefficient that never matters.
WINDOW_CHANGE = 0.01
# The second estimate does not know of the smoother's bias.
SECOND_SCORE = 6.0
LOG_ODDS_CHANGE = 1.0
PILOT_CHANGE = 0.05
CONDITION = 1e3
BLINDNESS = 3.0
ROWS_PER_TERM = 10.0
# Of a trajectory: the share of its information that waves owe to their noise, the noise it leaves over that of the
# smooth field, and the score by which what it leaves is slower than noise.
COMB = 0.3
EXCESS_NOISE = 1.05
SLOW = 4.0
# Of the blocks, in standard deviations, and the smallest ratio that matters.
SCATTER, SCATTER_RATIO = 4.0, 1.25
# Excess kurtosis of its residuals; counts of a few electrons have less.
TAILS = 1.0
# Share of noise in the variance of the rows below which it is no part of what they are judged by.
NOISE_MATTERS = 0.5


@dataclass(frozen=True)
class Check:
    """One check of fit.

    Attributes:
        name: What is checked.
        value: What was found, dimensionless.
        limit: Largest value that passes.
        passed: Whether it did.
        affects: What not to trust if it did not.
        because: Why.
    """

    name: str
    value: float
    limit: float
    passed: bool
    affects: str
    reason: str

    def __str__(self) -> str:
        if self.passed:
            return f"{self.name}: {self.value:.3g} (limit {self.limit:g})"
        return f"do not trust {self.affects}, because {self.reason}"


def model_checks(posterior: Posterior) -> tuple[Check, ...]:
    """Check whether the rows, the noise model and the most probable equation fit each other.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        All checks that the rows allow, those that did not pass first.
    """
    rows = _worst_of_parts(posterior.statistics.provenance)
    found = [*_form_checks(posterior), *rows, *_equation_checks(posterior)]
    return tuple(sorted(found, key=lambda c: c.passed))


def format_checks(checks: tuple[Check, ...]) -> str:
    """Write what failed as sentences, or that nothing did."""
    failed = [str(c) for c in checks if not c.passed]
    return "\n".join(failed) if failed else f"all {len(checks)} checks of fit passed"


def at_most(name: str, value: float, limit: float, affects: str, reason: str) -> Check:
    """A check that passes up to its limit; a value that is no number fails."""
    return Check(name, float(value), limit, bool(value <= limit), affects, reason)


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
    if "trajectory" in statistics.provenance:
        yield from _trajectory_checks(statistics.provenance["trajectory"])
    share = terms * ROWS_PER_TERM / max(statistics.rows, 1e-300)
    yield at_most(
        "effective rows",
        share,
        1.0,
        "probabilities near 0 or 1",
        f"{statistics.rows:.0f} effective rows are few for {terms} candidate terms",
    )


def _trajectory_checks(found: Mapping[str, Any]) -> Iterator[Check]:
    yield at_most("trajectory", 1 - found["converged"], 0, "anything along this trajectory", "its fit did not converge")
    yield at_most(
        "comb",
        found["noise_share"],
        COMB,
        "coefficients and odds along this trajectory",
        f"{found['noise_share']:.0%} of what it says comes from waves lost in noise: its likelihood is a comb",
    )
    yield at_most(
        "excess noise",
        found["excess_noise"],
        EXCESS_NOISE,
        "the equation, or its boundary",
        f"the trajectory leaves {found['excess_noise']:.2f} times the noise that the smooth field leaves",
    )
    yield at_most(
        "slow residual",
        found["whiteness_score"],
        SLOW,
        "the equation, or its boundary",
        f"what the trajectory leaves is slower than noise ({found['whiteness_score']:.1f} standard deviations)",
    )
    yield at_most(
        "tails",
        found["excess_kurtosis"],
        TAILS,
        "intervals and probabilities",
        f"some pixels are far off (excess kurtosis {found['excess_kurtosis']:.1f}): mask them",
    )
    yield at_most(
        "own trajectory",
        found["log_odds_change_left"],
        LOG_ODDS_CHANGE,
        "the odds between the leading equations",
        f"along their own trajectories they change by {found['log_odds_change_left']:.1f} nats",
    )


def _worst_of_parts(provenance: Mapping[str, Any]) -> list[Check]:
    """Checks of the rows; where statistics of several videos were added, the worst of each kind."""
    parts, worst = list(_parts(provenance)), dict[str, Check]()
    for number, part in enumerate(parts, start=1):
        for check in _row_checks(part):
            if len(parts) > 1:
                check = replace(check, reason=f"in video {number} of {len(parts)} {check.reason}")
            worst[check.name] = max(worst.get(check.name, check), check, key=lambda c: (not c.passed, c.value))
    return list(worst.values())


def _parts(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "parts" not in provenance:
        yield provenance
    for part in provenance.get("parts", []):
        yield from _parts(part)


def _row_checks(provenance: Mapping[str, Any]) -> Iterator[Check]:
    fit = provenance.get("fit", {})
    if fit:
        yield from _residual_checks(fit["residual_map"], is_noisy=_noise_matters(provenance))
        yield from _noise_check(provenance, fit["residual_correlation"])
    if "other_windows" in fit:
        yield _windows_check(fit["other_windows"])
    if "pilot_change" in provenance:
        yield at_most(
            "pilot",
            provenance["pilot_change"],
            PILOT_CHANGE,
            "log odds near 0",
            "the equation at which the rows are whitened did not settle",
        )
    if "frames_settled" in provenance:
        yield at_most(
            "frames",
            1 - provenance["frames_settled"],
            0,
            "intervals and probabilities",
            "the displacements of the frames did not settle: they are as large as what the field shows",
        )
    if "log_odds_change_left" in provenance:
        yield at_most(
            "own covariance",
            provenance["log_odds_change_left"],
            LOG_ODDS_CHANGE,
            "the odds between the leading equations",
            f"judged with their own covariance they change by {provenance['log_odds_change_left']:.1f} nats",
        )


def _noise_matters(provenance: Mapping[str, Any]) -> bool:
    """Whether noise is a good part of the variance of the rows; where it is not, less of it is no fault."""
    return bool(provenance.get("expected_residual", 1.0) > NOISE_MATTERS)


def _noise_check(provenance: Mapping[str, Any], found: Mapping[str, float]) -> Iterator[Check]:
    """Correlations of the residuals that the noise model leaves out; of no interest where noise hardly matters."""
    if not found or provenance.get("noise") == "front_jitter" or not _noise_matters(provenance):
        return
    lags = provenance.get("correlation") or [[1.0]] * len(found)
    # Below zero the smoother took the slow part of the noise, which makes intervals too wide if anything.
    left = [
        (value, f"neighbouring residuals along {dim} are correlated ({value:.2f}) and were taken as independent")
        if len(known) == 1
        else (known[-1], f"noise hangs together along {dim} over more than the {len(known) - 1} samples modelled")
        for (dim, value), known in zip(found.items(), lags, strict=True)
    ]
    value, because = max(left)
    yield at_most("noise", max(value, 0.0), CORRELATION, "intervals and probabilities", because)


def _windows_check(other: Mapping[str, Any]) -> Check:
    size = np.abs(other["coefficients"]).max(axis=0)
    allowed = np.maximum(np.maximum(*other["sd"]), WINDOW_CHANGE / WINDOW_SCORE * size)
    scores = np.abs(np.subtract(*other["coefficients"])) / allowed
    worst = int(np.argmax(scores))
    narrow, wide = (c[worst] for c in other["coefficients"])
    return at_most(
        "windows",
        scores[worst],
        WINDOW_SCORE,
        f"the coefficient of {other['terms'][worst]}",
        f"it is {narrow:.4g} on narrower and {wide:.4g} on wider test functions: errors in variables; "
        "wider ones are safer",
    )


def _residual_checks(residuals: Mapping[str, Any], *, is_noisy: bool) -> Iterator[Check]:
    lowest = -np.inf if is_noisy else 0.0
    overall, scores = max(residuals["overall"], lowest), np.maximum(residuals["score"], lowest)
    direction = "more" if overall > 0 else "less"
    yield at_most(
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
    yield at_most(
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
    yield at_most(
        "condition",
        condition,
        CONDITION,
        "coefficients one by one",
        f"the terms of the equation nearly cancel each other (condition number {condition:.2g})",
    )
    if all(_noise_matters(part) for part in _parts(statistics.provenance)):
        scatter = block_scatter(statistics, best)
        yield at_most(
            "block scatter",
            scatter.score if scatter.ratio > SCATTER_RATIO else min(scatter.score, SCATTER),
            SCATTER,
            "intervals and probabilities",
            f"blocks of rows scatter {scatter.ratio:.1f} times as much as independent ones "
            f"({scatter.score:.1f} standard deviations): rows say the same several times",
        )
    names = {n for n, on in zip(statistics.names, best, strict=True) if on}
    groups = [g for g, _ in group_masses(posterior) if names & set(g.members)]
    yield at_most(
        "groups",
        len(groups),
        0,
        "one description over the other",
        f"these data cannot tell {groups[0].describe() if groups else ''} apart",
    )
    second = errors_in_variables_estimate(posterior)
    if second is not None:
        worst = int(np.argmax(second.scores))
        yield at_most(
            "second estimate",
            second.scores[worst],
            SECOND_SCORE,
            f"the coefficient of {second.names[worst]}",
            f"it is {second.first[worst]:.4g} by the rows, {second.coefficients[worst]:.4g} by the smooth field alone",
        )
    g = posterior.provenance.get("g")
    if g is not None:
        left = float(statistics.block_residuals(statistics.least_squares(best)).sum()) / statistics.energy
        yield at_most(
            "blindness",
            BLINDNESS / g / max(left, 1e-300),
            1.0,
            "that small terms are absent",
            f"a fixed g of {g:.3g} cannot see residuals below 1/g of the rows, and these leave {left:.1g}",
        )
