"""Frames -> position of a front; forecast + observed frames -> scores of that position."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.annotations import Finite, Share
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.results.forecast_verification import Forecast, band, observed_at


@validated
def track_front(frames: xr.DataArray, *, level: Finite | None = None, dim: str = "x") -> xr.DataArray:
    """Position of a front: the first crossing of a level along a dimension, between pixels.

    Args:
        frames: Any dims, `dim` among them.
        level: The middle of the largest and the smallest value if absent.
        dim: Along which the crossing is sought.

    Returns:
        Without `dim`, in its unit; NaN where there is no crossing.
    """
    if dim not in frames.dims or dim not in frames.coords:
        raise ConfigError(
            "The front cannot be sought along this dimension.",
            got=f"dim={dim!r}",
            wanted="one with a coordinate among " + (", ".join(map(str, frames.dims)) or "at least one dimension"),
            fix=f"dim={str(frames.dims[-1]) if frames.dims else 'x'!r}, or frames.assign_coords({dim}=...)",
        )
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


@validated
def verify_front_position(
    forecast: Forecast, observed: xr.DataArray, *, crossing: Finite | None = None, dim: str = "x", level: Share = 0.9
) -> xr.Dataset:
    """Compare forecast and observed positions of a front.

    Args:
        forecast: What `bayespde.forecast` returned.
        observed: Frames at the times of the forecast; preferably smoothed, as noise moves crossings.
        crossing: Level that defines the front; the middle of the extremes of `observed` if absent.
        dim: Along which the front is sought.
        level: Probability of the bands.

    Returns:
        Over `time`: `observed`, `forecast` (mean over draws), `lower`, `upper`, unit of `dim`, averaged over the other
        dims; `coverage`, share of positions inside their own band; `rmse`.
    """
    drawn = forecast[forecast.attrs["field"]]
    frames = observed_at(observed, drawn)
    crossing = float(frames.max() + frames.min()) / 2 if crossing is None else crossing
    position = track_front(frames, level=crossing, dim=dim)
    each = track_front(drawn, level=crossing, dim=dim)
    low, high = band(each, level)
    others = [d for d in position.dims if d != "time"]
    inside = ((position >= low) & (position <= high)).where(position.notnull())
    middle = each.mean("draw")
    return xr.Dataset(
        {
            "observed": position.mean(others),
            "forecast": middle.mean(others),
            "lower": low.mean(others),
            "upper": high.mean(others),
            "coverage": inside.mean(others),
            "rmse": np.sqrt(((middle - position) ** 2).mean(others)),
        },
        attrs={"level": level, "crossing": crossing, "units": position.attrs["units"]},
    )
