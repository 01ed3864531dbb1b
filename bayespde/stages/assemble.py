"""A library + a smoothed field -> the sufficient statistics of an equation, with the noise of its pixels and frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.field import validate_field
from bayespde.core.one_order import in_one_order
from bayespde.core.progress import Progress
from bayespde.core.statistics import SufficientStatistics
from bayespde.library.candidates import check_library
from bayespde.model.prior import Prior
from bayespde.noise.front_jitter import is_front
from bayespde.smooth.registration import register_if_jittering
from bayespde.smooth.smooth_field import FieldDraw, SmoothField
from bayespde.smooth.spline.fit import fit_spline
from bayespde.smooth.spline.fitted import SplineFit
from bayespde.stages.model_average import ModelAverage
from bayespde.weak.config import WeakForm
from bayespde.weak.observed_field import ObservedField
from bayespde.weak.statistics import weak_statistics
from bayespde.weak.strong_form import StrongForm, strong_statistics


@validated
@in_one_order
def assemble(
    library: Library,
    smooth: SmoothField | FieldDraw | Mapping[str, SmoothField],
    *,
    form: WeakForm | StrongForm | None = None,
    prior: Prior | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> SufficientStatistics:
    """Form the rows of an equation from a smoothed field and compress them.

    The weak form takes the left side from the raw field and the terms from the spline; its covariance is that at the
    model-averaged equation, found by iteration.

    Args:
        library: The candidate terms.
        smooth: The smoothed field, which holds the raw one; for `StrongForm` also one draw of it, `smooth.draw(seed)`.
            For coupled fields the smoothed field of every variable, by name, on one grid; weak form only.
        form: `WeakForm(...)` (default) or `StrongForm(...)`.
        prior: Prior under which equations are averaged (its slab replaced by the g-prior, which is faster).
        seed: Of the sampling by which they are averaged, for libraries of more than 23 terms.
        progress: Show a bar.

    Returns:
        The statistics, physical units.

    Raises:
        FieldError: If the field does not satisfy its schema.
        TermError: If a term does not fit the field's dimensions.
        ConfigError: If a variable has no field, the weak form is given one draw, or coupled fields the strong form or
            the noise of moving frames.
    """
    own, coupled_fields = _own_and_coupled(library, smooth)
    field, form, prior = validate_field(own.field), form or WeakForm(), prior or Prior()
    check_library(library, field, [s.field for s in coupled_fields])
    _check_form(form, own, coupled_fields)
    if isinstance(form, StrongForm):
        return strong_statistics(library, field, own.evaluate_all, options=form)
    assert isinstance(own, SmoothField)
    models = ModelAverage(library, prior, seed)
    if coupled_fields:
        fields = (ObservedField(field, own.spline), *(ObservedField(s.field, s.spline) for s in coupled_fields))
        return weak_statistics(library, fields, models, options=form, progress=progress)
    return _weak_statistics(library, own, models, form, progress)


def _weak_statistics(
    library: Library, own: SmoothField, models: ModelAverage, form: WeakForm, progress: bool | Progress
) -> SufficientStatistics:
    """The weak form of one field, with frames registered where they jitter."""
    field, spline = own.field, own.spline
    jitters = _is_front(field, spline, form.noise)
    if jitters and spline.hold_out != "pixels":
        # A front that jitters from frame to frame is displaced, not deformed. Weights that predict whole frames would
        # smear its shape over neighbouring frames, and with it every nonlinear term; those that predict pixels keep it.
        spline = fit_spline(field, config=replace(own.spline_config, hold_out="pixels"))
        jitters = _is_front(field, spline, form.noise)
    form = replace(form, noise="front_jitter") if jitters else form
    if form.noise not in ("auto", "frame_jitter"):
        return weak_statistics(library, (ObservedField(field, spline),), models, options=form, progress=progress)
    is_known = form.noise == "frame_jitter"
    rest = register_if_jittering(field, config=own.spline_config, spline=spline, is_known=is_known)
    registered = ObservedField(rest.field, rest.spline, jitter=rest.jitter)
    rows = weak_statistics(library, (registered,), models, options=form, progress=progress)
    if not rest.jitter:
        return rows
    return replace(rows, records=(replace(rows.record, frames_settled=rest.settled),))


def _check_form(
    form: WeakForm | StrongForm, own: SmoothField | FieldDraw, coupled_fields: tuple[SmoothField, ...]
) -> None:
    """Refuse forms that do not take what is given."""
    if isinstance(form, StrongForm) and (form.smoother is not None or form.field_draws):
        raise ConfigError(
            "One smoothed field has one smoother, and no draws.",
            got=f"StrongForm(smoother={form.smoother!r}, field_draws={form.field_draws})",
            wanted="StrongForm() and a smoothed field, or one draw of it",
            fix="discover(field, form=StrongForm(...)), or assemble(library, smooth.draw(0), form=StrongForm())",
        )
    if coupled_fields and (isinstance(form, StrongForm) or form.noise in ("frame_jitter", "front_jitter")):
        raise ConfigError(
            "This form does not take coupled fields.",
            got=form,
            wanted="the weak form, without frame or front jitter",
            fix="form=WeakForm()",
        )
    if isinstance(own, FieldDraw) and not isinstance(form, StrongForm):
        raise ConfigError(
            "The weak form does not take one draw of a smoothed field.",
            got="a FieldDraw",
            wanted="the SmoothField: the weak form accounts for the errors of smoothing itself",
            fix="assemble(library, smooth), or form=StrongForm()",
        )


def _own_and_coupled(
    library: Library, smooth: SmoothField | FieldDraw | Mapping[str, SmoothField]
) -> tuple[SmoothField | FieldDraw, tuple[SmoothField, ...]]:
    """The smoothed field of the equation's own variable, and those of the variables that it is coupled with."""
    if not isinstance(smooth, Mapping):
        return smooth, ()
    absent = [name for name in (library.variable, *library.coupled_variables) if name not in smooth]
    if absent:
        raise ConfigError(
            "A variable of the library has no smoothed field.",
            got=", ".join(map(str, smooth)),
            wanted=", ".join((library.variable, *library.coupled_variables)),
            fix=f"assemble(library, {{{absent[0]!r}: fit_field(...), ...}})",
        )
    return smooth[library.variable], tuple(smooth[name] for name in library.coupled_variables)


def _is_front(field: xr.DataArray, spline: SplineFit, noise: str) -> bool:
    """Whether the noise is that of a front: said to be, or seen in the residuals."""
    if noise != "auto" or field.ndim > 2:
        return noise == "front_jitter"
    return is_front(field.values, spline.evaluate((0, 0)), spline.evaluate((0, 1)), spline.noise_scale)
