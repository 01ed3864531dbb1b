"""Forecast + observed frames -> scores by horizon, next to those of reference forecasts that need no equation."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Annotated, Final

import numpy as np
import scipy.ndimage
import xarray as xr

from bayespde.core.annotations import MadeBy, Share
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.random import checked_seed

# What `bayespde.forecast` returned for one field.
Forecast = Annotated[xr.Dataset, MadeBy("bayespde.forecast(posterior, start, times)", ("field", "noise_scale"))]
# What `verify_forecast` returned.
Scores = Annotated[
    xr.Dataset, MadeBy("bayespde.verify_forecast(forecast, observed)", ("time", "rmse", "coverage", "level"))
]
# Quantiles of a finite number of draws that a further draw is below with the given probability.
UNBIASED: Final = "weibull"
SAME_TIME, SAME_PLACE = 1e-9, 1e-6
# Last frames before a forecast from which the velocity is measured.
LAST = 5
# Scores -> what they are of, in a summary.
FORECASTS = {"rmse": "forecast", "persistence": "persistence", "constant_velocity": "constant velocity"}


@validated
def verify_forecast(
    forecast: Forecast,
    observed: xr.DataArray,
    *,
    before: xr.DataArray | None = None,
    level: Share = 0.9,
    is_noisy: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """Compare a forecast with the observed frames.

    Args:
        forecast: What `bayespde.forecast` returned.
        observed: Frames at the times of the forecast, or at more; NaN pixels are ignored.
        before: Frames up to the initial time, preferably smoothed, from which reference forecasts are made: the last
            frame persists, or moves on at constant velocity.
        level: Probability of the bands, in (0, 1).
        is_noisy: Whether the noise of a pixel is added to the draws; False where `observed` is free of noise.
        seed: Of that noise.

    Returns:
        Over `time`: `horizon`, since the initial time; `rmse` of the mean over draws, `persistence` and
        `constant_velocity` (with `before`), in units of the field; `crps`, the continuous ranked probability score
        [gneiting2007] averaged over pixels, in the same; `coverage`, share of pixels inside the bands; `width`, their
        mean width; `draws`, the number of draws that have not diverged.

    Raises:
        ConfigError: If the observed frames are not at the times and places of the forecast.
    """
    drawn = forecast[forecast.attrs["field"]]
    frames = observed_at(observed, drawn)
    random = np.random.default_rng(checked_seed(seed))
    noise = float(forecast.attrs["noise_scale"]) if is_noisy else 0.0
    rows = [_score(drawn.values[:, k], frame, noise, level, random) for k, frame in enumerate(frames.values)]
    found = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    clock, start = drawn["time"].values, float(forecast.attrs["initial_time"])
    if before is not None:
        expected = reference_forecasts(_before(before, drawn), clock, str(forecast.attrs["boundary"]))
        found |= {name: _rmse(values, frames.values) for name, values in expected.items()}
        start = float(before["time"][-1])
    found["horizon"] = clock - start
    units = str(drawn.attrs.get("units", "1"))
    variables = {name: (("time",), values) for name, values in found.items()}
    return xr.Dataset(variables, coords={"time": drawn["time"]}, attrs={"level": level, "units": units})


def reference_forecasts(before: xr.DataArray, clock: np.ndarray, boundary: str) -> dict[str, np.ndarray]:
    """The last frame as it is, and moved on at the velocity of the last frames.

    Args:
        before: Frames up to the initial time, dims `time` and those of space.
        clock: Times of the forecast.
        boundary: Boundary condition in space; what leaves a periodic field comes back on the other side.

    Returns:
        `persistence` and `constant_velocity`, each `[time, *space]`.

    Raises:
        ConfigError: If there are fewer than two frames.
    """
    if before.sizes["time"] < 2:
        raise ConfigError(
            "A velocity needs frames.",
            got="1 frame before",
            wanted="two or more",
            fix="before=field.isel(time=slice(-5, None))",
        )
    last, times = before.values[-1], before["time"].values
    recent = before.isel(time=slice(-LAST, None))
    steps = [float(np.diff(before[d].values).mean()) for d in before.dims[1:]]
    change = np.gradient(recent.values, recent["time"].values, axis=0)
    slopes = [np.gradient(recent.values, step, axis=a) for a, step in enumerate(steps, start=1)]
    design = np.stack([s.ravel() for s in slopes], axis=1)
    kept = np.isfinite(design).all(axis=1) & np.isfinite(change.ravel())
    velocity = -np.linalg.lstsq(design[kept], change.ravel()[kept], rcond=None)[0]
    mode = "grid-wrap" if boundary == "periodic" else "nearest"
    moved = [scipy.ndimage.shift(last, velocity * (t - times[-1]) / steps, order=1, mode=mode) for t in clock]
    return {"persistence": np.broadcast_to(last, (len(clock), *last.shape)), "constant_velocity": np.stack(moved)}


@validated
def format_scores(scores: Scores) -> str:
    """Root mean square errors over all times, and coverage, in a line."""
    reached = scores.isel(time=np.flatnonzero(np.isfinite(scores["rmse"].values)))
    if not reached.sizes["time"]:
        return "all draws diverged before the first time"
    names = [name for name in FORECASTS if name in scores]
    parts = [f"{FORECASTS[name]} {np.sqrt(np.mean(reached[name].values ** 2)):.3g}" for name in names]
    cover, level = float(reached["coverage"].mean()), scores.attrs["level"]
    is_cut = reached.sizes["time"] < scores.sizes["time"]
    until = f" until {float(reached['time'][-1]):.4g}, when the last draw diverged" if is_cut else ""
    inside = f"{cover:.0%} of pixels inside their {level:.0%} bands"
    return f"root mean square error{until}: {', '.join(parts)}; {inside}"


def band(draws: xr.DataArray, level: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Lower and upper end, over all dims but `draw`, between which one more draw is with a probability of `level`."""
    low, high = draws.quantile(_ends(level), "draw", skipna=True, method=UNBIASED).drop_vars("quantile")
    return low, high


def observed_at(observed: xr.DataArray, drawn: xr.DataArray) -> xr.DataArray:
    """The observed frames at the times of the draws, their dims in the same order.

    Raises:
        ConfigError: If times or places are others.
    """
    dims: tuple[Hashable, ...] = drawn.dims[1:]
    clock = drawn["time"].values
    is_same = set(observed.dims) == set(dims)
    if is_same:
        frames = observed.transpose(*dims)
        nearest = np.abs(frames["time"].values[:, None] - clock).argmin(axis=0)
        apart = np.abs(frames["time"].values[nearest] - clock).max()
        is_same = apart <= SAME_TIME * max(np.abs(clock).max(), 1e-300) and _is_same_grid(frames, drawn)
    if not is_same:
        raise ConfigError(
            "The observed frames are not at the times and places of the forecast.",
            got=f"{dict(observed.sizes)}",
            wanted=f"frames at the times of the forecast, {dict(drawn.isel(draw=0, drop=True).sizes)}",
            fix="forecast at the times of the frames, times=observed['time'], and do not move or crop them",
        )
    return frames.isel(time=nearest)


def _is_same_grid(one: xr.DataArray, other: xr.DataArray) -> bool:
    """Whether both have the same points of space."""
    return all(
        one.sizes[d] == other.sizes[d]
        and np.abs(one[d].values - other[d].values).max() <= SAME_PLACE * np.ptp(one[d].values)
        for d in other.dims[2:]
    )


def _before(before: xr.DataArray, drawn: xr.DataArray) -> xr.DataArray:
    """The frames before the forecast, their dims in the order of the draws.

    Raises:
        ConfigError: If they are on another grid.
    """
    if set(before.dims) != set(drawn.dims[1:]) or not _is_same_grid(before, drawn):
        raise ConfigError(
            "The frames before are on another grid.",
            got=f"{dict(before.sizes)}",
            wanted=f"the grid of the forecast, {dict(drawn.isel(draw=0, drop=True).sizes)}",
            fix="before=found.smooth.field",
        )
    return before.transpose(*drawn.dims[1:])


def _rmse(expected: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Root mean square error of frames `[time, *space]` over the pixels that were observed, `[time]`."""
    apart = (expected - frames).reshape(len(frames), -1)
    return np.asarray(np.sqrt(np.nanmean(apart**2, axis=1)))


def _ends(level: float) -> list[float]:
    return [(1 - level) / 2, (1 + level) / 2]


def _score(
    draws: np.ndarray, frame: np.ndarray, noise: float, level: float, random: np.random.Generator
) -> dict[str, float]:
    """Scores of one frame by the draws `[draws, *space]` that have not diverged."""
    kept = draws.reshape(len(draws), -1)
    kept = kept[np.isfinite(kept).all(axis=1)]
    observed = ~np.isnan(frame.ravel())
    if not len(kept) or not observed.any():
        return dict.fromkeys(("rmse", "crps", "coverage", "width"), math.nan) | {"draws": len(kept)}
    kept, truth = kept[:, observed], frame.ravel()[observed]
    rmse = float(np.sqrt(np.mean((kept.mean(axis=0) - truth) ** 2)))
    noisy = np.sort(kept + noise * random.standard_normal(kept.shape) if noise else kept, axis=0)
    low, high = np.quantile(noisy, _ends(level), axis=0, method=UNBIASED)
    return {
        "rmse": rmse,
        "crps": float(np.mean(_crps(noisy, truth))),
        "coverage": float(np.mean((truth >= low) & (truth <= high))),
        "width": float(np.mean(high - low)),
        "draws": len(kept),
    }


def _crps(ordered: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of sorted draws `[m, n]`, unbiased in m: mean distance from the truth less half of that between draws."""
    m = len(ordered)
    away = np.abs(ordered - truth).mean(axis=0)
    weights = 2 * np.arange(1, m + 1) - m - 1
    return np.asarray(away - (weights @ ordered) / max(m * (m - 1), 1))
