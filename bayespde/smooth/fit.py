"""A noisy field -> a `SmoothField`: spline and neural field, and the choice of what predicts unseen pixels better."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.noise.families import FAMILIES, MOST_RESIDUALS, NoiseFamily, check_family, choose_noise, evenly
from bayespde.noise.frame_jitter import displacement, first_orders
from bayespde.smooth.network.architectures import candidate_configs, wave_numbers
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.ensemble import NetworkEnsemble
from bayespde.smooth.network.hold_out import HeldOut, held_out_blocks, held_out_mask
from bayespde.smooth.network.objective_torch import checked_device
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.network.selection import NetworkSelection, penalty_scales
from bayespde.smooth.observations import Observations, observations
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fitted import SplineFit

MINIMUM_NOISE = 1e-3


@dataclass(frozen=True)
class SmoothingConfig:
    """How a field is made smooth.

    Attributes:
        method: `auto` (fit both, choose by held-out error), `spline`, or `network`.
        order: Order of the derivatives whose total variation the neural field pays for, 1 to 3.
        weight: Weight of that penalty, dimensionless, or `auto`: networks with and without it are trained side by side,
            and those count whose loss at the pixels held out is within 1 %, or one standard error, of the smallest.
        penalty: Kind, axis weights, mixed derivatives and isotropy of that penalty; order and weight are those above.
        hold_out: `pixels`, `frames`, `blocks`, or `auto`: frames where the residuals of a frame are correlated in
            space, blocks of space and time where noise hangs together otherwise, pixels elsewhere.
        noise: Family of the noise (`bayespde.noise.families.NoiseFamily`): `gaussian`, `student_t`, `poisson`, `logit`, or
            `auto`: the one under which pixels held out have the highest density, `gaussian` if in doubt or if
            frames or blocks are held out. The mean depends on it for `student_t` only, the others change intervals of
            networks. With method `spline` it is `gaussian` unless `student_t` is asked for.
        steps: Most optimiser steps per network; those of the networks' settings if absent.
        spline: Settings of the spline.
        networks: Architectures to try; a tanh and a sine network by default.
        device: Where networks are trained: `cpu`, or a device that torch finds, such as `cuda`.
    """

    method: str = "auto"
    order: int = 3
    weight: float | str = "auto"
    penalty: Penalty = field(default_factory=Penalty)
    hold_out: str = "auto"
    noise: str = "auto"
    steps: int | None = None
    spline: SplineConfig = field(default_factory=SplineConfig)
    networks: tuple[NetworkConfig, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        is_weight = self.weight == "auto" or (isinstance(self.weight, int | float) and self.weight >= 0)
        if (
            self.method not in ("auto", "spline", "network")
            or self.hold_out not in ("auto", "pixels", "frames", "blocks")
            or self.noise not in ("auto", *FAMILIES)
            or self.order not in (1, 2, 3)
            or not is_weight
            or not (self.steps is None or (type(self.steps) is int and self.steps >= 1))
        ):
            raise ConfigError(
                "The settings of the smoother are not understood.",
                got=f"method {self.method}, order {self.order}, weight {self.weight}, hold_out {self.hold_out}, "
                f"noise {self.noise}, steps {self.steps}",
                wanted="method auto, spline, network; order 1-3; weight >= 0 or auto; "
                "hold_out auto, pixels, frames, blocks; "
                f"noise auto, {', '.join(FAMILIES)}; steps >= 1",
                fix="change the one that is not in the list, or leave it out",
            )


def fit_field(
    field: xr.DataArray,
    *,
    order: int | None = None,
    weight: float | str | None = None,
    method: str | None = None,
    options: SmoothingConfig | None = None,
    seed: int = 0,
    progress: bool = False,
) -> SmoothField:
    """Make a field smooth: deep-learning total-variation regularisation, or the spline where that predicts better.

    Args:
        field: A field, or scattered samples (`bp.make_scattered`, `bp.scattered_from_video`); checked first. Of samples the spline
            sees the means at the nodes of a grid, on which the result is evaluated.
        order: Overrides `options.order`.
        weight: Overrides `options.weight`.
        method: Overrides `options.method`.
        options: All settings.
        seed: Non-negative integer; same seed, same result.
        progress: Show bars.

    Returns:
        The smooth field, with the choice made and the scores it rests on.

    Raises:
        FieldError: If the field, or the samples, do not satisfy their schema.
        ConfigError: If a setting is out of range, the device is not there, or the pixels cannot have the noise.
    """
    changes: dict[str, Any] = {"order": order, "weight": weight, "method": method}
    options = replace(options or SmoothingConfig(), **{k: v for k, v in changes.items() if v is not None})
    data = observations(field)
    checked_device(options.device)
    if options.noise != "auto":
        check_family(options.noise, data.values)
    config = replace(options.spline, noise="student_t") if options.noise == "student_t" else options.spline
    if options.hold_out != "auto":
        config = replace(config, hold_out=options.hold_out)
    spline = data.fit(config)
    choice: dict[str, Any] = {"hold_out": spline.hold_out, "held_out_rmse": {"spline": spline.score}}
    if spline.hold_out == "frames":
        derivatives = [spline.evaluate(o) for o in first_orders(data.field.ndim)]
        choice["displacement"] = displacement(data.field.values, derivatives)
    if options.method == "spline":
        choice["reason"] = "asked for; its rmse is by generalised cross-validation"
        return SmoothField(data, spline, config, None, "spline", choice)
    attempt = _attempt(data, _assumed_noise(data, spline, options.noise), spline, config, options, seed, progress)
    attempt, choice["log_density"] = _with_best_noise(attempt, data, options, seed, progress)
    scores = attempt.scores
    choice |= {"held_out_rmse": scores, "noise": attempt.noise.describe()}
    choice["networks"] = [fit.config.label for fit in attempt.networks.fits]
    choice["reason"] = "asked for" if options.method == "network" else "lower error on pixels that neither had seen"
    is_spline = options.method == "auto" and scores["spline"] < scores["mean of networks"]
    chosen = "spline" if is_spline else "network"
    return SmoothField(data, attempt.spline, attempt.config, attempt.networks, chosen, choice)


@dataclass(frozen=True, eq=False)
class _Attempt:
    """Spline and networks under one noise; `observed` and `mean` are of the pixels held out, physical units."""

    noise: NoiseFamily
    spline: SplineFit
    config: SplineConfig
    networks: NetworkEnsemble
    scores: dict[str, float]
    observed: np.ndarray
    mean: np.ndarray


def _assumed_noise(data: Observations, spline: SplineFit, family: str) -> NoiseFamily:
    """What the first networks are trained under: Student's t if asked for, or normal noise."""
    if family != "student_t":
        return NoiseFamily("gaussian", data.noise_scale(spline))
    observed, residual = (evenly(v, MOST_RESIDUALS) for v in (data.values, data.residual(spline)))
    return NoiseFamily.fit(family, observed, observed - residual)


def _with_best_noise(
    first: _Attempt, data: Observations, options: SmoothingConfig, seed: int, progress: bool
) -> tuple[_Attempt, dict[str, float]]:
    """The noise of the pixels held out; outliers are a reason to train again, and to keep what predicts better."""
    scores: dict[str, float] = {}
    if options.noise != "auto":
        noise = NoiseFamily.fit(options.noise, first.observed, first.mean)
    elif first.spline.hold_out != "pixels":
        # All families are of independent pixels; frames that are displaced would be taken for heavy tails.
        return first, scores
    else:
        noise, scores = choose_noise(first.observed, first.mean, seed=seed)
    if noise.family in ("gaussian", first.noise.family):
        return first, scores
    scales = first.spline.scales
    if noise.family == "student_t":
        config = replace(first.config, noise="student_t")
        spline = data.fit(config)
        second = _attempt(data, noise, spline, config, options, seed, progress)
        _, again = choose_noise(second.observed, second.mean, seed=seed)
        return (second, again) if again["student_t"] > scores["student_t"] else (first, scores)
    coordinates, _ = data.standardised(scales)
    mean = first.networks.evaluate(coordinates)[:, 0] * scales.amplitude + scales.offset
    networks = first.networks.with_noise(noise.pixel_noise(mean, scales.amplitude))
    return replace(first, noise=noise, networks=networks), scores


def _held_out(coordinates: np.ndarray, spline: SplineFit, config: NetworkConfig, seed: int) -> HeldOut:
    """What neither spline nor networks see when they are compared."""
    if spline.hold_out != "blocks":
        mask = held_out_mask(coordinates, config=config, seed=seed)
        return HeldOut(mask, np.zeros_like(mask))
    # Blocks end between samples, of which an axis from -1 to 1 has so many.
    reach = tuple((2 * h + 1) / (len(g) - 1) for h, g in zip(spline.block, spline.grids, strict=True))
    return held_out_blocks(coordinates, reach, share=config.hold_out_fraction, seed=seed)


def _attempt(
    data: Observations,
    noise: NoiseFamily,
    spline: SplineFit,
    config: SplineConfig,
    options: SmoothingConfig,
    seed: int,
    progress: bool,
) -> _Attempt:
    """Train the candidates under a noise."""
    scales = spline.scales
    coordinates, values = data.standardised(scales)
    pixels = noise.pixel_noise(None, scales.amplitude)
    pixels = replace(pixels, scale=max(pixels.scale, MINIMUM_NOISE))
    unit: Literal["pixels", "frames"] = "frames" if spline.hold_out == "frames" else "pixels"
    configs = [replace(c, hold_out=unit) for c in options.networks or candidate_configs(coordinates.shape[1])]
    held_out = _held_out(coordinates, spline, configs[0], seed)
    hidden = held_out.scored | held_out.around
    residual = data.held_out_residual(spline, config, hidden)[held_out.scored[hidden]] / scales.amplitude
    penalty = replace(options.penalty, order=options.order, weight=0.0)
    selection = NetworkSelection(
        coordinates=coordinates,
        values=values,
        noise=pixels,
        held_out=held_out,
        baseline_rmse=float(np.sqrt(np.mean(pixels.misfit(residual)))),
        excess=pixels.scale**2 * spline.degrees_of_freedom / len(values),
        wave_numbers=wave_numbers(spline),
        penalty=penalty,
        penalty_scales=penalty_scales(spline, penalty),
        weight=None if isinstance(options.weight, str) else float(options.weight),
        steps=options.steps,
        device=options.device,
        progress=progress,
    )
    networks, scores = selection.run(configs, may_grow=not options.networks, seed=seed)
    scores = {"spline": selection.baseline_rmse} | scores
    observed = data.values[held_out.scored]
    return _Attempt(
        noise=noise,
        spline=spline,
        config=config,
        networks=networks,
        scores={name: rmse * scales.amplitude for name, rmse in scores.items()},
        observed=observed,
        mean=observed - networks.residuals * scales.amplitude,
    )
