"""Arrays, or videos with drift or too many pixels -> checked scattered data: values at arbitrary places and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.annotations import Count
from bayespde.core.arrays import as_array, check_real, real_array
from bayespde.core.checked import validated
from bayespde.core.errors import FieldError
from bayespde.core.field import ALLOWED_DIMS, check_name, set_units
from bayespde.core.random import checked_seed

FEWEST_SAMPLES = 100


@validated
def make_scattered(
    values: Any,
    *,
    t: Any,
    x: Any,
    y: Any = None,
    z: Any = None,
    name: str = "u",
    units: Mapping[str, str] | None = None,
) -> xr.DataArray:
    """Build checked scattered data from plain arrays, one entry per sample in each.

    Args:
        values: Real numbers, `[sample]`; NaN are dropped.
        t: Times, `[sample]`, in any order.
        x: Positions, `[sample]`, not necessarily on a grid.
        y: Positions, `[sample]`, for two or three space dimensions.
        z: Positions, `[sample]`, for three space dimensions.
        name: Name of the variable.
        units: Units by name, as for `make_field`.

    Returns:
        Scattered data that passed `validate_scattered`.

    Raises:
        FieldError: If the arrays differ in length, or `validate_scattered` refuses them.
    """
    given = {d: as_array(c, d).ravel() for d, c in (("time", t), ("z", z), ("y", y), ("x", x)) if c is not None}
    values = as_array(values, name).ravel()
    if {len(c) for c in given.values()} != {len(values)}:
        raise FieldError(
            "The arrays of scattered data differ in length.",
            got={"values": len(values), **{d: len(c) for d, c in given.items()}},
            wanted="one time and one position per value",
            fix="numpy.broadcast_arrays(values, t, x), then ravel",
        )
    samples = xr.DataArray(values, dims="sample", coords={d: ("sample", c) for d, c in given.items()}, name=name)
    set_units(samples, units or {})
    return validate_scattered(samples)


@validated
def scattered_from_video(
    video: xr.DataArray, *, shift: Mapping[str, Any] | None = None, count: Count | None = None, seed: int = 0
) -> xr.DataArray:
    """Convert pixels of a video to scattered data: after a drift, or a random subset of very many.

    Frames are read one at a time: a memory-mapped or chunked video is never in memory as a whole.

    Args:
        video: DataArray with the dims of a field, time first, and a coordinate for each.
        shift: Displacement of every frame by space dimension, `[time]`, in the unit of that coordinate: minus the
            drift. Nothing is resampled.
        count: Approximate number of pixels, a random subset of the same size in every frame; all if absent.
        seed: Seed of the subset, a non-negative integer.

    Returns:
        Checked scattered data; NaN are dropped.

    Raises:
        FieldError: If dims, coordinates or shifts do not fit.
        ConfigError: If the seed is not a non-negative integer, or the count not a positive one.
    """
    rng, dims = np.random.default_rng(checked_seed(seed)), tuple(map(str, getattr(video, "dims", ())))
    is_video = isinstance(video, xr.DataArray) and dims in ALLOWED_DIMS and set(dims) <= set(map(str, video.coords))
    if not is_video or any(video[d].dtype.kind not in "iuf" for d in dims):
        raise FieldError(
            "The video cannot be converted to scattered data.",
            got=f"{type(video).__name__} with dims {dims}",
            wanted="dims such as ('time', 'y', 'x'), each with a coordinate of plain numbers",
            fix="video.transpose('time', 'y', 'x').assign_coords(...)",
        )
    shifts = _checked_shifts(video, shift or {})
    size = int(np.prod(video.shape[1:]))
    share = size if count is None else min(size, max(1, round(count / len(video))))
    axes = [np.asarray(video[d].values, dtype=np.float64) for d in dims]
    found: list[list[np.ndarray]] = [[] for _ in range(1 + len(dims))]
    for k, time in enumerate(axes[0]):
        frame = np.asarray(video[k].values).ravel()
        rows = np.arange(size) if share == size else rng.choice(size, share, replace=False)
        rows = rows[~np.isnan(frame[rows])]
        places = np.unravel_index(rows, video.shape[1:])
        moved = [axis[p] + shifts[d][k] for axis, p, d in zip(axes[1:], places, dims[1:], strict=True)]
        for column, part in zip(found, (frame[rows], np.full(len(rows), time), *moved), strict=True):
            column.append(part)
    values, *positions = (np.concatenate(parts) for parts in found)
    coords = {d: ("sample", p, video[d].attrs) for d, p in zip(dims, positions, strict=True)}
    return validate_scattered(xr.DataArray(values, dims="sample", coords=coords, name=video.name, attrs=video.attrs))


def _checked_shifts(video: xr.DataArray, shift: Mapping[str, Any]) -> dict[str, np.ndarray]:
    found = {str(d): np.zeros(len(video)) for d in video.dims[1:]}
    for dim, values in shift.items():
        array = real_array(values, f"shift of {dim}")
        if dim not in found or array.shape != (len(video),) or not np.isfinite(array).all():
            raise FieldError(
                "A shift does not fit the video.",
                got=f"{dim}: {array.shape}",
                wanted=f"finite numbers [{len(video)}] for one of {', '.join(found)}",
                fix="shift={'x': -drift_x, 'y': -drift_y}, one number per frame",
            )
        found[dim] = array
    return found


def validate_scattered(samples: Any) -> xr.DataArray:
    """Return scattered data as float64, without NaN, or raise an error that names the fault.

    Args:
        samples: DataArray with the one dim `sample`, and coordinates `time`, `x` (`y`, `z`) along it.

    Returns:
        The same data, with `units` on values and coordinates ("1" if unknown).

    Raises:
        FieldError: If dims, coordinates or values are not usable, or there are fewer than 100.
    """
    known = set(map(str, samples.coords)) if isinstance(samples, xr.DataArray) else set()
    dims = next((d for d in ALLOWED_DIMS if set(d) == known & set(ALLOWED_DIMS[-1])), None)
    if dims is None or samples.dims != ("sample",) or any(samples[d].dims != ("sample",) for d in dims):
        raise FieldError(
            "This is not scattered data.",
            got=f"{type(samples).__name__} with dims {getattr(samples, 'dims', ())}, coordinates {sorted(known)}",
            wanted="a DataArray with the dim 'sample', and time and x (y, z) along it",
            fix="bayespde.make_scattered(values, t=t, x=x)",
        )
    for array, name in ((samples, "samples"), *((samples[d], d) for d in dims)):
        check_real(array, name)
    check_name(str(samples.name or "u"))
    kept = ~np.isnan(samples.values)
    arrays = {d: samples[d].values[kept].astype(np.float64) for d in dims}
    values = samples.values[kept].astype(np.float64)
    _check_arrays(str(samples.name or "u"), values, arrays)
    units = {d: {"units": str(samples[d].attrs.get("units", "1"))} for d in dims}
    return xr.DataArray(
        values,
        dims="sample",
        coords={d: ("sample", arrays[d], units[d]) for d in dims},
        name=samples.name or "u",
        attrs={"units": str(samples.attrs.get("units", "1"))},
    )


def _check_arrays(name: str, values: np.ndarray, positions: dict[str, np.ndarray]) -> None:
    if len(values) < FEWEST_SAMPLES or not all(np.isfinite(a).all() for a in (values, *positions.values())):
        raise FieldError(
            "Scattered data are too few, or not finite.",
            got=f"{len(values)} samples",
            wanted=f"at least {FEWEST_SAMPLES}, with finite times and positions",
            fix="drop samples without a position",
        )
    flat = [d for d, a in positions.items() if not np.ptp(a) > 0]
    if flat or not np.ptp(values) > 0:
        raise FieldError(
            "Scattered data do not vary.",
            got="constant " + ", ".join(flat or [name]),
            wanted="values, times and positions that differ",
            fix="leave out a dimension with a single position",
        )
