"""The smoothed field of a discovery -> the same field by another smoother, kept in the run folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bayespde.core.posterior import Posterior
from bayespde.discovery.config import DiscoverConfig
from bayespde.smooth.fit import fit_field
from bayespde.smooth.scattered_observations import ScatteredObservations
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.run_folder import RunFolder


def smoothed_by(
    smoother: str, smooth: SmoothField, posterior: Posterior, *, folder: Path | None, seed: int, progress: bool
) -> SmoothField:
    """The field by another smoother, with the other settings of smoothing that the posterior records.

    Args:
        smoother: "spline" or "network".
        smooth: The smoothed field of the discovery.
        posterior: Its posterior.
        folder: The run folder, if there is one.
        seed: Of the training.
        progress: Show bars.
    """
    if smoother == smooth.chosen:
        return smooth
    options = replace(DiscoverConfig.recorded_smoothing(posterior.provenance), smoother=smoother)
    source = smooth.data.samples if isinstance(smooth.data, ScatteredObservations) else smooth.field
    run = RunFolder(folder)
    return run.smooth(
        run.key(smooth.field, options, seed),
        lambda: fit_field(source, options=options, seed=seed, progress=progress),
        name=f"smooth_{smoother}.nc",
    )
