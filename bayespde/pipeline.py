"""The stages, joined: a field -> a posterior over equations, each finished stage on disk before the next begins."""

from __future__ import annotations

import json
from dataclasses import replace
from os import PathLike
from pathlib import Path

import xarray as xr

from bayespde.config import DiscoverConfig, Prior
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.field import MINIMUM_SAMPLES, check_field, field_hash
from bayespde.core.posterior import Posterior
from bayespde.core.random import check_workers, spawn_seeds
from bayespde.core.scales import units_of
from bayespde.core.statistics import SufficientStatistics
from bayespde.discovery import Discovery
from bayespde.folder import RunFolder, stage_key
from bayespde.judge import EXACT_TERMS, PilotJudge
from bayespde.library.candidates import check_library, polynomial_library
from bayespde.library.choose import Weak
from bayespde.library.front import is_front
from bayespde.library.rows import weak_statistics
from bayespde.library.strong import Strong, strong_statistics
from bayespde.refine_stage import refined_or_rows
from bayespde.sampling import sample
from bayespde.smooth.alignment import at_rest
from bayespde.smooth.field_draw import FieldDraw
from bayespde.smooth.fit import fit_field
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline import fit_spline
from bayespde.smooth.spline_fit import SplineFit


def assemble(
    library: Library,
    field: xr.DataArray,
    *,
    smooth: SmoothField | FieldDraw,
    form: Weak | Strong | None = None,
    prior: Prior | None = None,
    seed: int = 0,
    progress: bool = False,
) -> SufficientStatistics:
    """Form rows from a field and compress them.

    The weak form takes the left side from the raw field and the terms from the spline; its covariance is fixed at the
    model-averaged equation, found in a few rounds.

    Args:
        library: The candidate terms.
        field: The raw field.
        smooth: The smooth field made from it; for `Strong` also one draw of it, `smooth.draw(seed)`.
        form: `Weak(...)` (default) or `Strong(...)`.
        prior: Prior under which the pilot equation is averaged (its slab replaced by the g-prior, which is faster).
        seed: Of the sampling by which it is averaged, for libraries of more than 23 terms.
        progress: Show a bar.

    Returns:
        The statistics, physical units.

    Raises:
        FieldError: If the field does not satisfy its schema.
        TermError: If a term does not fit the field's dimensions.
        ConfigError: If the weak form is given one draw.
    """
    field, form, prior = check_field(field), form or Weak(), prior or Prior()
    check_library(library, field)
    if isinstance(form, Strong):
        return strong_statistics(library, field, smooth.evaluate, options=form)
    if isinstance(smooth, FieldDraw):
        raise ConfigError(
            "The weak form does not take one draw of a smooth field.",
            got="a FieldDraw",
            wanted="the SmoothField: its rows know the errors of the smoothing already",
            fix="assemble(..., smooth=smooth), or form=Strong()",
        )
    spline = smooth.spline
    jitters = _is_front(field, spline, form.noise)
    if jitters and spline.hold_out != "pixels":
        # A front that jitters from frame to frame is displaced, not deformed. Weights that predict whole frames would
        # smear its shape over neighbouring frames, and with it every nonlinear term; those that predict pixels keep it.
        spline = fit_spline(field, config=replace(smooth.spline_config, hold_out="pixels"))
        jitters = _is_front(field, spline, form.noise)
    form = replace(form, noise="front") if jitters else form
    judge = PilotJudge(library, prior, seed)
    if form.noise not in ("auto", "displaced"):
        return weak_statistics(library, field, spline, judge, options=form, progress=progress)
    is_known = form.noise == "displaced"
    rest = at_rest(field, config=smooth.spline_config, spline=spline, is_known=is_known)
    rows = weak_statistics(library, rest.field, rest.spline, judge, options=form, jitter=rest.jitter, progress=progress)
    if not rest.jitter:
        return rows
    return replace(rows, provenance=dict(rows.provenance) | {"frames_settled": int(rest.settled)})


def _is_front(field: xr.DataArray, spline: SplineFit, noise: str) -> bool:
    """Whether the noise is that of a front: said to be, or seen in the residuals."""
    if noise != "auto" or field.ndim > 2:
        return noise == "front"
    return is_front(field.values, spline.evaluate((0, 0)), spline.evaluate((0, 1)), spline.noise_scale)


def discover(
    field: xr.DataArray,
    *,
    library: Library | None = None,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    holdout_frames: int = 0,
    folder: str | PathLike[str] | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Discovery:
    """Find the equation behind a field: smooth, form rows, sample.

    Args:
        field: The noisy field.
        library: The candidate terms; the default library of the field's dimension if absent.
        config: Settings of all stages.
        seed: Non-negative integer.
        holdout_frames: Last frames that nothing sees, by which the equation can be judged: `Discovery.foretold`.
        folder: Where finished stages are kept; a rerun with the same data and settings resumes after them.
        workers: Sampler runs at a time; the answer does not depend on it.
        progress: Show bars.

    Returns:
        The discovery.

    Raises:
        FieldError: If the field does not satisfy its schema.
        TermError: If a term does not fit the field.
        FileError: If the folder cannot be written.
    """
    field, config = check_field(field), config or DiscoverConfig()
    field, holdout = _without_last(field, holdout_frames)
    library = library or polynomial_library(str(field.name), space=field.ndim - 1)
    check_library(library, field)
    check_workers(workers)
    smooth_seed, sample_seed, pilot_seed, refine_seed = spawn_seeds(seed, 4)
    run = RunFolder(Path(folder) if folder is not None else None)
    data = stage_key(field_hash(field), field.name, units_of(field))
    smooth = run.smooth(
        stage_key(data, config.smoothing, smooth_seed),
        lambda: fit_field(field, options=config.smoothing, seed=smooth_seed, progress=progress),
    )
    keys = _stage_keys(data, library, config, smooth, (smooth_seed, sample_seed, pilot_seed))
    statistics = run.statistics(
        keys["statistics"],
        lambda: assemble(
            library,
            field,
            smooth=smooth,
            form=config.form,
            prior=config.prior,
            seed=pilot_seed,
            progress=progress,
        ),
    )

    def by_rows() -> Posterior:
        seeds = (seed, sample_seed)
        return _sampled(statistics, library, field, config, seeds, workers=workers, progress=progress)

    def by_pixels() -> Posterior:
        return refined_or_rows(rows, field, smooth, config=config, seed=refine_seed, workers=workers, progress=progress)

    if config.refine == "never":
        rows = posterior = run.posterior(keys["rows"], by_rows)
    else:
        rows = run.rows(keys["rows"], by_rows)
        posterior = run.posterior(stage_key(keys["rows"], config.refine, refine_seed), by_pixels)
    return Discovery(smooth, posterior, rows, config.prior.model(posterior.statistics, library), run.path, holdout)


def _without_last(field: xr.DataArray, frames: int) -> tuple[xr.DataArray, xr.DataArray | None]:
    """The first frames, and so many last ones; all and None if none are held out."""
    left = field.sizes["time"] - MINIMUM_SAMPLES
    if isinstance(frames, bool) or not isinstance(frames, int) or not 0 <= frames <= left:
        raise ConfigError(
            "The number of frames to hold out is out of range.",
            got=repr(frames),
            wanted=f"0 to {left} of {field.sizes['time']}",
            fix="holdout_frames=0",
        )
    if not frames:
        return field, None
    return field.isel(time=slice(None, -frames)), field.isel(time=slice(-frames, None))


def _sampled(
    statistics: SufficientStatistics,
    library: Library,
    field: xr.DataArray,
    config: DiscoverConfig,
    seeds: tuple[int, int],
    *,
    workers: int,
    progress: bool,
) -> Posterior:
    """The posterior, with what it was made from; `seeds` are the user's and the sampler's."""
    found = sample(
        config.prior.model(statistics, library),
        config=config.sampler,
        seed=seeds[1],
        exact_terms=config.exact_terms,
        workers=workers,
        progress=progress,
    )
    extra = {
        "seed": int(seeds[0]),
        "units": units_of(field),
        "data": field_hash(field),
        "settings": json.loads(config.as_json()),
    }
    return replace(found, provenance=dict(found.provenance) | extra)


def _stage_keys(
    data: str, library: Library, config: DiscoverConfig, smooth: SmoothField, seeds: tuple[int, int, int]
) -> dict[str, str]:
    """What the stages after smoothing depend on, hashed: a stage on disk is reused only if its key is the same."""
    smooth_seed, sample_seed, pilot_seed = seeds
    # Weak rows see the spline only, so that training the network longer does not make them stale.
    smoother = smooth.spline_config if isinstance(config.form, Weak) else (config.smoothing, smooth_seed)
    terms = [(t.name, t.complexity) for t in library]
    drawn = pilot_seed if len(library) > EXACT_TERMS else None
    statistics = stage_key(data, smoother, config.form, config.prior, terms, library.target, drawn)
    rows = stage_key(statistics, config.sampler, config.exact_terms, sample_seed)
    return {"statistics": statistics, "rows": rows}
