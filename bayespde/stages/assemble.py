"""A field + its smooth one -> rows of an equation, with the noise that its pixels and frames have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.field import validate_field
from bayespde.core.statistics import SufficientStatistics
from bayespde.library.candidates import check_library
from bayespde.model.prior import Prior
from bayespde.noise.front_jitter import is_front
from bayespde.smooth.field_draw import FieldDraw
from bayespde.smooth.registration import register_if_jittering
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline.fit import fit_spline
from bayespde.smooth.spline.fitted import SplineFit
from bayespde.stages.model_average import ModelAverage
from bayespde.weak.config import WeakForm
from bayespde.weak.coupled_fields import CoupledField
from bayespde.weak.statistics import weak_statistics
from bayespde.weak.strong_form import StrongForm, strong_statistics


def assemble(
    library: Library,
    field: xr.DataArray,
    *,
    smooth: SmoothField | FieldDraw,
    coupled_fields: Sequence[SmoothField] = (),
    form: WeakForm | StrongForm | None = None,
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
        smooth: The smooth field made from it; for `StrongForm` also one draw of it, `smooth.draw(seed)`.
        coupled_fields: The smooth fields of the other variables of a system, on the same grid; weak rows only.
        form: `WeakForm(...)` (default) or `StrongForm(...)`.
        prior: Prior under which the pilot equation is averaged (its slab replaced by the g-prior, which is faster).
        seed: Of the sampling by which it is averaged, for libraries of more than 23 terms.
        progress: Show a bar.

    Returns:
        The statistics, physical units.

    Raises:
        FieldError: If the field does not satisfy its schema.
        TermError: If a term does not fit the field's dimensions.
        ConfigError: If the weak form is given one draw, or a system the strong form or noise of moving frames.
    """
    field, form, prior = validate_field(field), form or WeakForm(), prior or Prior()
    check_library(library, field, [s.field for s in coupled_fields])
    if coupled_fields and (isinstance(form, StrongForm) or form.noise in ("frame_jitter", "front_jitter")):
        raise ConfigError(
            "The rows of a system cannot be formed so.",
            got=form,
            wanted="weak rows, with noise of pixels: no strong form, no moving frames",
            fix="form=WeakForm()",
        )
    if isinstance(form, StrongForm):
        return strong_statistics(library, field, smooth.evaluate, options=form)
    if isinstance(smooth, FieldDraw):
        raise ConfigError(
            "The weak form does not take one draw of a smooth field.",
            got="a FieldDraw",
            wanted="the SmoothField: its rows know the errors of the smoothing already",
            fix="assemble(..., smooth=smooth), or form=StrongForm()",
        )
    models = ModelAverage(library, prior, seed)
    if coupled_fields:
        coupled = tuple(CoupledField(s.field, s.spline) for s in coupled_fields)
        return weak_statistics(
            library, field, smooth.spline, models, options=form, coupled_fields=coupled, progress=progress
        )
    spline = smooth.spline
    jitters = _is_front(field, spline, form.noise)
    if jitters and spline.hold_out != "pixels":
        # A front that jitters from frame to frame is displaced, not deformed. Weights that predict whole frames would
        # smear its shape over neighbouring frames, and with it every nonlinear term; those that predict pixels keep it.
        spline = fit_spline(field, config=replace(smooth.spline_config, hold_out="pixels"))
        jitters = _is_front(field, spline, form.noise)
    form = replace(form, noise="front_jitter") if jitters else form
    if form.noise not in ("auto", "frame_jitter"):
        return weak_statistics(library, field, spline, models, options=form, progress=progress)
    is_known = form.noise == "frame_jitter"
    rest = register_if_jittering(field, config=smooth.spline_config, spline=spline, is_known=is_known)
    rows = weak_statistics(
        library, rest.field, rest.spline, models, options=form, jitter=rest.jitter, progress=progress
    )
    if not rest.jitter:
        return rows
    return replace(rows, provenance=dict(rows.provenance) | {"frames_settled": int(rest.settled)})


def _is_front(field: xr.DataArray, spline: SplineFit, noise: str) -> bool:
    """Whether the noise is that of a front: said to be, or seen in the residuals."""
    if noise != "auto" or field.ndim > 2:
        return noise == "front_jitter"
    return is_front(field.values, spline.evaluate((0, 0)), spline.evaluate((0, 1)), spline.noise_scale)
