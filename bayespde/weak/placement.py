"""A smoothed field, its noise and settings -> support radius and centres of the test functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.field import spacings
from bayespde.core.noise import NoiseModel
from bayespde.core.settings import check_keys
from bayespde.weak.config import WeakForm
from bayespde.weak.smoother import GaussianSmoother
from bayespde.weak.test_functions import TestFunctions

MINIMUM_RADIUS = {"time": 6, "space": 8}
# With front jitter a support in time is long enough when the jitter's variance is this share of the walk's over it.
JITTER_SHARE = 0.03
# Final test functions: distance in support radii, and smallest radius as a share of that of the first iterations.
CLOSE = 0.25
NARROWEST = 0.5
# Least distance of the first test functions, in support radii, and the factor by which it grows until they are few.
CLOSEST, STRETCH = 0.15, 1.02


def place(samples: tuple[int, ...], radii: tuple[int, ...], rows: int, *, closest: float = CLOSEST) -> list[np.ndarray]:
    """Spread centres evenly over every axis so that their product is at most `rows`.

    The distance between centres, in support radii, is the same on every axis up to rounding and at least `closest`.

    Raises:
        ConfigError: If a test function does not fit into the field.
    """
    room = [n - 1 - 2 * r for n, r in zip(samples, radii, strict=True)]
    if min(room) < 0 or min(radii) < 2:
        raise ConfigError(
            "A test function does not fit into the field.",
            got=f"support radius {radii} on {samples} samples",
            wanted="at least 2, and 2 * support radius + 1 <= samples",
            fix="WeakForm(support_radius=...) with smaller values",
        )
    step = closest
    while np.prod(counts := [1 + int(space / (step * r)) for space, r in zip(room, radii, strict=True)]) > rows:
        step *= STRETCH
    return [
        np.linspace(r, n - 1 - r, c).round().astype(int) if c > 1 else np.array([(n - 1) // 2])
        for n, r, c in zip(samples, radii, counts, strict=True)
    ]


def choose_test_functions(
    field: xr.DataArray, smooths: Sequence[GaussianSmoother], options: WeakForm, noise: NoiseModel
) -> tuple[tuple[TestFunctions, ...], tuple[str, ...]]:
    """Support radius from Taylor lengths sd(v)/rms(v_x), capped by the size of the field; centres spread evenly.

    Of several fields that enter the rows the one with the shortest length counts.

    Args:
        field: The raw, checked field of the target.
        smooths: Smoothers of all fields.
        options: Settings.
        noise: Of the target's field.

    Returns:
        The test functions, one per dimension, and the dimensions whose support radius was capped.

    Raises:
        ConfigError: If settings name a dimension that the field lacks, or a test function does not fit.
    """
    dims = tuple(map(str, field.dims))
    check_keys(options.support_radius, dims, "WeakForm.support_radius")
    spreads, steps = [float(np.std(s.evaluate((0,) * len(dims)))) for s in smooths], spacings(field)
    radii, capped = [], []
    for axis, dim in enumerate(dims):
        first = tuple(int(i == axis) for i in range(len(dims)))
        slopes = [max(float(np.sqrt(np.mean(s.evaluate(first) ** 2))), 1e-300) for s in smooths]
        length = options.support_factor * min(a / b for a, b in zip(spreads, slopes, strict=True)) / steps[axis]
        if dim == "time" and noise.kind == "front_jitter":
            length = noise.jitter[0] ** 2 / max(JITTER_SHARE * noise.walk**2, 1e-300)
        cap = (options.time_cap if dim == "time" else options.space_cap) * field.sizes[dim]
        lowest = min(MINIMUM_RADIUS["time" if dim == "time" else "space"], (field.sizes[dim] - 1) // 2)
        radii.append(options.support_radius.get(dim, max(lowest, round(min(length, cap)))))
        if dim not in options.support_radius and length > cap:
            capped.append(dim)
    centres = place(field.shape, tuple(radii), options.coarse_rows)
    powers = [options.time_power] + [options.space_power] * (len(dims) - 1)
    axes = zip(centres, radii, powers, field.shape, steps, strict=True)
    return tuple(TestFunctions(c, r, p, n, s) for c, r, p, n, s in axes), tuple(capped)


def dense_test_functions(
    first: tuple[TestFunctions, ...], dims: tuple[str, ...], options: WeakForm
) -> tuple[TestFunctions, ...]:
    """Test functions of the final rows: as narrow as lets them lie close, at least half as wide as the first ones.

    A bump (1 - s^2)^7 is close to a Gaussian of standard deviation 0.27 support radii: rows farther apart than that
    lose information. Once the field is conditioned on the equation narrow bumps do no harm, and reach closer to the
    boundary.

    Args:
        first: Those of the first iterations, time first.
        dims: Their dimensions.
        options: Settings; a support radius given there is kept.

    Returns:
        One per dimension.
    """
    shape = tuple(f.samples for f in first)
    for share in np.linspace(NARROWEST, 1.0, 11):
        radii = tuple(
            f.radius
            if dim in options.support_radius
            else min(f.radius, max(round(share * f.radius), MINIMUM_RADIUS["time" if i == 0 else "space"]))
            for i, (dim, f) in enumerate(zip(dims, first, strict=True))
        )
        room = [1 + (n - 1 - 2 * r) / (CLOSE * r) for n, r in zip(shape, radii, strict=True)]
        if np.prod(room) <= options.rows:
            break
    centres = place(shape, radii, options.rows, closest=CLOSE)
    return tuple(replace(f, centres=c, radius=r) for f, c, r in zip(first, centres, radii, strict=True))
