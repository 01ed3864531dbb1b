"""A posterior over rows -> one over pixels where that can be had and be trusted, else itself, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from bayespde.core.equation import Equation
from bayespde.core.errors import BayespdeError, ConfigError, FitError, IntegrationError
from bayespde.core.posterior import Posterior
from bayespde.discovery.config import DiscoverConfig
from bayespde.results.checks import model_checks
from bayespde.smooth.frame_draws import likely_boundaries
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.config import SolverConfig
from bayespde.stages.fit_trajectories import TrajectoryPosterior, estimate_observation_model, fit_trajectories
from bayespde.trajectory.fit import AFFORDABLE, Trajectory, TrajectoryConfig, fit_trajectory

# Pixels of a field in one dimension of space whose trajectories take seconds.
MOST_PIXELS = 100_000
TOLERANCE = 1e-9
# Noise, over the deviation of the field, below which residuals of a smooth field are those of its splines.
LEAST_NOISE = 1e-3
# Of a window, in windows; the pixels choose.
PADDINGS = (0.5, 1.0, 2.0)
# Equations to begin with, in a field with a boundary and in a window, whose fits take many times as long.
TOP, WINDOW_TOP = 8, 3
# Of the probability of the best, below which an equation is not fitted again.
LEAST_SHARE = 0.01
# Checks that fail where the boundary is another.
MISFITS = {"slow residual", "excess noise"}


def refined_or_rows(
    rows: Posterior,
    field: xr.DataArray,
    smooth: SmoothField,
    *,
    config: DiscoverConfig,
    seed: int,
    workers: int = 1,
    progress: bool = False,
) -> Posterior:
    """ModelPosterior all equations by the pixels, with the boundary that the smooth field looks like and the pixels prefer.

    Args:
        rows: The posterior over rows.
        field: Checked field.
        smooth: The smooth field.
        config: Settings of the discovery.
        seed: Of everything random.
        workers: Sampler runs at a time.
        progress: Show bars.

    Returns:
        A posterior; `provenance["refinement"]` says which (`by`: "pixels" or "rows") and, for rows, why (`because`).
    """
    because = _not_tried(rows, field, smooth) if config.trajectory_matching == "auto" else ""
    found, about = rows, {"by": "rows", "because": because, "boundary": None}
    for guesses in () if because else _guesses(smooth, field, seed):
        tried, said, is_over = _by_pixels(
            rows, field, smooth, guesses, config=config, seed=seed, workers=workers, progress=progress
        )
        # What was wrong with the likeliest boundary is what there is to say.
        if said["by"] == "pixels" or not about["because"]:
            found, about = tried, said
        if is_over:
            break
    return replace(found, provenance=dict(found.provenance) | {"refinement": about})


def _by_pixels(
    rows: Posterior,
    field: xr.DataArray,
    smooth: SmoothField,
    guesses: tuple[TrajectoryConfig, ...],
    *,
    config: DiscoverConfig,
    seed: int,
    workers: int,
    progress: bool,
) -> tuple[Posterior, dict[str, Any], bool]:
    """The posterior by pixels or by rows; which it is, why, with which boundary; and whether that is not to blame."""
    try:
        refined = fit_trajectories(
            rows,
            field,
            smooth=smooth,
            prior=config.prior,
            sampler=config.sampler,
            enumerate_up_to=config.enumerate_up_to,
            top=WINDOW_TOP if guesses[0].padding else TOP,
            config=guesses,
            seed=seed,
            workers=workers,
            progress=progress,
        )
    except BayespdeError as error:
        return rows, {"by": "rows", "because": str(error).splitlines()[0], "boundary": guesses[0].boundary}, False
    boundary, padding = refined.config.boundary, refined.config.padding
    if refined.is_trusted:
        return refined.posterior, {"by": "pixels", "because": "", "boundary": boundary, "padding": padding}, True
    failed = [c for c in model_checks(refined.posterior) if not c.passed]
    because = "; ".join(c.reason for c in failed)
    return rows, {"by": "rows", "because": because, "boundary": boundary}, not MISFITS & {c.name for c in failed}


def _not_tried(rows: Posterior, field: xr.DataArray, smooth: SmoothField) -> str:
    """Why trajectories are not tried of themselves; empty if they are."""
    provenance = rows.statistics.provenance
    if rows.library.coupled_variables:
        return "trajectories of systems are not fitted"
    if provenance.get("form") != "weak" or provenance.get("noise") == "front_jitter":
        return "weak rows of noise in pixels are needed"
    if field.ndim > 2:
        return "trajectories in two dimensions take long; trajectory_matching='always' tries them"
    if field.size > MOST_PIXELS:
        return f"{field.size} pixels take long; trajectory_matching='always' tries them"
    if smooth.noise_scale < LEAST_NOISE * float(field.std()):
        return "the pixels have hardly any noise, and rows know enough"
    return ""


def trajectories_again(
    posterior: Posterior,
    smooth: SmoothField,
    *,
    top: int = 8,
    seed: int = 0,
    progress: bool = False,
) -> TrajectoryPosterior:
    """Trajectories of the leading equations of a posterior by pixels, fitted anew: they are not kept with it.

    Args:
        posterior: What `refined_or_rows` returned, by pixels.
        smooth: The smooth field made from the same field.
        top: Most equations; those of less than a hundredth of the probability of the best are left out.
        seed: Of the draws of the first frame.
        progress: Show a bar.

    Returns:
        The posterior with these trajectories, each with the probability that the posterior gives it among them.

    Raises:
        FitError: If the best has no trajectory.
        IntegrationError: Likewise.
    """
    about, field = posterior.provenance["refinement"], smooth.field
    padding = about.get("padding", PADDINGS[1] if about["boundary"] == "open" else 0.0)
    config = TrajectoryConfig(method=_method(field, "periodic" if padding else about["boundary"]), padding=padding)
    pilot, draws, observation = estimate_observation_model(field, smooth, seed=seed)
    spins, probability = posterior.configurations()
    order = np.argsort(-probability, kind="stable")[:top]
    found: list[Trajectory] = []
    failed, kept = [], []
    for k in tqdm(order[probability[order] >= LEAST_SHARE * probability.max()], "trajectories", disable=not progress):
        start = Equation.from_library(posterior.library, posterior.statistics.least_squares(spins[k]))
        near = found[0] if found else None
        try:
            one = fit_trajectory(
                start, field, pilot=pilot, draws=draws, observation=observation, near=near, config=config
            )
        except (ConfigError, FitError, IntegrationError) as error:
            if not found:
                raise
            failed.append((start.names, str(error).splitlines()[0]))
        else:
            found.append(one)
            kept.append(probability[k])
    share = np.array(kept) / np.sum(kept)
    return TrajectoryPosterior(posterior, tuple(found), share, tuple(failed), observation, config)


def _method(field: xr.DataArray, boundary: str) -> SolverConfig:
    """How trajectories of a field are integrated."""
    return SolverConfig(maximum_steps=AFFORDABLE, atol=TOLERANCE * float(field.std())).within(boundary)


def _guesses(smooth: SmoothField, field: xr.DataArray, seed: int) -> list[tuple[TrajectoryConfig, ...]]:
    """Ways to integrate, one lot after the other: with boundaries that the smooth field looks like, and as a window."""
    likely = likely_boundaries(smooth, np.random.default_rng(seed))
    whole = tuple(TrajectoryConfig(method=_method(field, boundary)) for boundary in likely)
    window = tuple(TrajectoryConfig(method=_method(field, "periodic"), padding=padding) for padding in PADDINGS)
    return [guesses for guesses in (whole, window) if guesses]
