"""A field, or scattered samples -> pixels for networks, a grid for the spline, and its error at hidden ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import xarray as xr

from bayespde.core.errors import FieldError
from bayespde.core.field import MINIMUM_SAMPLES, validate_field
from bayespde.core.scales import Scales
from bayespde.core.scattered import FEWEST_SAMPLES, validate_scattered
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.smooth.spline.fitted import SplineFit

# Above so many pixels the spline's error at one left out is a formula; below, the spline is fitted without them.
LEAVE_ONE_OUT = 3_000_000
# Of the grid of scattered samples: most nodes, share of them that may stay empty, and how it is made coarser: first
# along free axes, to half, then along all.
MOST_NODES, EMPTY, COARSER, LEAST_FREE, LEAST = 3_000_000, 0.1, 0.85, 0.5, 0.02
FEW_NODES = 8
# Positions are an axis of the samples if evenly spaced to this share, and if so many samples have each.
EVEN, SHARED = 1e-3, 10
# Margins of which so much less is seen than of the rest are left out, for nothing would determine the field there.
SEEN_LESS = 0.02
ROUNDS = 2


class Observations(Protocol):
    """What a smoother is fitted to."""

    @property
    def field(self) -> xr.DataArray:
        """On the grid of the spline; NaN where nothing was observed."""
        ...

    @property
    def values(self) -> np.ndarray:
        """Every observed value, `[n]`, float64, physical units."""
        ...

    def standardised(self, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
        """As networks see them: coordinates `[n, d]` in [-1, 1], values `[n]`, both float32."""
        ...

    def fit(self, config: SplineConfig) -> SplineFit:
        """The spline."""
        ...

    def residual(self, spline: SplineFit) -> np.ndarray:
        """Observed minus spline, `[n]`."""
        ...

    def held_out_residual(self, spline: SplineFit, config: SplineConfig, mask: np.ndarray) -> np.ndarray:
        """Observed minus spline where the mask `[n]` hides values from it, which it imputes like missing ones."""
        ...

    def noise_scale(self, spline: SplineFit) -> float:
        """Standard deviation of the noise of one value, physical units."""
        ...


def observations(given: Any) -> Observations:
    """Check a field or samples, and say how they are to be fitted.

    Args:
        given: A field as for `validate_field`, or samples as for `validate_scattered`.

    Returns:
        The observations.

    Raises:
        FieldError: If it is neither.
    """
    is_scattered = isinstance(given, xr.DataArray) and given.dims == ("sample",)
    return scattered(validate_scattered(given)) if is_scattered else GridObservations(validate_field(given))


@dataclass(frozen=True, eq=False)
class GridObservations:
    """A checked field.

    Attributes:
        field: The field.
    """

    field: xr.DataArray

    @property
    def values(self) -> np.ndarray:
        """As `Observations`."""
        return np.asarray(self.field.values[~np.isnan(self.field.values)])

    def standardised(self, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
        """As `Observations`."""
        field, observed = self.field, ~np.isnan(self.field.values)
        axes = np.ix_(*(2 * scales.to_unit(str(d), field[d].values) - 1 for d in field.dims))
        columns = [np.broadcast_to(axis.astype(np.float32), field.shape)[observed] for axis in axes]
        return np.stack(columns, axis=1), _standard(field.values[observed], scales)

    def fit(self, config: SplineConfig) -> SplineFit:
        """As `Observations`."""
        return fit_spline(self.field, config=config)

    def residual(self, spline: SplineFit) -> np.ndarray:
        """As `Observations`."""
        return np.asarray((self.field.values - spline.evaluate((0,) * self.field.ndim))[~np.isnan(self.field.values)])

    def held_out_residual(self, spline: SplineFit, config: SplineConfig, mask: np.ndarray) -> np.ndarray:
        """As `Observations`; of long videos by the formula for one pixel left out."""
        field = self.field
        hidden, values = np.zeros(field.shape, dtype=bool), (0,) * field.ndim
        hidden[~np.isnan(field.values)] = mask
        if field.size > LEAVE_ONE_OUT and mask.size == field.size and spline.hold_out == "pixels":
            residual = field.values - spline.evaluate(values)
            own = (spline.standard_deviation(values) / spline.noise_scale) ** 2
            return np.asarray((residual / (1 - own))[hidden])
        gappy = field.copy(data=np.where(hidden, np.nan, field.values))
        fit = fit_spline(gappy, config=replace(config, hold_out=spline.hold_out, block=spline.block))
        return np.asarray((field.values - fit.evaluate(values))[hidden])

    def noise_scale(self, spline: SplineFit) -> float:
        """As `Observations`."""
        return spline.noise_scale


@dataclass(frozen=True, eq=False)
class ScatteredObservations:
    """Samples, each moved to the nearest node of a grid by what a pilot spline changes on the way.

    Networks see the samples where they are, the spline the means at the nodes.

    Attributes:
        samples: Checked samples.
        field: Means of the moved values at the nodes; NaN where there is none.
        nodes: Nearest node of every sample, `[n]`, position in the flat grid.
        moved: Value of every sample at that node, `[n]`.
        left_out: Share of the samples given that lay in margins of which only some frames tell.
    """

    samples: xr.DataArray
    field: xr.DataArray
    nodes: np.ndarray
    moved: np.ndarray
    left_out: float

    @property
    def values(self) -> np.ndarray:
        """As `Observations`."""
        return np.asarray(self.samples.values)

    def standardised(self, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
        """As `Observations`."""
        columns = [2 * scales.to_unit(d, self.samples[d].values) - 1 for d in scales.dims]
        return np.stack(columns, axis=1).astype(np.float32), _standard(self.values, scales)

    def fit(self, config: SplineConfig) -> SplineFit:
        """As `Observations`."""
        return fit_spline(self.field, config=config)

    def residual(self, spline: SplineFit) -> np.ndarray:
        """As `Observations`."""
        return np.asarray(self.moved - spline.evaluate((0,) * self.field.ndim).ravel()[self.nodes])

    def held_out_residual(self, spline: SplineFit, config: SplineConfig, mask: np.ndarray) -> np.ndarray:
        """As `Observations`; the pilot spline that moved them has seen them."""
        gappy = _means(self.field, self.nodes[~mask], self.moved[~mask])
        return self.residual(fit_spline(gappy, config=replace(config, hold_out=spline.hold_out, block=spline.block)))[
            mask
        ]

    def noise_scale(self, spline: SplineFit) -> float:
        """As `Observations`: of one sample, not of the mean at a node."""
        spare = max(len(self.moved) - spline.degrees_of_freedom, 1.0)
        return float(np.sqrt(np.sum(self.residual(spline) ** 2) / spare))


def scattered(samples: xr.DataArray) -> ScatteredObservations:
    """Find a grid for checked samples, and their values at its nodes.

    Times and positions that are evenly spaced and shared by many samples are kept as axes of the grid as long as the
    samples can fill it; along the others there are as many nodes as they fill.

    Raises:
        FieldError: If the samples fill no grid of at least 5 nodes along every axis.
    """
    dims, given = [d for d in ("time", "z", "y", "x") if d in samples.coords], samples.size
    free_factor = factor = 1.0
    while True:
        arrays = [samples[d].values for d in dims]
        counts = [_even_positions(array) for array in arrays]
        sizes = _sizes(counts, samples.size, free_factor, factor)
        nearest = [_nearest(array, n) for array, n in zip(arrays, sizes, strict=True)]
        nodes = np.ravel_multi_index(nearest, sizes)
        filled = np.zeros(sizes, dtype=bool)
        filled.ravel()[nodes] = True
        is_inside = _inside_margins(filled, nearest)
        is_hopeless = min(sizes) < MINIMUM_SAMPLES or factor < LEAST
        if is_hopeless or is_inside.sum() < FEWEST_SAMPLES:
            raise FieldError(
                "The samples fill no grid on which a pilot spline could be fitted.",
                got=f"{samples.size} samples of {len(dims)} dimensions; {filled.mean():.0%} of {filled.shape} nodes",
                wanted=f"{MINIMUM_SAMPLES} nodes along every axis, of which {EMPTY:.0%} are empty at most",
                fix="record more samples, or leave out times and places with few",
            )
        if not is_inside.all():
            samples = validate_scattered(samples[is_inside])
        elif filled.mean() >= 1 - EMPTY and filled.reshape(sizes[0], -1).any(axis=1).all():
            break
        elif None in counts and free_factor > LEAST_FREE:
            free_factor *= COARSER
        else:
            factor *= COARSER
    axes = [np.linspace(a.min(), a.max(), n) for a, n in zip(arrays, sizes, strict=True)]
    coords = {d: (d, axis, samples[d].attrs) for d, axis in zip(dims, axes, strict=True)}
    grid = xr.DataArray(np.full(sizes, np.nan), dims=dims, coords=coords, name=samples.name, attrs=samples.attrs)
    gaps = [a - axis[k] for a, axis, k in zip(arrays, axes, nearest, strict=True)]
    field, moved = _moved_to_nodes(samples, grid, nodes, gaps)
    return ScatteredObservations(samples, validate_field(field), nodes, moved, 1 - samples.size / given)


def _inside_margins(filled: np.ndarray, nearest: list[np.ndarray]) -> np.ndarray:
    """Which samples are not in a margin, along an axis of space, that fewer frames of a drifting video have seen."""
    inside = np.ones(len(nearest[0]), dtype=bool)
    for axis in range(1, filled.ndim):
        share = filled.mean(axis=tuple(k for k in range(filled.ndim) if k != axis))
        usual, count = float(np.median(share)), filled.size // filled.shape[axis]
        chance = 3 * np.sqrt(usual * (1 - usual) / count)
        # The outermost nodes have one side only; the next ones tell for them.
        share[0], share[-1] = share[1], share[-2]
        good = np.flatnonzero(share >= usual - max(SEEN_LESS, chance))
        inside &= (nearest[axis] >= good[0]) & (nearest[axis] <= good[-1])
    return inside


def _nearest(array: np.ndarray, count: int) -> np.ndarray:
    """Which of so many evenly spaced nodes over its range is the nearest, for every position."""
    unit = (array - array.min()) / np.ptp(array)
    return np.asarray(np.rint(unit * (count - 1)).astype(np.int64))


def _sizes(counts: list[int | None], samples: int, free_factor: float, factor: float) -> tuple[int, ...]:
    """Nodes per axis: those of the samples themselves, as many as are left per free axis; the largest have to give."""
    taken = int(np.prod([c for c in counts if c is not None], dtype=np.int64))
    each = (samples / taken) ** (1 / max(counts.count(None), 1)) * free_factor
    sizes = [max(factor * each, FEW_NODES) if c is None else factor * c for c in counts]
    while np.prod(sizes) > MOST_NODES:
        largest = int(np.argmax(sizes))
        sizes[largest] *= COARSER
    return tuple(round(n) for n in sizes)


def _even_positions(array: np.ndarray) -> int | None:
    """How many different positions there are, if evenly spaced and shared; positions equal to rounding are one."""
    unit = np.unique(np.round((array - array.min()) / np.ptp(array), 9))
    steps = np.diff(unit)
    is_even = MINIMUM_SAMPLES <= len(unit) <= array.size / SHARED and np.ptp(steps) <= EVEN * steps.mean()
    return len(unit) if is_even else None


def _moved_to_nodes(
    samples: xr.DataArray, grid: xr.DataArray, nodes: np.ndarray, gaps: list[np.ndarray]
) -> tuple[xr.DataArray, np.ndarray]:
    """Move values by the spline's Taylor polynomial of second order, the spline by the values so moved."""
    moved, axes = samples.values, range(grid.ndim)
    field = _means(grid, nodes, moved)

    def order(*along: int) -> tuple[int, ...]:
        return tuple(along.count(axis) for axis in axes)

    for _ in range(ROUNDS):
        spline = fit_spline(field)

        def gathered(*along: int, spline: SplineFit = spline) -> np.ndarray:
            return np.asarray(spline.evaluate(order(*along)).ravel()[nodes])

        change = sum(gap * gathered(axis) for axis, gap in enumerate(gaps))
        change += sum(gaps[a] * gaps[b] * gathered(a, b) / 2 for a in axes for b in axes)
        moved = samples.values - change
        field = _means(grid, nodes, moved)
    return field, moved


def _means(grid: xr.DataArray, nodes: np.ndarray, values: np.ndarray) -> xr.DataArray:
    """Means of the values at every node, NaN where there is none."""
    counts = np.bincount(nodes, minlength=grid.size)
    sums = np.bincount(nodes, weights=values, minlength=grid.size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return grid.copy(data=means.reshape(grid.shape))


def _standard(values: np.ndarray, scales: Scales) -> np.ndarray:
    """Mean 0 and standard deviation 1; single precision, for long videos are large and networks need no more."""
    return ((values - scales.offset) / scales.amplitude).astype(np.float32)
