"""A noisy field -> a `SmoothField`: spline and neural field, and the choice of what predicts unseen pixels better."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.field import check_field
from bayespde.smooth.basis import SplineConfig
from bayespde.smooth.differentiate import SmoothField, standardised_pixels
from bayespde.smooth.penalty import Penalty
from bayespde.smooth.spline import SplineFit, fit_spline
from bayespde.smooth.train import (
    NetworkConfig,
    NetworkFit,
    candidate_configs,
    held_out_mask,
    train,
)

MINIMUM_NOISE = 1e-3
PENALTY_WEIGHTS = (1e-4, 1e-3)
WEIGHT_TOLERANCE = 5e-4


@dataclass(frozen=True)
class Smoothing:
    """How a field is made smooth.

    Attributes:
        method: `auto` (fit both, choose by held-out error), `spline`, or `network`.
        order: Order of the derivatives whose total variation the neural field pays for, 1 to 3.
        weight: Weight of that penalty, dimensionless, or `auto`: the largest whose held-out error is within 0.05 % of
            the smallest.
        hold_out: `pixels`, `frames`, or `auto`: frames where the residuals of a frame are correlated in space.
        steps: Most optimiser steps per network.
        spline: Settings of the spline.
        networks: Architectures to try; a tanh and a sine network by default.
    """

    method: str = "auto"
    order: int = 2
    weight: float | str = "auto"
    hold_out: str = "auto"
    steps: int = 2000
    spline: SplineConfig = field(default_factory=SplineConfig)
    networks: tuple[NetworkConfig, ...] = ()

    def __post_init__(self) -> None:
        is_weight = self.weight == "auto" or (isinstance(self.weight, int | float) and self.weight >= 0)
        if (
            self.method not in ("auto", "spline", "network")
            or self.hold_out not in ("auto", "pixels", "frames")
            or self.order not in (1, 2, 3)
            or not is_weight
            or type(self.steps) is not int
            or self.steps < 1
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
    network, mask, scores = _fit_networks(field, spline, options, seed, progress)
    if options.method == "auto":
        choice["held_out_rmse"]["spline"] = _held_out_rmse(field, spline_config, spline.hold_out, mask)
    else:
        del choice["held_out_rmse"]["spline"]
    choice["held_out_rmse"] |= scores
    best = min(choice["held_out_rmse"], key=choice["held_out_rmse"].__getitem__)
    choice["reason"] = "asked for" if options.method == "network" else "lower error on pixels that neither had seen"
    chosen = "network" if options.method == "network" or best != "spline" else "spline"
    return SmoothField(field, spline, spline_config, network, chosen, choice)


def _fit_networks(
    field: xr.DataArray, spline: SplineFit, options: Smoothing, seed: int, progress: bool
) -> tuple[NetworkFit, np.ndarray, dict[str, float]]:
    """Train the candidate architectures without penalty, then the best one with it; all see the same pixels."""
    scales, observed = spline.scales, ~np.isnan(field.values)
    coordinates, values = standardised_pixels(field, scales)
    free = Penalty(order=options.order, weight=0.0)
    hold_out: Literal["pixels", "frames"] = "frames" if spline.hold_out == "frames" else "pixels"
    configs = [
        replace(c, steps=options.steps, hold_out=hold_out, penalty=free)
        for c in options.networks or candidate_configs(field.ndim)
    ]
    mask = held_out_mask(coordinates, config=configs[0], seed=seed)
    penalty_scales = _penalty_scales(spline, free, field.ndim)

    def trained(config: NetworkConfig) -> NetworkFit:
        return train(
            coordinates,
            values,
            config=config,
            noise_scale=max(spline.noise_scale / scales.amplitude, MINIMUM_NOISE),
            penalty_scales=penalty_scales,
            held_out=mask,
            seed=seed,
            progress=progress,
        )

    fits = [trained(c) for c in configs]
    best = min(fits, key=lambda f: f.held_out_rmse)
    # The unpenalised fit is the first rung of the ladder, unless one weight was asked for.
    ladder = PENALTY_WEIGHTS if isinstance(options.weight, str) else (options.weight,) if options.weight else ()
    penalised = [trained(replace(best.config, penalty=replace(free, weight=w))) for w in ladder]
    rungs = [best, *penalised] if options.weight == "auto" else penalised or [best]
    limit = min(f.held_out_rmse for f in rungs) * (1 + WEIGHT_TOLERANCE)
    chosen = [f for f in rungs if f.held_out_rmse <= limit][-1]
    full = np.zeros(field.shape, dtype=bool)
    full[observed] = mask
    return chosen, full, {_label(f): f.held_out_rmse * scales.amplitude for f in (*fits, *penalised)}


def _penalty_scales(spline: SplineFit, penalty: Penalty, dimensions: int) -> list[float]:
    """Mean absolute derivative of the spline in the network's coordinates [-1, 1] and standardised amplitude."""
    scales, result = spline.scales, []
    for index in penalty.indices(dimensions):
        physical = float(np.mean(np.abs(spline.evaluate(index))))
        unit = physical / scales.derivative_factor(index) / 2.0 ** sum(index) / scales.amplitude
        result.append(max(unit, 1e-6))
    return result


def _held_out_rmse(field: xr.DataArray, config: SplineConfig, hold_out: str, mask: np.ndarray) -> float:
    """Error of the spline at pixels hidden from it, which it imputes like missing ones."""
    hidden = field.copy(data=np.where(mask, np.nan, field.values))
    fit = fit_spline(hidden, config=replace(config, hold_out=hold_out))
    return float(np.sqrt(np.mean((field.values - fit.evaluate((0,) * field.ndim))[mask] ** 2)))


def _label(fit: NetworkFit) -> str:
    c = fit.config
    penalised = f", weight {c.penalty.weight:g}" if c.penalty.weight else ""
    return f"{c.activation} {c.depth}x{c.width}{penalised}"
