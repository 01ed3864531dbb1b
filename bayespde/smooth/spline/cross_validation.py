"""DATA COEFFICIENTS -> SMOOTHING WEIGHTS that best predict the pixels, frames or blocks left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
from scipy.optimize import minimize

from bayespde.smooth.spline.basis import AxisBasis, apply_per_axis

# Log prediction error of a shrinkage of the data coefficients.
Score = Callable[[np.ndarray], float]

LOG_WEIGHT_BOUNDS = (-30.0, 30.0)
# Blocks left out: enough to compare weights.
CENTRES = 200


def pixel_score(energy: np.ndarray, rest: float, *, share: float, observed: int) -> Score:
    """Generalised cross-validation [cravenwahba1979].

    Args:
        energy: Squared data coefficients.
        rest: Energy of the data outside the basis.
        share: Share of the pixels that were observed.
        observed: Their number.
    """

    def score(shrink: np.ndarray) -> float:
        residual = rest + np.sum((1 - shrink) ** 2 * energy)
        spare = max(observed - shrink.sum() * share, 1e-9)
        return float(np.log(residual + 1e-300) - 2 * np.log(spare))

    return score


def frame_score(values: np.ndarray, bases: tuple[AxisBasis, ...], data: np.ndarray, rest: float) -> Score:
    """Generalised cross-validation that leaves out whole frames.

    Every spatial mode is a time series of its own, smoothed by a filter with its own degrees of freedom, and the scores
    of the modes add up.
    """
    series = apply_per_axis([np.eye(len(values)), *(b.grid.T for b in bases[1:])], values)
    energy = data**2
    # Energy of every spatial mode outside the time basis.
    outside = np.maximum(np.sum(series**2, axis=0) - energy.sum(axis=0), 0.0)

    def score(shrink: np.ndarray) -> float:
        spare = np.maximum(1 - shrink.sum(axis=0) / len(values), 1e-9)
        left = outside + np.sum((1 - shrink) ** 2 * energy, axis=0)
        return float(np.log(max(rest - outside.sum(), 0.0) + np.sum(left / spare**2) + 1e-300))

    return score


def block_score(
    values: np.ndarray,
    bases: tuple[AxisBasis, ...],
    data: np.ndarray,
    observed: np.ndarray,
    half: tuple[int, ...],
) -> Score:
    """Cross-validation of pixels that are predicted without a block around them, h-block [burman1994].

    With H the smoother and S a block, its residual in a fit without it is (I - H_SS)^-1 r_S, with r the residual of the
    fit to all data; the entry of the centre counts. Centres form a grid over the field.

    Args:
        values: The field, missing pixels filled.
        bases: One per axis.
        data: Coefficients of the data.
        observed: Which pixels were observed; only these are centres. Shape of `values`.
        half: Samples of a block to either side of its centre, per axis.
    """
    each = int(np.ceil(CENTRES ** (1 / values.ndim)))
    centres = [_spread(len(b.grid), h, each) for b, h in zip(bases, half, strict=True)]
    # The centre is the last pixel of its block.
    reached = [c[:, None] + np.roll(np.arange(-h, h + 1), h) for c, h in zip(centres, half, strict=True)]
    rows = [b.grid[index] for b, index in zip(bases, reached, strict=True)]
    pairs = [r[:, :, None] * r[:, None, :] for r in rows]
    inside = values[np.ix_(*(index.ravel() for index in reached))]
    slabs = (
        _flat(list(pairs[0])),
        rows[0],
        np.split(inside, len(centres[0])),
        observed[np.ix_(*centres)].reshape(len(centres[0]), -1),
    )
    first, others = np.eye(bases[0].grid.shape[1]), centres[1:]

    def score(shrink: np.ndarray) -> float:
        smoothers = apply_per_axis([first, *_flat(pairs[1:])], shrink)
        fitted = apply_per_axis([first, *_flat(rows[1:])], shrink * data)
        left = []
        # One place along the first axis after the other: the matrices of all blocks are too large for the cache.
        for pair, row, part, present in zip(*slabs, strict=True):
            smoother = _by_block(np.tensordot(pair, smoothers, axes=1), others, half, 2)[present]
            residual = _by_block(part - np.tensordot(row, fitted, axes=1), others, half, 1)[present]
            left.append(_last_of_solution(smoother, residual))
        return float(np.log(np.mean(np.concatenate(left) ** 2) + 1e-300))

    return score


def _flat(matrices: list[np.ndarray]) -> list[np.ndarray]:
    """All but the last axis of every array in one."""
    return [m.reshape(-1, m.shape[-1]) for m in matrices]


def _last_of_solution(smoother: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Last entries of the solutions x of (I - H) x = r, for a batch of H and r: one Cholesky factorisation each.

    With I - H = L L' the last row of the factor of [I - H, r; r', c] is (L^-1 r)', whatever c, and the last entry of
    x is that of L^-1 r over that of L.
    """
    count, size = residual.shape
    system = np.empty((count, size + 1, size + 1))
    system[:, :size, :size] = smoother * (1e-9 - 1)
    system[:, np.arange(size), np.arange(size)] += 1.0
    system[:, size, :size] = residual
    # Large enough for a positive definite system: eigenvalues of I - H are at least 1e-9.
    system[:, size, size] = 1e10 * np.sum(residual**2, axis=-1) + 1.0
    factor = np.linalg.cholesky(system)
    return factor[:, size, size - 1] / factor[:, size - 1, size - 1]


def _spread(count: int, half: int, most: int) -> np.ndarray:
    """Centres of at most `most` blocks, spread over the samples of an axis that have whole blocks around them.

    They are half a block apart or more: errors of blocks that overlap further are nearly the same.
    """
    most = min(most, -(-2 * count // (2 * half + 1)))
    return np.unique(np.round(np.linspace(half, count - 1 - half, most)).astype(int))


def _by_block(values: np.ndarray, others: list[np.ndarray], half: tuple[int, ...], repeat: int) -> np.ndarray:
    """Samples at one centre of the first axis, in order of centre and place along every axis -> those of every block.

    Returns:
        `[blocks]` and `repeat` axes, each with the pixels of a block.
    """
    counts, sides = [1, *map(len, others)], [2 * h + 1 for h in half]
    shape = [n for count, side in zip(counts, sides, strict=True) for n in (count, *[side] * repeat)]
    axes = np.arange(len(shape)).reshape(len(half), repeat + 1)
    ordered = values.reshape(shape).transpose([*axes[:, 0], *axes[:, 1:].T.ravel()])
    return ordered.reshape(-1, *[int(np.prod(sides))] * repeat)


def shrinkage(weights: tuple[float, ...], penalties: list[np.ndarray]) -> np.ndarray:
    """Factor by which every data coefficient is shrunk."""
    return 1.0 / (1.0 + reduce(np.add.outer, [w * p for w, p in zip(weights, penalties, strict=True)]))


def choose_weights(
    score: Score, penalties: list[np.ndarray], *, near: tuple[float, ...] | None = None, tolerance: float
) -> tuple[float, ...]:
    """Minimise a score over one log weight per axis.

    Args:
        score: What to minimise, as a function of the shrinkage.
        penalties: One per axis.
        near: Weights that are nearly right, where some are known.
        tolerance: Of the log weights.
    """
    # Log weights are relative to the weight at which each penalty takes effect, so that the search is well scaled.
    reference = [float(np.median(p[p > 0])) if np.any(p > 0) else 1.0 for p in penalties]

    def at(log_weights: np.ndarray) -> float:
        return score(shrinkage(tuple(np.exp(log_weights) / reference), penalties))

    starts = [np.full(len(penalties), s) for s in (-12.0, -4.0, 2.0, 8.0)]
    if near:
        starts.append(np.clip(np.log(np.multiply(near, reference)), *LOG_WEIGHT_BOUNDS))
    best = min(starts, key=at)
    step = 1.0 if near and best is starts[-1] else 3.0
    found = minimize(
        at,
        best,
        method="Nelder-Mead",
        bounds=[LOG_WEIGHT_BOUNDS] * len(penalties),
        options={
            "xatol": tolerance,
            "fatol": 1e-7 * (tolerance / 0.02) ** 2,
            "initial_simplex": np.vstack([best, best + step * np.eye(len(penalties))]),
        },
    )
    return tuple(float(w) for w in np.exp(found.x) / reference)
