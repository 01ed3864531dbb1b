"""A posterior over rows -> one over pixels where that can be had and be trusted, else itself, and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from bayespde.config import DiscoverConfig
from bayespde.core.errors import BayespdeError
from bayespde.core.posterior import Posterior
from bayespde.refinement import refine
from bayespde.results.checks import check_fit
from bayespde.smooth.edges import boundary_like
from bayespde.smooth.smooth_field import SmoothField
from bayespde.solve.method import Method
from bayespde.solve.trajectory import AFFORDABLE, TrajectoryConfig

# Pixels of a field in one dimension of space whose trajectories take seconds.
MOST_PIXELS = 100_000
TOLERANCE = 1e-9
# Of the smooth field, for the scatter of its edges.
DRAWS = 4


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
    """Judge all equations by the pixels, with the boundary that the smooth field looks like.

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
    found, boundary = rows, None
    because = _not_affordable(rows, field) if config.refine == "auto" else ""
    if not because:
        boundary = _boundary(smooth, field, seed)
        because = "" if boundary else "the edges of the field look like no boundary that can be integrated"
    if boundary:
        given = _method(boundary, field)
        found, because = _by_pixels(
            rows, field, smooth, given, config=config, seed=seed, workers=workers, progress=progress
        )
    about = {"by": "rows" if because else "pixels", "because": because, "boundary": boundary}
    return replace(found, provenance=dict(found.provenance) | {"refinement": about})


def _by_pixels(
    rows: Posterior,
    field: xr.DataArray,
    smooth: SmoothField,
    method: TrajectoryConfig,
    *,
    config: DiscoverConfig,
    seed: int,
    workers: int,
    progress: bool,
) -> tuple[Posterior, str]:
    """The posterior by pixels; or the one by rows, and why the pixels are not trusted."""
    try:
        refined = refine(
            rows,
            field,
            smooth=smooth,
            prior=config.prior,
            sampler=config.sampler,
            exact_terms=config.exact_terms,
            config=method,
            seed=seed,
            workers=workers,
            progress=progress,
        )
    except BayespdeError as error:
        return rows, str(error).splitlines()[0]
    if refined.is_trusted:
        return refined.posterior, ""
    return rows, "; ".join(c.because for c in check_fit(refined.posterior) if not c.passed)


def _not_affordable(rows: Posterior, field: xr.DataArray) -> str:
    """Why trajectories are not tried of themselves; empty if they are."""
    provenance = rows.statistics.provenance
    if provenance.get("form") != "weak" or provenance.get("noise") == "front":
        return "weak rows of noise in pixels are needed"
    if field.ndim > 2:
        return "trajectories in two dimensions take long; refine='always' tries them"
    if field.size > MOST_PIXELS:
        return f"{field.size} pixels take long; refine='always' tries them"
    return ""


def _boundary(smooth: SmoothField, field: xr.DataArray, seed: int) -> str | None:
    generator, none = np.random.default_rng(seed), (0,) * field.ndim
    draws = np.stack([smooth.spline.draw(generator).evaluate(none) for _ in range(DRAWS)])
    return boundary_like(smooth.spline.evaluate(none), draws)


def _method(boundary: str, field: xr.DataArray) -> TrajectoryConfig:
    space = {"space": "fourier"} if boundary == "periodic" else {"space": "difference", "order": 4}
    size = TOLERANCE * float(field.std())
    return TrajectoryConfig(method=Method(boundary=boundary, maximum_steps=AFFORDABLE, atol=size, **space))
