"""Posterior -> a verdict in words: whether the sampler converged, whether data and equation fit, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bayespde.core.checked import validated
from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior
from bayespde.core.sampled_spins import Sampled
from bayespde.results.checks import REMEDIES, Check, model_checks
from bayespde.results.checks.sampler import MISSING_RUNS, sampler_checks

Verdict = Literal["ok", "misfit", "single_run", "budget_exhausted", "not_converged"]
HEADLINES: Mapping[Verdict, str] = {
    "ok": "OK: all {count} checks of {of} passed.",
    "misfit": "MISFIT: data, noise model and equation do not fit each other. The sampler is not the reason.",
    "budget_exhausted": "BUDGET EXHAUSTED: what was computed is right, and not all that was asked for.",
    "single_run": "SINGLE RUN: too few runs to assess whether the sampler has converged.",
    "not_converged": "NOT CONVERGED: the particles are not draws from the posterior. Do not use any of these numbers.",
}
ENUMERATED = (
    "NOT CONVERGED: the particles are not draws from the posterior. Probabilities and evidence are enumerated and "
    "remain valid; draws of coefficients, and what is computed from them, do not."
)


@dataclass(frozen=True)
class Diagnosis:
    """Checks of a posterior, and the verdict that follows.

    Attributes:
        sampler: Checks of the sampler, the failed ones first.
        fit: Checks of data and equation, the failed ones first.
        is_enumerated: Whether probabilities and evidence are those of an enumeration, so that they do not depend on the
            sampler.
    """

    sampler: tuple[Check, ...]
    fit: tuple[Check, ...]
    is_enumerated: bool = False

    @property
    def failed(self) -> tuple[Check, ...]:
        """The failed checks, those of the sampler first: where it failed, the others mean little."""
        return tuple(c for c in (*self.sampler, *self.fit) if not c.passed)

    @property
    def verdict(self) -> Verdict:
        """The first that applies of "not_converged", "misfit", "budget_exhausted", "single_run" (or too few), "ok"."""
        failed = {c.name for c in self.sampler if not c.passed}
        if failed - MISSING_RUNS:
            return "not_converged"
        if not all(c.passed for c in self.fit):
            return "misfit"
        if "budget" in failed:
            return "budget_exhausted"
        return "single_run" if failed else "ok"

    @property
    def headline(self) -> str:
        """The verdict as a sentence."""
        if self.verdict == "not_converged" and self.is_enumerated:
            return ENUMERATED
        of = "the sampler, the data and the equation" if self.fit else "the sampler"
        return HEADLINES[self.verdict].format(count=len(self.sampler) + len(self.fit), of=of)

    def raise_if_failed(self) -> None:
        """Stop a script if any check failed.

        Raises:
            StatisticsError: If any check failed.
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
                f"  To do: {REMEDIES[check.name]}.",
            ]
        return "\n".join(lines)


@validated
def diagnose(posterior: Sampled) -> Diagnosis:
    """Check whether the sampler converged and whether data and equation fit, and say what to do if not.

    ArviZ's diagnostics are not used for 0/1 variables: R-hat is undefined for the most certain terms, and effective
    sample sizes measure the order of the particles. Runs are compared instead: the standard error of every inclusion
    probability between runs, R-hat [vehtari2021] of the number of terms, log posterior and noise, the error of the
    evidence, and the deviation from enumeration where it ran. Then come the checks of `model_checks`.

    Args:
        posterior: What sampling, enumeration or `discover` returned; or a `SpinSMC` that has run, of which there are
            the checks of the sampler only.

    Returns:
        A verdict with its reasons; print it, or use `verdict`, `failed`, or `raise_if_failed()`.
    """
    sampler = sorted(sampler_checks(posterior), key=lambda c: c.passed)
    fit = model_checks(posterior) if isinstance(posterior, Posterior) else ()
    return Diagnosis(tuple(sampler), fit, posterior.sampled.exact_inclusion is not None)
