"""A posterior over rows -> one over pixels where that can be had and be trusted, else itself, and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from bayespde.config import DiscoverConfig
from bayespde.core.errors import BayespdeError
from bayespde.core.posterior import Posterior
from bayespde.library.choose import Weak
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
    because, boundary = _not_affordable(rows, field) if config.refine == "auto" else "", None
    if not because and (boundary := _boundary(smooth, field, seed)) is None:
        because = "the edges of the field look like no boundary that can be integrated"
    found = rows
    if not because and boundary is not None:
        try:
            refined = refine(
                rows,
                field,
                smooth=smooth,
                prior=config.prior,
                sampler=config.sampler,
                exact_terms=config.exact_terms,
                config=_method(boundary, field),
                seed=seed,
                workers=workers,
                progress=progress,
            )
        except BayespdeError as error:
            because = str(error).splitlines()[0]
        else:
            found = refined.posterior
            because = "" if refined.is_trusted else "; ".join(c.because for c in check_fit(found) if not c.passed)
    chosen, by = (rows, "rows") if because else (found, "pixels")
    about = {"by": by, "because": because, "boundary": boundary}
    return replace(chosen, provenance=dict(chosen.provenance) | {"refinement": about})


def _not_affordable(rows: Posterior, field: xr.DataArray) -> str:
    """Why trajectories are not tried of themselves; empty if they are."""
    provenance = rows.statistics.provenance
    if provenance.get("form") != "weak" or provenance.get("noise") == "front":
        return f"{Weak.__name__.lower()} rows of noise in pixels are needed"
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
