"""A field + its smooth one -> rows of an equation, with the noise that its pixels and frames have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import xarray as xr

from bayespde.config import Prior
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.field import check_field
from bayespde.core.statistics import SufficientStatistics
from bayespde.judge import PilotJudge
from bayespde.library.beside import Beside
from bayespde.library.candidates import check_library
from bayespde.library.choose import Weak
from bayespde.library.front import is_front
from bayespde.library.rows import weak_statistics
from bayespde.library.strong import Strong, strong_statistics
from bayespde.smooth.alignment import at_rest
from bayespde.smooth.field_draw import FieldDraw
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline import fit_spline
from bayespde.smooth.spline_fit import SplineFit


def assemble(
    library: Library,
    field: xr.DataArray,
    *,
    smooth: SmoothField | FieldDraw,
    beside: Sequence[SmoothField] = (),
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
        beside: The smooth fields of the other variables of a system, on the same grid; weak rows only.
        form: `Weak(...)` (default) or `Strong(...)`.
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
    field, form, prior = check_field(field), form or Weak(), prior or Prior()
    check_library(library, field, [s.field for s in beside])
    if beside and (isinstance(form, Strong) or form.noise in ("displaced", "front")):
        raise ConfigError(
            "The rows of a system cannot be formed so.",
            got=form,
            wanted="weak rows, with noise of pixels: no strong form, no moving frames",
            fix="form=Weak()",
        )
    if isinstance(form, Strong):
        return strong_statistics(library, field, smooth.evaluate, options=form)
    if isinstance(smooth, FieldDraw):
        raise ConfigError(
            "The weak form does not take one draw of a smooth field.",
            got="a FieldDraw",
            wanted="the SmoothField: its rows know the errors of the smoothing already",
            fix="assemble(..., smooth=smooth), or form=Strong()",
        )
    judge = PilotJudge(library, prior, seed)
    if beside:
        others = tuple(Beside(s.field, s.spline) for s in beside)
        return weak_statistics(library, field, smooth.spline, judge, options=form, beside=others, progress=progress)
    spline = smooth.spline
    jitters = _is_front(field, spline, form.noise)
    if jitters and spline.hold_out != "pixels":
        # A front that jitters from frame to frame is displaced, not deformed. Weights that predict whole frames would
        # smear its shape over neighbouring frames, and with it every nonlinear term; those that predict pixels keep it.
        spline = fit_spline(field, config=replace(smooth.spline_config, hold_out="pixels"))
        jitters = _is_front(field, spline, form.noise)
    form = replace(form, noise="front") if jitters else form
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
