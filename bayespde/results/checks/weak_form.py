"""Provenance of the rows of a weak form -> checks of residuals, noise model, test functions and linearisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayespde.results.checks.check import Check, at_most, worst_of_each

RESIDUAL_SCORE = 5.0
CORRELATION = 0.1
TEST_FUNCTION_SCORE = 3.0
# Relative change of a coefficient between test functions that is always allowed.
TEST_FUNCTION_CHANGE = 0.01
LINEARISATION_CHANGE = 0.05
LOG_ODDS_CHANGE = 1.0
# Share of noise in the variance of the rows up to which the noise model is not checked.
NOISE_SHARE = 0.5
INTERVALS = "intervals and probabilities"


def weak_form_checks(provenance: Mapping[str, Any]) -> list[Check]:
    """The recorded checks of how rows were formed; where statistics of several videos were added, the worst of each."""
    parts = list(parts_of(provenance))
    if len(parts) == 1:
        return list(_checks(parts[0]))
    return worst_of_each(
        replace(check, reason=f"in video {number} of {len(parts)} {check.reason}")
        for number, part in enumerate(parts, start=1)
        for check in _checks(part)
    )


def parts_of(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Provenance of every video whose statistics were added; of a single one, its own."""
    if "parts" not in provenance:
        yield provenance
    for part in provenance.get("parts", []):
        yield from parts_of(part)


def is_noise_dominated(provenance: Mapping[str, Any]) -> bool:
    """Whether most of the variance of the rows is noise; otherwise less noise than expected is no misfit."""
    return bool(provenance.get("expected_residual", 1.0) > NOISE_SHARE)


def _checks(provenance: Mapping[str, Any]) -> Iterator[Check]:
    fit = provenance.get("fit", {})
    if fit:
        yield from _residual_checks(fit["residual_map"], is_noisy=is_noise_dominated(provenance))
        yield from _noise_checks(provenance, fit["residual_correlation"])
    if "other_supports" in fit:
        yield _test_function_check(fit["other_supports"])
    if "linearisation_change" in provenance:
        change, affects = provenance["linearisation_change"], "log odds near 0"
        reason = "the equation at which the weak form is linearised did not converge"
        yield at_most("linearisation", change, LINEARISATION_CHANGE, affects, reason)
    if "frames_settled" in provenance:
        reason = "the displacements of the frames did not converge: they are as large as the structures of the field"
        yield at_most("frames", 1 - provenance["frames_settled"], 0, INTERVALS, reason)
    if "log_odds_change_left" in provenance:
        change = provenance["log_odds_change_left"]
        reason = f"with the weak form linearised at each of them they change by {change:.1f} nats"
        yield at_most("relinearisation", change, LOG_ODDS_CHANGE, "the odds between the leading equations", reason)


def _residual_checks(residuals: Mapping[str, Any], *, is_noisy: bool) -> Iterator[Check]:
    lowest = -np.inf if is_noisy else 0.0
    overall, scores = max(residuals["overall"], lowest), np.maximum(residuals["score"], lowest)
    direction = "larger" if overall > 0 else "smaller"
    reason = f"the residual of the rows is {direction} than the noise explains ({abs(overall):.1f} standard deviations)"
    yield at_most("residual", abs(overall), RESIDUAL_SCORE, INTERVALS, reason)
    worst = int(np.argmax(np.abs(scores)))
    box = np.unravel_index(worst, residuals["shape"])
    dims = ("time", "z", "y", "x")[:1] + ("z", "y", "x")[-(len(box) - 1) :]
    where = ", ".join(f"{d} {i + 1} of {n}" for d, i, n in zip(dims, box, residuals["shape"], strict=True))
    reason = f"the misfit is concentrated in part {where} ({scores[worst]:.1f} standard deviations)"
    yield at_most("residual map", abs(scores[worst]), RESIDUAL_SCORE, "one equation for the whole video", reason)


def _noise_checks(provenance: Mapping[str, Any], found: Mapping[str, float]) -> Iterator[Check]:
    """Correlations of the residuals beyond those that are modelled; none where noise hardly contributes."""
    if not found or provenance.get("noise") == "front_jitter" or not is_noise_dominated(provenance):
        return
    lags = provenance.get("correlation") or [[1.0]] * len(found)
    # A negative correlation means that the smoother took slow noise, which makes intervals too wide if anything.
    left = [
        (value, f"neighbouring residuals along {dim} are correlated ({value:.2f}) and were taken as independent")
        if len(known) == 1
        else (known[-1], f"noise is correlated along {dim} over more than the {len(known) - 1} samples modelled")
        for (dim, value), known in zip(found.items(), lags, strict=True)
    ]
    value, reason = max(left)
    yield at_most("noise", max(value, 0.0), CORRELATION, INTERVALS, reason)


def _test_function_check(other: Mapping[str, Any]) -> Check:
    """Change of a coefficient between narrower and wider test functions, in standard deviations."""
    size = np.abs(other["coefficients"]).max(axis=0)
    allowed = np.maximum(np.maximum(*other["sd"]), TEST_FUNCTION_CHANGE / TEST_FUNCTION_SCORE * size)
    scores = np.abs(np.subtract(*other["coefficients"])) / allowed
    worst = int(np.argmax(scores))
    narrow, wide = (c[worst] for c in other["coefficients"])
    reason = (
        f"it is {narrow:.4g} with narrower and {wide:.4g} with wider test functions: errors in variables; "
        "wider ones are safer"
    )
    affects = f"the coefficient of {other['terms'][worst]}"
    return at_most("test functions", scores[worst], TEST_FUNCTION_SCORE, affects, reason)
