"""A number and its limit -> a check: whether it passed, and what not to trust if it did not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One check of the sampler or of the fit.

    Attributes:
        name: Name of the check.
        value: The measured value, dimensionless.
        limit: Largest value that passes.
        passed: Whether it passed.
        affects: What not to trust if it did not pass.
        reason: Why.
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


def at_most(name: str, value: float, limit: float, affects: str, reason: str) -> Check:
    """A check that passes up to its limit; a value that is not a number fails."""
    return Check(name, float(value), limit, bool(value <= limit), affects, reason)


def format_checks(checks: tuple[Check, ...]) -> str:
    """Write the failed checks as sentences, or that all passed."""
    failed = [str(c) for c in checks if not c.passed]
    return "\n".join(failed) if failed else f"all {len(checks)} checks of fit passed"
