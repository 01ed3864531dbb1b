"""A noisy field -> a `SmoothField`: spline and neural field, and the choice of what predicts unseen pixels better."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.field import check_field
from bayespde.core.random import spawn_seeds
from bayespde.smooth.basis import SplineConfig
from bayespde.smooth.differentiate import SmoothField, standardised_pixels
from bayespde.smooth.ensemble import NetworkEnsemble
from bayespde.smooth.hold_out import held_out_mask
from bayespde.smooth.network_config import NetworkConfig
from bayespde.smooth.network_fit import NetworkFit
from bayespde.smooth.penalty import Penalty
from bayespde.smooth.shapes import candidate_configs, companion, larger, wave_numbers, with_input_scale
from bayespde.smooth.spline import SplineFit, fit_spline
from bayespde.smooth.train import train

MINIMUM_NOISE = 1e-3
# With one weight each, networks side by side differ in their roughness; where pixels cannot tell, all count.
PENALTY_WEIGHTS = (1e-4, 0.0)
TOLERANCE = 0.01
# Share of the spline's squared error that networks have to take off before larger ones are not tried.
ENOUGH = 2 / 3
ROUNDS = 3


@dataclass(frozen=True)
class Smoothing:
    """How a field is made smooth.

    Attributes:
        method: `auto` (fit both, choose by held-out error), `spline`, or `network`.
        order: Order of the derivatives whose total variation the neural field pays for, 1 to 3.
        weight: Weight of that penalty, dimensionless, or `auto`: networks with and without it are trained side by side,
            and those count whose loss at the pixels held out is within 1 %, or one standard error, of the smallest.
        penalty: Kind, axis weights, mixed derivatives and isotropy of that penalty; order and weight are those above.
        hold_out: `pixels`, `frames`, or `auto`: frames where the residuals of a frame are correlated in space.
        steps: Most optimiser steps per network; those of the networks' settings if absent.
        spline: Settings of the spline.
        networks: Architectures to try; a tanh and a sine network by default.
    """

    method: str = "auto"
    order: int = 3
    weight: float | str = "auto"
    penalty: Penalty = field(default_factory=Penalty)
    hold_out: str = "auto"
    steps: int | None = None
    spline: SplineConfig = field(default_factory=SplineConfig)
    networks: tuple[NetworkConfig, ...] = ()

    def __post_init__(self) -> None:
        is_weight = self.weight == "auto" or (isinstance(self.weight, int | float) and self.weight >= 0)
        if (
            self.method not in ("auto", "spline", "network")
            or self.hold_out not in ("auto", "pixels", "frames")
            or self.order not in (1, 2, 3)
            or not is_weight
            or not (self.steps is None or (type(self.steps) is int and self.steps >= 1))
        ):
            raise ConfigError(
                "The settings of the smoother are not understood.",
                got=self,
                wanted="method auto, spline, network; order 1-3; weight >= 0 or auto; hold_out auto, pixels, frames; "
                "steps >= 1",
                fix="fit_field(field)",
            )


def fit_field(
    field: xr.DataArray,
    *,
    order: int | None = None,
    weight: float | str | None = None,
    method: str | None = None,
    options: Smoothing | None = None,
    seed: int = 0,
    progress: bool = False,
) -> SmoothField:
    """Make a field smooth: deep-learning total-variation regularisation, or the spline where that predicts better.

    Args:
        field: A field; checked first.
        order: Overrides `options.order`.
        weight: Overrides `options.weight`.
        method: Overrides `options.method`.
        options: All settings.
        seed: Non-negative integer; same seed, same result.
        progress: Show bars.

    Returns:
        The smooth field, with the choice made and the scores it rests on.

    Raises:
        FieldError: If the field does not satisfy its schema.
        ConfigError: If a setting is out of range.
    """
    field = check_field(field)
    changes: dict[str, Any] = {"order": order, "weight": weight, "method": method}
    options = replace(options or Smoothing(), **{k: v for k, v in changes.items() if v is not None})
    spline_config = options.spline
    if options.hold_out != "auto":
        spline_config = replace(spline_config, hold_out=options.hold_out)
    spline = fit_spline(field, config=spline_config)
    choice: dict[str, Any] = {"hold_out": spline.hold_out, "held_out_rmse": {"spline": spline.score}}
    if options.method == "spline":
        choice["reason"] = "asked for; its rmse is by generalised cross-validation"
        return SmoothField(field, spline, spline_config, None, "spline", choice)
    networks, scores = _fit_networks(field, spline, options, seed, progress)
    choice["held_out_rmse"] = scores
    choice["networks"] = [fit.config.label for fit in networks.fits]
    choice["reason"] = "asked for" if options.method == "network" else "lower error on pixels that neither had seen"
    is_spline = options.method == "auto" and scores["spline"] < scores["mean of networks"]
    return SmoothField(field, spline, spline_config, networks, "spline" if is_spline else "network", choice)


def _fit_networks(
    field: xr.DataArray, spline: SplineFit, options: Smoothing, seed: int, progress: bool
) -> tuple[NetworkEnsemble, dict[str, float]]:
    """Train the candidates on the same pixels, and others where these are not enough; rmse by name."""
    scales = spline.scales
    coordinates, values = standardised_pixels(field, scales)
    noise = max(spline.noise_scale / scales.amplitude, MINIMUM_NOISE)
    waves, hold_out = wave_numbers(spline), spline.hold_out
    configs = [_complete(c, waves, hold_out, options) for c in options.networks or candidate_configs(field.ndim)]
    # Order, kind and axes of the penalty are the same for all of them.
    penalty_scales = _penalty_scales(spline, configs[0].penalty, field.ndim)
    mask = held_out_mask(coordinates, config=configs[0], seed=seed)

    def trained(config: NetworkConfig, own_seed: int) -> NetworkFit:
        return train(
            coordinates,
            values,
            config=config,
            noise_scale=noise,
            penalty_scales=penalty_scales,
            held_out=mask,
            seed=own_seed,
            progress=progress,
        )

    rivals = {"spline": _held_out_rmse(field, options.spline, hold_out, mask)}
    seeds = iter(spawn_seeds(seed, ROUNDS * (len(configs) + 1)))
    fits = [trained(config, next(seeds)) for config in configs]
    mean, last = NetworkEnsemble(_worth_keeping(fits)), float("inf")
    excess = noise**2 * spline.degrees_of_freedom / len(values)
    for _ in range(0 if options.networks else ROUNDS - 1):
        loss = mean.held_out_rmse**2
        is_short = (rivals["spline"] / scales.amplitude) ** 2 - loss < ENOUGH * excess
        more = _next_round(mean, configs, is_short=is_short) if loss < (1 - TOLERANCE) * last else []
        configs = [_complete(config, waves, hold_out, options) for config in more]
        fits += [trained(config, next(seeds)) for config in configs]
        mean, last = NetworkEnsemble(_worth_keeping(fits)), loss
    scores = {f.config.label: f.held_out_rmse for f in fits} | {"mean of networks": mean.held_out_rmse}
    return mean, rivals | {name: rmse * scales.amplitude for name, rmse in scores.items()}


def _next_round(mean: NetworkEnsemble, trained: list[NetworkConfig], *, is_short: bool) -> list[NetworkConfig]:
    """What to train after these: larger ones if the mean falls short, of those that count; never one shape alone."""
    labels = {fit.config.label for fit in mean.fits}
    kept = [config for config in trained if config.label in labels]
    more = [larger(config) for config in kept] if is_short else []
    return [*more, companion((more or kept)[0])] if len(kept) == 1 and (is_short or len(mean.fits) == 1) else more


def _complete(config: NetworkConfig, waves: tuple[float, ...], hold_out: str, options: Smoothing) -> NetworkConfig:
    """A candidate with everything that is decided for all of them together."""
    unit: Literal["pixels", "frames"] = "frames" if hold_out == "frames" else "pixels"
    automatic = tuple(islice(cycle(PENALTY_WEIGHTS), config.members))
    weight = automatic if isinstance(options.weight, str) else float(options.weight)
    penalty = replace(options.penalty, order=options.order, weight=weight)
    config = with_input_scale(config, waves)
    return replace(config, steps=options.steps or config.steps, hold_out=unit, penalty=penalty)


def _worth_keeping(fits: list[NetworkFit]) -> tuple[NetworkFit, ...]:
    """The networks that the pixels held out do not tell from the best one, or hardly."""
    losses = [fit.residuals**2 for fit in fits]
    best = min((loss for group in losses for loss in group), key=np.mean)
    kept = []
    for fit, group in zip(fits, losses, strict=True):
        excess = group - best
        error = excess.std(axis=1) / np.sqrt(excess.shape[1])
        near = excess.mean(axis=1) <= np.maximum(TOLERANCE * best.mean(), error)
        if near.any():
            kept.append(fit.subset(np.flatnonzero(near)))
    return tuple(kept)


def _penalty_scales(spline: SplineFit, penalty: Penalty, dimensions: int) -> list[float]:
    """Mean absolute derivative of the spline in the network's coordinates [-1, 1] and standardised amplitude."""
    scales, result = spline.scales, []
    for index in penalty.indices(dimensions):
        physical = float(np.mean(np.abs(spline.evaluate(index))))
        unit = physical / scales.derivative_factor(index) / 2.0 ** sum(index) / scales.amplitude
        result.append(max(unit, 1e-6))
    return result


def _held_out_rmse(field: xr.DataArray, config: SplineConfig, hold_out: str, mask: np.ndarray) -> float:
    """Error of the spline at observed pixels hidden from it, which it imputes like missing ones."""
    hidden = np.zeros(field.shape, dtype=bool)
    hidden[~np.isnan(field.values)] = mask
    gappy = field.copy(data=np.where(hidden, np.nan, field.values))
    fit = fit_spline(gappy, config=replace(config, hold_out=hold_out))
    return float(np.sqrt(np.mean((field.values - fit.evaluate((0,) * field.ndim))[hidden] ** 2)))
