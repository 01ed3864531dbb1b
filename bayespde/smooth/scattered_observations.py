"""SCATTERED SAMPLES -> OBSERVATIONS: samples for networks, and their means on a grid for the spline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.errors import FieldError
from bayespde.core.field import validate_field
from bayespde.core.field_values import MINIMUM_SAMPLES
from bayespde.core.scales import Scales
from bayespde.core.scattered import FEWEST_SAMPLES, validate_scattered
from bayespde.smooth.observations import Observations, standardise
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.smooth.spline.fitted import SplineFit

# Of the grid: most nodes, the share of them that may be empty, and the factor by which it is made coarser: first along
# free axes, down to 50 %, then along all.
MAX_NODES, MAX_EMPTY, COARSER, MIN_FREE, MIN_FACTOR = 3_000_000, 0.1, 0.85, 0.5, 0.02
FEW_NODES = 8
# Positions are an axis of the grid if evenly spaced to this share of a step, and if this number of samples share each.
EVEN, SHARED = 1e-3, 10
# Margins that are observed less than the rest, by this share, are left out: nothing would determine the field there.
OBSERVED_LESS = 0.02
ITERATIONS = 2


@dataclass(frozen=True, eq=False)
class ScatteredObservations(Observations):
    """Samples, each moved to the nearest node of a grid by the change of a preliminary spline between the two places.

    Networks are fitted to the samples at their places, the spline to the means at the nodes.

    Attributes:
        samples: Checked samples; the field holds the means of the moved values at the nodes.
        nodes: Nearest node of every sample, `[n]`, position in the flat grid.
        moved: Value of every sample at that node, `[n]`.
        left_out: Share of the samples that were left out, in margins that only some frames observe.
    """

    samples: xr.DataArray
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
        return np.stack(columns, axis=1).astype(np.float32), standardise(self.values, scales)

    def residual(self, spline: SplineFit) -> np.ndarray:
        """As `Observations`."""
        return np.asarray(self.moved - spline.evaluate((0,) * self.field.ndim).ravel()[self.nodes])

    def held_out_residual(self, spline: SplineFit, config: SplineConfig, mask: np.ndarray) -> np.ndarray:
        """As `Observations`; the preliminary spline that moved them was fitted to all."""
        gappy = _means(self.field, self.nodes[~mask], self.moved[~mask])
        config = replace(config, hold_out=spline.hold_out, block=spline.block)
        return self.residual(fit_spline(gappy, config=config))[mask]

    def noise_scale(self, spline: SplineFit) -> float:
        """As `Observations`: of one sample, not of the mean at a node."""
        spare = max(len(self.moved) - spline.degrees_of_freedom, 1.0)
        return float(np.sqrt(np.sum(self.residual(spline) ** 2) / spare))

    def describe(self) -> list[str]:
        """As `Observations`: number of samples, and the grid of the spline."""
        shape = " x ".join(map(str, self.field.shape))
        return [
            f"{self.samples.size} samples, for the spline on {shape} nodes; {self.left_out:.1%} were left out, in "
            "margins that only some frames observe"
        ]


class _Grid(NamedTuple):
    """A grid for samples: nodes per axis, and the nearest node of every sample along each of them."""

    sizes: tuple[int, ...]
    nearest: list[np.ndarray]
    filled: np.ndarray

    @property
    def nodes(self) -> np.ndarray:
        """Nearest node of every sample, `[n]`, position in the flat grid."""
        return np.asarray(np.ravel_multi_index(self.nearest, self.sizes))

    @property
    def is_full(self) -> bool:
        """Whether few nodes, and no frame, are empty."""
        return bool(self.filled.mean() >= 1 - MAX_EMPTY and self.filled.reshape(self.sizes[0], -1).any(axis=1).all())


def scattered(samples: xr.DataArray) -> ScatteredObservations:
    """Find a grid for checked samples, and their values at its nodes.

    Times and positions that are evenly spaced and shared by many samples are kept as axes of the grid as long as the
    samples can fill it; along the others there are as many nodes as they fill.

    Raises:
        FieldError: If the samples fill no grid of at least 5 nodes along every axis.
    """
    dims, given = [d for d in ("time", "z", "y", "x") if d in samples.coords], samples.size
    samples, grid = _fitting_grid(samples, dims)
    arrays = [samples[d].values for d in dims]
    axes = [np.linspace(a.min(), a.max(), n) for a, n in zip(arrays, grid.sizes, strict=True)]
    coords = {d: (d, axis, samples[d].attrs) for d, axis in zip(dims, axes, strict=True)}
    empty = xr.DataArray(np.full(grid.sizes, np.nan), dims=dims, coords=coords, name=samples.name, attrs=samples.attrs)
    gaps = [a - axis[k] for a, axis, k in zip(arrays, axes, grid.nearest, strict=True)]
    nodes = grid.nodes
    field, moved = _moved_to_nodes(samples, empty, nodes, gaps)
    return ScatteredObservations(validate_field(field), samples, nodes, moved, 1 - samples.size / given)


def _fitting_grid(samples: xr.DataArray, dims: list[str]) -> tuple[xr.DataArray, _Grid]:
    """The finest grid that the samples fill, and those of them that are outside margins that few frames observe."""
    free_factor = factor = 1.0
    while True:
        arrays = [samples[d].values for d in dims]
        counts = [_even_positions(array) for array in arrays]
        grid = _grid(arrays, _sizes(counts, samples.size, free_factor, factor))
        is_inside = _inside_margins(grid.filled, grid.nearest)
        if min(grid.sizes) < MINIMUM_SAMPLES or factor < MIN_FACTOR or is_inside.sum() < FEWEST_SAMPLES:
            filled = grid.filled
            raise FieldError(
                "The samples fill no grid on which a preliminary spline could be fitted.",
                got=f"{samples.size} samples of {len(dims)} dimensions; {filled.mean():.0%} of {filled.shape} nodes",
                wanted=f"{MINIMUM_SAMPLES} nodes along every axis, of which {MAX_EMPTY:.0%} are empty at most",
                fix="record more samples, or leave out times and places with few",
            )
        if not is_inside.all():
            samples = validate_scattered(samples[is_inside])
        elif grid.is_full:
            return samples, grid
        elif None in counts and free_factor > MIN_FREE:
            free_factor *= COARSER
        else:
            factor *= COARSER


def _grid(arrays: list[np.ndarray], sizes: tuple[int, ...]) -> _Grid:
    nearest = [_nearest(array, n) for array, n in zip(arrays, sizes, strict=True)]
    filled = np.zeros(sizes, dtype=bool)
    filled.ravel()[np.ravel_multi_index(nearest, sizes)] = True
    return _Grid(sizes, nearest, filled)


def _inside_margins(filled: np.ndarray, nearest: list[np.ndarray]) -> np.ndarray:
    """Which samples are not in a margin, along an axis of space, that fewer frames of a drifting video observe."""
    inside = np.ones(len(nearest[0]), dtype=bool)
    for axis in range(1, filled.ndim):
        share = filled.mean(axis=tuple(k for k in range(filled.ndim) if k != axis))
        usual, count = float(np.median(share)), filled.size // filled.shape[axis]
        chance = 3 * np.sqrt(usual * (1 - usual) / count)
        # The outermost nodes collect samples from one side only; their neighbours stand for them.
        share[0], share[-1] = share[1], share[-2]
        good = np.flatnonzero(share >= usual - max(OBSERVED_LESS, chance))
        inside &= (nearest[axis] >= good[0]) & (nearest[axis] <= good[-1])
    return inside


def _nearest(array: np.ndarray, count: int) -> np.ndarray:
    """For every position the nearest of `count` evenly spaced nodes over its range."""
    unit = (array - array.min()) / np.ptp(array)
    return np.asarray(np.rint(unit * (count - 1)).astype(np.int64))


def _sizes(counts: list[int | None], samples: int, free_factor: float, factor: float) -> tuple[int, ...]:
    """Nodes per axis: those of the samples, an equal number per free axis; the largest are reduced to fit."""
    taken = int(np.prod([c for c in counts if c is not None], dtype=np.int64))
    each = (samples / taken) ** (1 / max(counts.count(None), 1)) * free_factor
    sizes = [max(factor * each, FEW_NODES) if c is None else factor * c for c in counts]
    while np.prod(sizes) > MAX_NODES:
        largest = int(np.argmax(sizes))
        sizes[largest] *= COARSER
    return tuple(round(n) for n in sizes)


def _even_positions(array: np.ndarray) -> int | None:
    """Number of distinct positions, if evenly spaced and shared; positions that agree to rounding are one."""
    unit = np.unique(np.round((array - array.min()) / np.ptp(array), 9))
    steps = np.diff(unit)
    is_even = MINIMUM_SAMPLES <= len(unit) <= array.size / SHARED and np.ptp(steps) <= EVEN * steps.mean()
    return len(unit) if is_even else None


def _moved_to_nodes(
    samples: xr.DataArray, grid: xr.DataArray, nodes: np.ndarray, gaps: list[np.ndarray]
) -> tuple[xr.DataArray, np.ndarray]:
    """Move values by the second-order Taylor polynomial of a spline, which is then fitted to the moved values."""
    moved, axes = samples.values, range(grid.ndim)
    field = _means(grid, nodes, moved)

    def order(*along: int) -> tuple[int, ...]:
        return tuple(along.count(axis) for axis in axes)

    for _ in range(ITERATIONS):
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
