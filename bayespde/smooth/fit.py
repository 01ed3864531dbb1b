"""A noisy field -> a `SmoothField`: spline and neural field are fitted, and the one that predicts unseen pixels better is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.field import check_field
from bayespde.smooth.basis import SplineConfig
from bayespde.smooth.differentiate import SmoothField
from bayespde.smooth.penalty import Penalty
from bayespde.smooth.spline import SplineFit, fit_spline
from bayespde.smooth.train import (
    NetworkConfig,
    NetworkFit,
    candidate_configs,
    choose_weight,
    held_out_mask,
    train,
)

MINIMUM_NOISE = 1e-3


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
    spline: SplineConfig = SplineConfig()
    networks: tuple[NetworkConfig, ...] = ()

    def __post_init__(self) -> None:
        is_weight = self.weight == "auto" or (isinstance(self.weight, int | float) and self.weight >= 0)
        if (
            self.method not in ("auto", "spline", "network")
            or self.hold_out not in ("auto", "pixels", "frames")
            or self.order not in (1, 2, 3)
            or not is_weight
        ):
            raise ConfigError(
                "The settings of the smoother are not understood.",
                got=f"method={self.method!r}, order={self.order}, weight={self.weight!r}, hold_out={self.hold_out!r}",
                wanted="method auto, spline or network; order 1-3; weight >= 0 or 'auto'; hold_out auto, pixels or frames",
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
    choice["reason"] = (
        "asked for" if options.method == "network" else "lower error on pixels that neither had seen"
    )
    chosen = "network" if options.method == "network" or best != "spline" else "spline"
    return SmoothField(field, spline, spline_config, network, chosen, choice)


def _fit_networks(
    field: xr.DataArray, spline: SplineFit, options: Smoothing, seed: int, progress: bool
) -> tuple[NetworkFit, np.ndarray, dict[str, float]]:
    """Train the candidate architectures without penalty, then the best one with it; all see the same pixels."""
    scales, observed = spline.scales, ~np.isnan(field.values)
    axes = [2 * scales.to_unit(str(d), field[d].values) - 1 for d in field.dims]
    coordinates = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)[observed]
    values = (field.values[observed] - scales.offset) / scales.amplitude
    noise = max(spline.noise_scale / scales.amplitude, MINIMUM_NOISE)
    configs = [
        replace(
            c, steps=options.steps, hold_out=spline.hold_out, penalty=Penalty(order=options.order, weight=0.0)
        )
        for c in options.networks or candidate_configs(field.ndim)
    ]
    mask = held_out_mask(coordinates, config=configs[0], seed=seed)
    common: dict[str, Any] = {"noise_scale": noise, "held_out": mask, "seed": seed, "progress": progress}
    fits = [train(coordinates, values, config=c, **common) for c in configs]
    scores = {_label(f): f.held_out_rmse * scales.amplitude for f in fits}
    best = min(fits, key=lambda f: f.held_out_rmse)
    if options.weight != 0:
        penalty_scales = _penalty_scales(spline, best.config.penalty, field.ndim)
        weights = {} if options.weight == "auto" else {"weights": (float(options.weight),)}
        picked = choose_weight(
            coordinates, values, config=best.config, penalty_scales=penalty_scales, **common, **weights
        )
        for w, rmse in zip(picked.weights, picked.held_out_rmse, strict=True):
            scores[f"{_label(best)}, weight {w:g}"] = float(rmse) * scales.amplitude
        best = picked.fit
    full = np.zeros(field.shape, dtype=bool)
    full[observed] = mask
    return best, full, scores


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
    return f"{c.activation} {c.depth}x{c.width}"
