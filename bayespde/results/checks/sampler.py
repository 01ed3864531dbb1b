"""Posterior -> checks of the sampler: runs against each other and against enumeration, and the tempering schedule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayespde.core.likelihood import Likelihood
from bayespde.core.posterior import Posterior
from bayespde.core.sampled_spins import Sampled, SampledSpins
from bayespde.results.checks.check import Check, at_most, worst_of_each
from bayespde.results.diagnostics import between_run_diagnostics, scalar_diagnostics

# Monte Carlo standard error of an inclusion probability, and its deviation from enumeration.
PRECISION, DEVIATION = 0.05, 0.05
# Standard errors by which sampling may differ from enumeration in addition.
STANDARD_ERRORS = 5.0
R_HAT = 1.05
# Nats.
EVIDENCE, LIKELIHOOD_ERROR = 0.3, 1e-2
# Particles per effective one, after any tempering step.
LARGEST_STEP = 20.0
# Runs whose probabilities are listed.
LISTED = 8
# Checks that fail where runs are missing, whatever the others give.
MISSING_RUNS = frozenset({"complete", "runs", "budget"})


def sampler_checks(posterior: Sampled) -> Iterator[Check]:
    """The checks of convergence that the method of sampling and the number of runs allow."""
    if isinstance(posterior, Posterior) and posterior.field_draw is not None:
        # Runs are compared within a draw of the field only.
        yield from worst_of_each(check for part in posterior.by_field_draw() for check in sampler_checks(part))
        return
    found, is_exact = posterior.sampled, posterior.sampled.exact_inclusion is not None
    sampling, runs = found.sampling, len(found.spins)
    finished = f"{runs} of {sampling.settings.get('runs', 'more')} runs"
    stopped = not sampling.complete and not sampling.budget_exhausted
    yield at_most("complete", stopped, 0, "Monte Carlo errors", f"interrupted: {finished}")
    likelihood = posterior.likelihood if isinstance(posterior, Posterior) else Likelihood()
    if sampling.budget_exhausted:
        yield at_most("budget", 1, 0, "Monte Carlo errors", f"the budget ended sampling after {finished}")
    elif likelihood.budget_exhausted:
        yield _budget_check(likelihood)
    if sampling.method == "exact":
        return
    if runs < 2:
        reason = "a single run cannot be compared with another one: modes that it missed do not show"
        yield at_most("runs", float(not is_exact), 0, "Monte Carlo errors", reason)
    else:
        yield from _agreement_checks(posterior)
        yield _mixing_check(posterior)
        yield from _evidence_check(found)
    yield from _tempering_check(found)
    if is_exact:
        yield _enumeration_check(posterior)
    error = max((abs(e) for e in sampling.likelihood_error if e is not None), default=0.0)
    reason = f"its log likelihoods are off by {error:.1e} nats"
    yield at_most("likelihood error", error, LIKELIHOOD_ERROR, "the kernel", reason)


def _budget_check(likelihood: Likelihood) -> Check:
    reason = "the budget ended the search for trajectories, by which coefficients are more exact"
    if likelihood.kind == "strong_form":
        reason = "the budget ended the training of the networks whose derivatives the rows are of"
    return at_most("budget", 1, 0, "this as the best that can be said of the video", reason)


def _agreement_checks(posterior: Sampled) -> Iterator[Check]:
    table, names = between_run_diagnostics(posterior), posterior.sampled.names
    inclusion, error = table["inclusion"].values, table["standard_error"].values
    ratio = table["spread"].values / np.maximum(table["tolerance"].values, 1e-12)
    worst, widest = int(np.argmax(ratio)), int(np.argmax(error))
    value = ratio[worst] if table["disagreement"].any() else min(ratio[worst], 1.0)
    affects = f"the probability of {names[worst]}, and what depends on it"
    by_run = ", ".join(f"{v:.2f}" for v in inclusion[:LISTED, worst]) + (", ..." if len(inclusion) > LISTED else "")
    reason = f"{names[worst]} has probability {by_run} by run"
    yield at_most("agreement", value, 1.0, affects, reason)
    affects = f"the probability of {names[widest]} to two digits"
    reason = f"its standard error is {float(error[widest]):.2g}"
    yield at_most("precision", float(error[widest]), PRECISION, affects, reason)


def _mixing_check(posterior: Sampled) -> Check:
    scalars = scalar_diagnostics(posterior)
    name = str(scalars["quantity"].values[int(np.argmax(scalars["r_hat"].values))])
    r_hat = float(scalars["r_hat"].values.max())
    reason = f"R-hat of {name} is {r_hat:.3g}: particles depend on their run or their ancestor"
    if np.isnan(r_hat):
        reason = f"{posterior.sampled.spins.shape[1]} particles are too few to compare"
    return at_most("mixing", r_hat, R_HAT, "the particles as draws", reason)


def _evidence_check(found: SampledSpins) -> Iterator[Check]:
    if np.isfinite(found.log_evidence).all():
        reason = f"log evidence has a Monte Carlo standard error of {found.log_evidence_error:.2g} nats"
        affects = "Bayes factors, and what is pooled over runs"
        yield at_most("evidence", found.log_evidence_error, EVIDENCE, affects, reason)


def _tempering_check(found: SampledSpins) -> Iterator[Check]:
    if "ess" in found.stages and np.isfinite(found.stages["ess"]).any():
        least, particles = float(np.nanmin(found.stages["ess"])), found.spins.shape[1]
        reason = f"one tempering step left {least:.0f} effective particles of {particles}"
        affects = "the evidence, and rare configurations"
        yield at_most("tempering step", particles / max(least, 1e-12), LARGEST_STEP, affects, reason)


def _enumeration_check(posterior: Sampled) -> Check:
    table = between_run_diagnostics(posterior)
    error = np.nan_to_num(table["standard_error"].values)
    excess = np.abs(table["deviation"].values) - STANDARD_ERRORS * error
    worst = int(np.argmax(excess))
    deviation, name = float(table["deviation"][worst]), posterior.sampled.names[worst]
    affects = "the particles; probabilities are those of the enumeration"
    return at_most("enumeration", excess[worst], DEVIATION, affects, f"sampling is off by {deviation:+.2f} for {name}")
