"""Predicted frames + observed ones -> how well they were foretold, by horizon, beside what needs no law."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final

import numpy as np
import scipy.ndimage
import xarray as xr

from bayespde.core.errors import ConfigError

# Last frames by which the velocity of what is seen is measured.
LAST = 5
# Of a finite number of draws: the next one is below with the probability that is asked for.
UNBIASED: Final = "weibull"
SAME_TIME, SAME_PLACE = 1e-9, 1e-6


def verify_forecast(
    prediction: xr.Dataset,
    observed: xr.DataArray,
    *,
    before: xr.DataArray | None = None,
    level: float = 0.9,
    is_noisy: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """Compare a prediction with the frames that came.

    Args:
        prediction: What `forecast` returned.
        observed: Frames at the times of the prediction, or at more; NaN pixels are left out.
        before: Frames up to the start, best smooth ones, by which a prediction that knows no law is made: the last
            frame stays, or moves on at constant velocity.
        level: Probability of the bands, in (0, 1).
        is_noisy: Whether the noise of a pixel is to be added to the draws; False where `observed` is free of noise.
        seed: Of that noise.

    Returns:
        Over `time`: `horizon`, since the start; `rmse` of the mean over draws, `persistence` and `constant_velocity`
        (with `before`), in units of the field; `crps`, the continuous ranked probability score [gneiting2007] averaged
        over pixels, in the same; `coverage`, share of pixels inside the bands; `width`, their mean width; `draws`, how
        many draws had not ended.

    Raises:
        ConfigError: If the frames are not those that were predicted.
    """
    name = prediction.attrs["field"]
    drawn = prediction[name]
    seen = observed_at(observed, drawn)
    if not 0 < level < 1:
        raise ConfigError("The level is out of range.", got=level, wanted="0 < level < 1", fix="level=0.9")
    random = np.random.default_rng(seed)
    noise = float(prediction.attrs["noise_scale"]) if is_noisy else 0.0
    rows = [_score(drawn.values[:, k], frame, noise, level, random) for k, frame in enumerate(seen.values)]
    found = {key: (("time",), np.array([row[key] for row in rows])) for key in rows[0]}
    clock, begin = drawn["time"].values, float(prediction.attrs["start"])
    if before is not None:
        if set(before.dims) != set(drawn.dims[1:]) or not _same_places(before, drawn):
            raise ConfigError(
                "The frames before are on another grid.",
                got=f"{dict(before.sizes)}",
                wanted=f"the places of the prediction, {dict(drawn.isel(draw=0, drop=True).sizes)}",
                fix="before=found.smooth.field",
            )
        before = before.transpose(*drawn.dims[1:])
        for key, frames in _without_law(before, clock, str(prediction.attrs["boundary"])).items():
            apart = (frames - seen.values).reshape(len(clock), -1)
            found[key] = (("time",), np.sqrt(np.nanmean(apart**2, axis=1)))
        begin = float(before["time"][-1])
    found["horizon"] = (("time",), clock - begin)
    units = str(drawn.attrs.get("units", "1"))
    return xr.Dataset(found, coords={"time": drawn["time"]}, attrs={"level": level, "units": units})


def format_scores(scores: xr.Dataset) -> str:
    """Root mean square errors over all times, and coverage, in a line."""
    names = {"rmse": "the law", "persistence": "the last frame", "constant_velocity": "constant velocity"}
    came = scores.isel(time=np.flatnonzero(np.isfinite(scores["rmse"].values)))
    if not came.sizes["time"]:
        return "no draw came to any of the times"
    parts = [f"{text} {np.sqrt(np.mean(came[name].values ** 2)):.3g}" for name, text in names.items() if name in scores]
    cover, level = float(came["coverage"].mean()), scores.attrs["level"]
    ends = came.sizes["time"] < scores.sizes["time"]
    until = f" until {float(came['time'][-1]):.4g}, where draws end" if ends else ""
    inside = f"{cover:.0%} of pixels inside their {level:.0%} bands"
    return f"root mean square error{until}: {', '.join(parts)}; {inside}"


def track_front(frames: xr.DataArray, *, level: float | None = None, dim: str = "x") -> xr.DataArray:
    """Where a front stands: the first crossing of a level along a dimension, between pixels.

    Args:
        frames: Any dims, `dim` among them.
        level: Half way between the largest and the smallest value if absent.
        dim: Along which.

    Returns:
        Without `dim`, in its unit; NaN where nothing crosses.
    """
    values = np.moveaxis(frames.values, frames.get_axis_num(dim), -1)
    middle = (np.nanmin(values) + np.nanmax(values)) / 2 if level is None else level
    above = values > middle
    known = np.isfinite(values)
    crosses = (above[..., 1:] != above[..., :-1]) & known[..., 1:] & known[..., :-1]
    first = crosses.argmax(axis=-1)[..., None]
    a, b = (np.take_along_axis(values, first + k, axis=-1)[..., 0] for k in (0, 1))
    place = frames[dim].values
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (middle - a) / (b - a)
    found = place[first[..., 0]] + share * np.diff(place)[first[..., 0]]
    found = np.where(crosses.any(axis=-1), found, np.nan)
    dims = [d for d in frames.dims if d != dim]
    coords = {d: frames[d] for d in dims if d in frames.coords}
    return xr.DataArray(found, dims=dims, coords=coords, attrs={"units": frames[dim].attrs.get("units", "1")})


def verify_front_position(
    prediction: xr.Dataset, observed: xr.DataArray, *, crossing: float | None = None, dim: str = "x", level: float = 0.9
) -> xr.Dataset:
    """Compare predicted and observed positions of a front.

    Args:
        prediction: What `forecast` returned.
        observed: Frames at the times of the prediction; best smooth ones, as noise moves crossings.
        crossing: Level that defines the front; half way between the extremes of `observed` if absent.
        dim: Along which it is sought.
        level: Probability of the bands.

    Returns:
        Over `time`: `observed`, `predicted` (mean over draws), `lower`, `upper`, unit of `dim`, averaged over the other
        dims; `coverage`, share of positions inside the band of their own; `rmse`.
    """
    drawn = prediction[prediction.attrs["field"]]
    seen = observed_at(observed, drawn)
    crossing = float(seen.max() + seen.min()) / 2 if crossing is None else crossing
    stands = track_front(seen, level=crossing, dim=dim)
    each = track_front(drawn, level=crossing, dim=dim)
    low, high = band(each, level)
    others = [d for d in stands.dims if d != "time"]
    known = stands.notnull()
    inside = ((stands >= low) & (stands <= high)).where(known)
    middle = each.mean("draw")
    return xr.Dataset(
        {
            "observed": stands.mean(others),
            "predicted": middle.mean(others),
            "lower": low.mean(others),
            "upper": high.mean(others),
            "coverage": inside.mean(others),
            "rmse": np.sqrt(((middle - stands) ** 2).mean(others)),
        },
        attrs={"level": level, "crossing": crossing, "units": stands.attrs["units"]},
    )


def band(draws: xr.DataArray, level: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Lower and upper end, over all dims but `draw`, between which one more draw is with a probability of `level`."""
    low, high = draws.quantile(_ends(level), "draw", skipna=True, method=UNBIASED).drop_vars("quantile")
    return low, high


def _ends(level: float) -> list[float]:
    return [(1 - level) / 2, (1 + level) / 2]


def observed_at(observed: xr.DataArray, drawn: xr.DataArray) -> xr.DataArray:
    """The observed frames at the times of the draws, their dims in the same order.

    Raises:
        ConfigError: If times or places are others.
    """
    dims: tuple[Hashable, ...] = drawn.dims[1:]
    clock = drawn["time"].values
    same = set(observed.dims) == set(dims)
    if same:
        seen = observed.transpose(*dims)
        nearest = np.abs(seen["time"].values[:, None] - clock).argmin(axis=0)
        apart = np.abs(seen["time"].values[nearest] - clock).max()
        same = apart <= SAME_TIME * max(np.abs(clock).max(), 1e-300) and _same_places(seen, drawn)
    if not same:
        raise ConfigError(
            "The observed frames are not those that were predicted.",
            got=f"{dict(observed.sizes)}",
            wanted=f"frames at the predicted times, {dict(drawn.isel(draw=0, drop=True).sizes)}",
            fix="predict at the times of the frames, times=observed['time'], and do not move or cut them",
        )
    return seen.isel(time=nearest)


def _same_places(one: xr.DataArray, other: xr.DataArray) -> bool:
    """Whether both have the same points of space."""
    return all(
        one.sizes[d] == other.sizes[d]
        and np.abs(one[d].values - other[d].values).max() <= SAME_PLACE * np.ptp(one[d].values)
        for d in other.dims[2:]
    )


def _score(
    draws: np.ndarray, frame: np.ndarray, noise: float, level: float, random: np.random.Generator
) -> dict[str, float]:
    """Scores of one frame by the draws `[draws, *space]` that have come so far."""
    kept = draws.reshape(len(draws), -1)
    kept = kept[np.isfinite(kept).all(axis=1)]
    seen = ~np.isnan(frame.ravel())
    if not len(kept) or not seen.any():
        return dict.fromkeys(("rmse", "crps", "coverage", "width"), math.nan) | {"draws": len(kept)}
    kept, truth = kept[:, seen], frame.ravel()[seen]
    rmse = float(np.sqrt(np.mean((kept.mean(axis=0) - truth) ** 2)))
    shown = np.sort(kept + noise * random.standard_normal(kept.shape) if noise else kept, axis=0)
    low, high = np.quantile(shown, _ends(level), axis=0, method=UNBIASED)
    return {
        "rmse": rmse,
        "crps": float(np.mean(_crps(shown, truth))),
        "coverage": float(np.mean((truth >= low) & (truth <= high))),
        "width": float(np.mean(high - low)),
        "draws": len(kept),
    }


def _crps(ordered: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of sorted draws `[m, n]`, without the bias of their finite number: mean distance less half of that of pairs."""
    m = len(ordered)
    away = np.abs(ordered - truth).mean(axis=0)
    weights = 2 * np.arange(1, m + 1) - m - 1
    return np.asarray(away - (weights @ ordered) / max(m * (m - 1), 1))


def _without_law(before: xr.DataArray, clock: np.ndarray, boundary: str) -> dict[str, np.ndarray]:
    """Frames `[time, *space]` that stay, and that move on as those before moved."""
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
