"""A number and its limit -> a check: whether it passed, what not to trust if it did not, and what to do then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# What to do where a check fails, by its name.
REMEDIES: Mapping[str, str] = {
    # Of the sampler.
    "complete": "sample again, without an interrupt",
    "runs": "sample(model, runs=4)",
    "budget": "a larger one, discover(field, budget=1800) or --budget 1800",
    "agreement": "four times as many particles, or fewer candidate terms; look at figures.plot_runs",
    "precision": "four times as many particles",
    "mixing": "four times as many final_passes in SMCConfig, or particles",
    "evidence": "four times as many particles, or twice as many runs",
    "tempering step": "more particles; SMCConfig(schedule=()), if inverse temperatures were fixed",
    "enumeration": "method='exact', for draws that are independent",
    "likelihood error": "SMCConfig(kernel='gibbs'), and please report it",
    # Of rows and equation.
    "form": "assemble(..., form=WeakForm())",
    "effective rows": "fewer candidate terms, or more data",
    "linearisation": "fewer candidate terms, or fit_trajectories(posterior, field)",
    "frames": "correct the drift first, or leave out the frames that jump",
    "relinearisation": "fit_trajectories(posterior, field), which needs no covariance of rows",
    "noise": "WeakForm(noise='correlated'), or bin the pixels that are correlated",
    "test functions": "fit_trajectories(posterior, field), or WeakForm with a larger support_factor",
    "residual": "more terms, such as the constant 1 if a dark level is left in; or another WeakForm(noise=...)",
    "residual map": "cut the video there, or mask that part: set it to NaN",
    "information matrix": "lower the power of the rows, or model what correlates them",
    "condition": "leave one of the terms out",
    "groups": "read the group as one, or record a video in which its members differ",
    "errors in variables": "trust neither beyond their difference; fit_trajectories(posterior, field)",
    "g-prior resolution": "slab=HyperGSlab()",
    # Of a trajectory.
    "trajectory": "keep the weak form: found.weak_posterior, or DiscoverConfig(trajectory_matching='never')",
    "cycle skipping": "keep the weak form: found.weak_posterior",
    "excess noise": "another boundary, or a window of a larger field: TrajectoryConfig(padding=0.5)",
    "slow residual": "a library with more terms, or another boundary",
    "tails": "mask the pixels that are far off: set them to NaN",
    "own trajectory": "fit_trajectories(posterior, field, search=TrajectorySearchConfig(top=16))",
}


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


def worst_of_each(checks: Iterable[Check]) -> list[Check]:
    """Of checks of the same name the worst: one that failed, or the one of the largest value."""
    worst = dict[str, Check]()
    for check in checks:
        worst[check.name] = max(worst.get(check.name, check), check, key=lambda c: (not c.passed, c.value))
    return list(worst.values())


def format_checks(checks: tuple[Check, ...]) -> str:
    """Write the failed checks as sentences, or that all passed."""
    failed = [str(c) for c in checks if not c.passed]
    return "\n".join(failed) if failed else f"all {len(checks)} checks of fit passed"
