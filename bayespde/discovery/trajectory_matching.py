"""A posterior by the weak form -> one by the observation likelihood where that can be had and trusted, else itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import xarray as xr

from bayespde.core.errors import BayespdeError, BudgetError, OutOfReachError
from bayespde.core.posterior import Posterior
from bayespde.core.progress import Progress
from bayespde.discovery import costs
from bayespde.discovery.config import DiscoverConfig
from bayespde.results.checks import model_checks
from bayespde.smooth.frame_draws import likely_boundaries
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.config import SolverConfig
from bayespde.stages.fit_trajectories import TrajectorySearchConfig, fit_trajectories
from bayespde.stages.run_folder import Matched
from bayespde.trajectory.config import MAXIMUM_STEPS, TrajectoryConfig

TOLERANCE = 1e-9
# Noise, relative to the standard deviation of the field, below which residuals are mostly errors of the spline.
LEAST_NOISE = 1e-3
# Paddings of a window, in windows; the observations choose. Nats within which a fit has converged: much of the state
# beyond hardly matters.
PADDINGS, WINDOW_TOLERANCE = (0.4, 1.0, 2.0), 3.0
# Equations to begin with, in a field with a boundary and in a window, whose fits take many times as long.
TOP, WINDOW_TOP = 8, 3
# Checks that fail where another boundary is right.
MISFITS = {"slow residual", "excess noise"}


def match_trajectories(
    weak: Posterior, smooth: SmoothField, *, config: DiscoverConfig, seed: int, progress: bool | Progress = False
) -> Matched:
    """Compare all equations by the observation likelihood, with the boundary that the observations prefer.

    Args:
        weak: The posterior by the weak form.
        smooth: The smoothed field, with the field itself.
        config: Settings of the discovery.
        seed: Of everything random.
        progress: Show bars; the CPU time that the search may take.

    Returns:
        The posterior, whose `likelihood` says which it is by and, for the weak form, why.
    """
    progress = Progress.of(progress)
    reason = _not_tried(weak, smooth) if config.trajectory_matching == "auto" else ""
    candidates = () if reason else tuple(_candidates(smooth, seed))
    kept = _by_weak_form(weak, reason)
    progress.say(f"trajectories: {f'not fitted, {reason}' if reason else costs.trajectories(progress)}")
    for configs in candidates:
        found, is_over = _attempt(weak, smooth, configs, config=config, seed=seed, progress=progress)
        # The reason with the likeliest boundary is the one to report.
        if found.trajectories is not None or not kept.posterior.likelihood.reason:
            kept = found
        elif found.posterior.likelihood.budget_exhausted:
            kept = _by_weak_form(weak, kept.posterior.likelihood.reason, budget_exhausted=True)
        if is_over:
            break
    return kept


def _attempt(
    weak: Posterior,
    smooth: SmoothField,
    configs: tuple[TrajectoryConfig, ...],
    *,
    config: DiscoverConfig,
    seed: int,
    progress: bool | Progress,
) -> tuple[Matched, bool]:
    """The posterior by one kind of boundary; and whether a failure is not due to the boundary."""
    top = WINDOW_TOP if configs[0].padding else TOP
    search = TrajectorySearchConfig(top, config.prior, config.sampler, config.enumerate_up_to)
    try:
        found = fit_trajectories(weak, smooth, config=configs, search=search, seed=seed, progress=progress)
    except BudgetError:
        return _by_weak_form(weak, "the budget ended before a trajectory was found", budget_exhausted=True), True
    except BayespdeError as error:
        return _by_weak_form(weak, str(error).splitlines()[0]), isinstance(error, OutOfReachError)
    if found.is_trusted:
        return Matched(found.posterior, found), True
    failed = [c for c in model_checks(found.posterior) if not c.passed]
    if found.posterior.likelihood.budget_exhausted:
        return _by_weak_form(weak, "the budget ended before a trajectory fitted", budget_exhausted=True), True
    reason = "; ".join(c.reason for c in failed)
    return _by_weak_form(weak, reason), not MISFITS & {c.name for c in failed}


def _by_weak_form(weak: Posterior, reason: str, *, budget_exhausted: bool = False) -> Matched:
    """The posterior as it was, and why."""
    likelihood = replace(weak.likelihood, reason=reason, budget_exhausted=budget_exhausted)
    return Matched(replace(weak, likelihood=likelihood), None)


def _not_tried(weak: Posterior, smooth: SmoothField) -> str:
    """Why trajectories are not fitted automatically; empty if they are."""
    field, made = smooth.field, weak.statistics.record
    if weak.library.coupled_variables:
        return "trajectories of coupled equations are not fitted"
    if made.form != "weak" or made.noise == "front_jitter":
        return "trajectories are fitted only after the weak form, and not where a front jitters"
    if smooth.noise_scale < LEAST_NOISE * float(field.std()):
        return "the pixels have hardly any noise, and the weak form is exact enough"
    return ""


def _method(field: xr.DataArray, boundary: str) -> SolverConfig:
    """How trajectories of a field are integrated."""
    return SolverConfig(maximum_steps=MAXIMUM_STEPS, atol=TOLERANCE * float(field.std())).with_boundary(boundary)


def _candidates(smooth: SmoothField, seed: int) -> Iterator[tuple[TrajectoryConfig, ...]]:
    """Ways to integrate: with the boundaries that the edges of the smoothed field suggest, then as an open window."""
    field = smooth.field
    likely = likely_boundaries(smooth, np.random.default_rng(seed))
    if likely:
        yield tuple(TrajectoryConfig(method=_method(field, boundary)) for boundary in likely)
    window = TrajectoryConfig(method=_method(field, "periodic"), tolerance=WINDOW_TOLERANCE)
    yield tuple(replace(window, padding=padding) for padding in PADDINGS)
