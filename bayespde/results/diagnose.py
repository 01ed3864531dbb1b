"""Posterior -> a verdict in words: whether the sampler found it, whether rows and equation fit, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior
from bayespde.results.checks import Check, at_most, model_checks
from bayespde.results.compare import log_evidence_error
from bayespde.results.diagnostics import between_run_diagnostics, scalar_diagnostics
from bayespde.results.remedies import REMEDIES

# Monte Carlo standard error of an inclusion probability, and its deviation from enumeration.
PRECISION, DEVIATION = 0.05, 0.05
# Standard errors by which sampling may miss enumeration besides.
STANDARD_ERRORS = 5.0
R_HAT = 1.05
# Nats.
EVIDENCE, DRIFT = 0.3, 1e-2
# Particles per effective one, after any step of temperature.
WORST_STEP = 20.0
ONE_RUN = "one run cannot disagree with another: Monte Carlo errors are unknown"


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` says.

    Attributes:
        sampler: Checks of the sampler, those that failed first.
        fit: Checks of rows and equation, those that failed first.
        is_enumerated: Whether probabilities and evidence are those of an enumeration, whatever the sampler did.
    """

    sampler: tuple[Check, ...]
    fit: tuple[Check, ...]
    is_enumerated: bool = False

    @property
    def failed(self) -> tuple[Check, ...]:
        """What did not pass, the sampler first; where it failed, the rest says little."""
        return tuple(c for c in (*self.sampler, *self.fit) if not c.passed)

    @property
    def verdict(self) -> str:
        """One of sound, doubtful (the fit failed), unchecked (runs are missing), not sampled (the sampler failed)."""
        failed = {c.name for c in self.sampler if not c.passed}
        if failed - {"complete", "runs"}:
            return "not sampled"
        if not all(c.passed for c in self.fit):
            return "doubtful"
        return "unchecked" if failed else "sound"

    @property
    def headline(self) -> str:
        """The verdict as a sentence."""
        if self.verdict == "not sampled" and self.is_enumerated:
            return _ENUMERATED
        return _HEADLINES[self.verdict].format(count=len(self.sampler) + len(self.fit))

    def raise_if_failed(self) -> None:
        """For scripts that must not go on.

        Raises:
            StatisticsError: If anything failed.
        """
        if self.failed:
            raise StatisticsError(
                self.headline,
                got="; ".join(c.reason for c in self.failed),
                wanted="a posterior that passes every check",
                fix="; ".join(dict.fromkeys(REMEDIES[c.name] for c in self.failed)),
            )

    def __str__(self) -> str:
        lines = [self.headline]
        for check in self.failed:
            lines += [
                f"- {check.name}: {check.reason}.",
                f"  Do not trust {check.affects}.",
                f"  To do: {_to_do(check)}.",
            ]
        return "\n".join(lines)


_HEADLINES = {
    "sound": "Sound: all {count} checks of the sampler, the rows and the equation passed.",
    "doubtful": "Doubtful: nothing speaks against the sampler, but rows or equation do not fit each other.",
    "unchecked": "Unchecked: too few runs to know whether the sampler found the posterior.",
    "not sampled": "NOT SAMPLED: these particles are not the posterior. Believe none of the numbers until they are.",
}

_ENUMERATED = (
    "NOT SAMPLED: these particles are not the posterior. Probabilities and evidence are enumerated and stand; draws of "
    "coefficients, and what is made of them, do not."
)


def diagnose(posterior: Posterior) -> Diagnosis:
    """Say whether a posterior can be believed, and what to do if not.

    What ArviZ says of 0/1 variables is of no use here: R-hat is undefined for the surest terms, and effective sample
    sizes measure the order of the particles. Runs are compared instead: the standard error of every inclusion
    probability between runs, R-hat [vehtari2021] of the number of terms, log posterior and noise, the error of the
    evidence, and what enumeration says where it ran. Then come the checks of `model_checks`.

    Args:
        posterior: What sampling, enumeration or `discover` returned.

    Returns:
        A verdict with its reasons; `print` it, or ask `verdict`, `failed`, or `raise_if_failed()`.
    """
    sampler = sorted(_sampler_checks(posterior), key=lambda c: c.passed)
    return Diagnosis(tuple(sampler), model_checks(posterior), posterior.exact is not None)


def _to_do(check: Check) -> str:
    return REMEDIES[check.name]


def _sampler_checks(posterior: Posterior) -> Iterator[Check]:
    provenance, runs = posterior.provenance, len(posterior.spins)
    is_complete = provenance.get("complete", True)
    wanted = provenance.get("sampler", {}).get("runs", "more")
    yield at_most(
        "complete",
        1 - is_complete,
        0,
        "Monte Carlo errors",
        f"interrupted: {runs} of {wanted} runs",
    )
    if provenance.get("method") == "exact":
        return
    if runs < 2:
        yield at_most("runs", float(posterior.exact is None), 0, "how sure this is", ONE_RUN)
    else:
        yield from _agreement_checks(posterior)
    yield from _stage_checks(posterior)
    if posterior.exact is not None:
        yield _enumeration_check(posterior)
    drift = max((abs(d) for d in provenance.get("likelihood_error", []) if d is not None), default=0.0)
    yield at_most("likelihood_error", drift, DRIFT, "the kernel", f"its likelihoods are off by {drift:.1e} nats")


def _agreement_checks(posterior: Posterior) -> Iterator[Check]:
    table = between_run_diagnostics(posterior)
    inclusion = table["inclusion"].values
    ratio = table["spread"].values / np.maximum(table["tolerance"].values, 1e-12)
    worst, widest = int(np.argmax(ratio)), int(np.argmax(table["standard_error"].values))
    yield at_most(
        "agreement",
        ratio[worst] if table["disagreement"].any() else min(ratio[worst], 1.0),
        1.0,
        f"whether {posterior.library.names[worst]} is in the equation, and what depends on it",
        f"{posterior.library.names[worst]} has probability {_by_run(inclusion[:, worst])} by run",
    )
    yield at_most(
        "precision",
        float(table["standard_error"].values[widest]),
        PRECISION,
        f"the probability of {posterior.library.names[widest]} to two digits",
        f"its standard error between runs is {float(table['standard_error'].values[widest]):.2g}",
    )
    scalars = scalar_diagnostics(posterior)
    name = str(scalars["quantity"].values[int(np.argmax(scalars["r_hat"].values))])
    r_hat = float(scalars["r_hat"].values.max())
    yield at_most(
        "mixing",
        r_hat,
        R_HAT,
        "the particles as draws",
        f"R-hat of {name} is {r_hat:.3g}: particles remember their run or their ancestor"
        if np.isfinite(r_hat) or np.isinf(r_hat)
        else f"{posterior.spins.shape[1]} particles are too few to compare",
    )
    if np.isfinite(posterior.log_evidence).all():
        error = log_evidence_error(posterior, sampled=True)
        because = f"log evidence has a standard error of {error:.2g} nats between runs"
        yield at_most("evidence", error, EVIDENCE, "Bayes factors, and what is pooled over runs", because)


def _by_run(values: np.ndarray) -> str:
    return ", ".join(f"{v:.2f}" for v in values[:8]) + (", ..." if len(values) > 8 else "")


def _stage_checks(posterior: Posterior) -> Iterator[Check]:
    if "ess" in posterior.stages and np.isfinite(posterior.stages["ess"]).any():
        least = float(np.nanmin(posterior.stages["ess"]))
        yield at_most(
            "ladder",
            posterior.spins.shape[1] / max(least, 1e-12),
            WORST_STEP,
            "the evidence, and rare configurations",
            f"a step of temperature left {least:.0f} effective particles of {posterior.spins.shape[1]}",
        )


def _enumeration_check(posterior: Posterior) -> Check:
    table = between_run_diagnostics(posterior)
    error = np.nan_to_num(table["standard_error"].values)
    excess = np.abs(table["deviation"].values) - STANDARD_ERRORS * error
    worst = int(np.argmax(excess))
    return at_most(
        "enumeration",
        excess[worst],
        DEVIATION,
        "the particles; probabilities are those of the enumeration",
        f"sampling is off by {float(table['deviation'][worst]):+.2f} for {posterior.library.names[worst]}",
    )
