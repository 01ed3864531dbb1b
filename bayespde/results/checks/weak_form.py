"""Records of how rows were formed -> checks of residuals, noise model, test functions and linearisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bayespde.core.assembly_record import AssemblyRecord, OtherSupports, ResidualMap
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


def weak_form_checks(records: Sequence[AssemblyRecord]) -> list[Check]:
    """The recorded checks of how rows were formed; where statistics of several videos were added, the worst of each."""
    if len(records) == 1:
        return list(_checks(records[0]))
    return worst_of_each(
        replace(check, reason=f"in video {number} of {len(records)} {check.reason}")
        for number, record in enumerate(records, start=1)
        for check in _checks(record)
    )


def is_noise_dominated(record: AssemblyRecord) -> bool:
    """Whether most of the variance of the rows is noise; otherwise less noise than expected is no misfit."""
    return record.expected_residual is None or record.expected_residual > NOISE_SHARE


def _checks(record: AssemblyRecord) -> Iterator[Check]:
    if record.fit is not None:
        yield from _residual_checks(record.fit.residual_map, is_noisy=is_noise_dominated(record))
        yield from _noise_checks(record, record.fit.residual_correlation)
        if record.fit.other_supports is not None:
            yield _test_function_check(record.fit.other_supports)
    if record.linearisation_change is not None:
        change, affects = record.linearisation_change, "log odds near 0"
        reason = "the equation at which the weak form is linearised did not converge"
        yield at_most("linearisation", change, LINEARISATION_CHANGE, affects, reason)
    if record.frames_settled is not None:
        reason = "the displacements of the frames did not converge: they are as large as the structures of the field"
        yield at_most("frames", 1 - record.frames_settled, 0, INTERVALS, reason)
    if record.log_odds_change_left is not None:
        change = record.log_odds_change_left
        reason = f"with the weak form linearised at each of them they change by {change:.1f} nats"
        yield at_most("relinearisation", change, LOG_ODDS_CHANGE, "the odds between the leading equations", reason)


def _residual_checks(residuals: ResidualMap, *, is_noisy: bool) -> Iterator[Check]:
    lowest = -np.inf if is_noisy else 0.0
    overall, scores = max(residuals.overall, lowest), np.maximum(residuals.score, lowest)
    direction = "larger" if overall > 0 else "smaller"
    reason = f"the residual of the rows is {direction} than the noise explains ({abs(overall):.1f} standard deviations)"
    yield at_most("residual", abs(overall), RESIDUAL_SCORE, INTERVALS, reason)
    worst = int(np.argmax(np.abs(scores)))
    box = np.unravel_index(worst, residuals.shape)
    dims = ("time", "z", "y", "x")[:1] + ("z", "y", "x")[-(len(box) - 1) :]
    where = ", ".join(f"{d} {i + 1} of {n}" for d, i, n in zip(dims, box, residuals.shape, strict=True))
    reason = f"the misfit is concentrated in part {where} ({scores[worst]:.1f} standard deviations)"
    yield at_most("residual map", abs(scores[worst]), RESIDUAL_SCORE, "one equation for the whole video", reason)


def _noise_checks(record: AssemblyRecord, found: Mapping[str, float]) -> Iterator[Check]:
    """Correlations of the residuals beyond those that are modelled; none where noise hardly contributes."""
    if not found or record.noise == "front_jitter" or not is_noise_dominated(record):
        return
    lags = record.correlation or [(1.0,)] * len(found)
    # A negative correlation means that the smoother took slow noise, which makes intervals too wide if anything.
    left = [
        (value, f"neighbouring residuals along {dim} are correlated ({value:.2f}) and were taken as independent")
        if len(known) == 1
        else (known[-1], f"noise is correlated along {dim} over more than the {len(known) - 1} samples modelled")
        for (dim, value), known in zip(found.items(), lags, strict=True)
    ]
    value, reason = max(left)
    yield at_most("noise", max(value, 0.0), CORRELATION, INTERVALS, reason)


def _test_function_check(other: OtherSupports) -> Check:
    """Change of a coefficient between narrower and wider test functions, in standard deviations."""
    estimates, sd = np.array(other.coefficients), np.array(other.sd)
    size = np.abs(estimates).max(axis=0)
    allowed = np.maximum(sd.max(axis=0), TEST_FUNCTION_CHANGE / TEST_FUNCTION_SCORE * size)
    scores = np.abs(estimates[0] - estimates[1]) / allowed
    worst = int(np.argmax(scores))
    narrow, wide = estimates[:, worst]
    reason = (
        f"it is {narrow:.4g} with narrower and {wide:.4g} with wider test functions: errors in variables; "
        "wider ones are safer"
    )
    affects = f"the coefficient of {other.terms[worst]}"
    return at_most("test functions", scores[worst], TEST_FUNCTION_SCORE, affects, reason)
