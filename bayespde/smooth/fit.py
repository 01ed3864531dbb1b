"""FIELD -> SMOOTH FIELD: the spline, neural fields if asked for, and the choice by the error at held-out pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.field import validate_field
from bayespde.core.one_order import in_one_order
from bayespde.core.progress import Progress
from bayespde.core.scattered import validate_scattered
from bayespde.core.terms import first_orders
from bayespde.noise.families import check_family
from bayespde.noise.frame_jitter import FrameShift, frame_shift
from bayespde.smooth.choice import SmoothingChoice
from bayespde.smooth.config import SmoothingConfig
from bayespde.smooth.network.calibrate import calibrated_shrinkage
from bayespde.smooth.network.fit import NetworkFitter, penalty_scales
from bayespde.smooth.network.objective_torch import checked_device
from bayespde.smooth.network.smoother import NetworkSmoother
from bayespde.smooth.observations import GridObservations, Observations
from bayespde.smooth.scattered_observations import scattered
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline.fitted import SplineFit


@validated
@in_one_order
def fit_field(
    field: xr.DataArray,
    *,
    smoother: str | None = None,
    options: SmoothingConfig | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> SmoothField:
    """Make a field smooth: by a penalised spline, or by deep-learning total-variation regularisation.

    Networks take minutes, and their standard deviations, unless `options.uncertainty` is False, one to three times as
    long again. A limit, such as `progress=Progress().within(60)` CPU seconds, shortens their training.

    Args:
        field: A field, or scattered samples (`bp.make_scattered`, `bp.scattered_from_video`); checked first. The spline
            is fitted to the means of samples at the nodes of a grid, on which the result is evaluated.
        smoother: Overrides `options.smoother`: `spline`, `network`, or `auto`, the one with the lower held-out error.
        options: All settings.
        seed: Non-negative integer; same seed, same result.
        progress: Show bars; or what is shown, and how long all networks may take.

    Returns:
        The smooth field, with the choice made and its scores.

    Raises:
        FieldError: If the field, or the samples, do not satisfy their schema.
        ConfigError: If a setting is out of range, the device is not there, or the pixels cannot have the noise.
    """
    options = options or SmoothingConfig()
    options = options if smoother is None else replace(options, smoother=smoother)
    data = observe(field)
    checked_device(options.device)
    if options.noise != "auto":
        check_family(options.noise, data.values)
    smooth = _fit_spline(data, options)
    return smooth if options.smoother == "spline" else _fit_networks(smooth, options, seed, Progress.of(progress))


def _fit_spline(data: Observations, options: SmoothingConfig) -> SmoothField:
    config = replace(options.spline, noise="student_t") if options.noise == "student_t" else options.spline
    if options.hold_out != "auto":
        config = replace(config, hold_out=options.hold_out)
    spline = data.fit(config)
    choice = SmoothingChoice(
        smoother="spline",
        reason="asked for; its rmse is by generalised cross-validation",
        hold_out=spline.hold_out,
        held_out_rmse={"spline": spline.score},
        displacement=_frame_shift(data, spline),
    )
    return SmoothField(data, spline, config, None, choice)


def _fit_networks(smooth: SmoothField, options: SmoothingConfig, seed: int, progress: Progress) -> SmoothField:
    """Train networks, choose between them and the spline, and calibrate their uncertainty if they are used."""
    # Calibration trains them a second time.
    share = progress.within(progress.left / 2) if options.uncertainty else progress
    fitted = NetworkFitter(smooth.data, options, seed, share).fit(smooth.spline, smooth.spline_config)
    is_spline = options.smoother == "auto" and fitted.scores["spline"] < fitted.scores["mean of networks"]
    choice = replace(
        smooth.choice,
        smoother="spline" if is_spline else "network",
        reason="asked for" if options.smoother == "network" else "lower error on held-out pixels",
        held_out_rmse=fitted.scores,
        noise=fitted.noise.describe(),
        log_density=fitted.log_density,
        networks=tuple(fit.config.label for fit in fitted.networks.fits),
        stopped_by="budget" if fitted.cut_short else "",
    )
    network = NetworkSmoother(smooth.data, fitted.spline.scales, fitted.networks)
    smooth = SmoothField(smooth.data, fitted.spline, fitted.spline_config, network, choice)
    if is_spline or not options.uncertainty:
        return smooth
    return with_uncertainty(smooth, device=options.device, progress=progress)


def with_uncertainty(smooth: SmoothField, *, device: str = "cpu", progress: bool | Progress = False) -> SmoothField:
    """Calibrate the standard deviations and draws of networks that were fitted without: they are trained once more.

    Args:
        smooth: A smooth field with networks.
        device: Where networks are trained.
        progress: Show bars.

    Returns:
        The same field, whose networks have standard deviations and draws; unchanged if there are no networks.
    """
    network = smooth.network
    if network is None:
        return smooth
    coordinates, _ = smooth.data.standardised(network.scales)
    linearised = network.linearise()
    scales = penalty_scales(smooth.spline, network.ensemble.fits[0].config.penalty)
    watch = Progress.of(progress)
    shrinkage = calibrated_shrinkage(
        linearised, coordinates, penalty_scales=scales, device=device, seed=0, progress=watch
    )
    choice = smooth.choice if watch.left else replace(smooth.choice, stopped_by="budget")
    return replace(smooth, network=replace(network, shrinkage=shrinkage, linearised=linearised), choice=choice)


def observe(given: Any) -> Observations:
    """Check a field or samples, and prepare them for the smoothers.

    Args:
        given: A field as for `validate_field`, or samples as for `validate_scattered`.

    Returns:
        The observations.

    Raises:
        FieldError: If it is neither.
    """
    is_scattered = isinstance(given, xr.DataArray) and given.dims == ("sample",)
    return scattered(validate_scattered(given)) if is_scattered else GridObservations(validate_field(given))


def _frame_shift(data: Observations, spline: SplineFit) -> FrameShift | None:
    """How much of the noise is a shift of whole frames, where these were held out."""
    if spline.hold_out != "frames":
        return None
    return frame_shift(data.field.values, [spline.evaluate(o) for o in first_orders(data.field.ndim)])
