"""Final rows -> numbers that say whether, and where, they fit, and what changes with the test functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayespde.core.assembly_record import FitRecord, OtherSupports, ResidualMap
from bayespde.core.errors import ConfigError
from bayespde.core.neighbours import neighbour_correlation
from bayespde.weak.assembler import Assembler
from bayespde.weak.errors_in_variables import errors_in_variables
from bayespde.weak.whitening import WhitenedRows

BLOCKS = 4
ROWS_PER_BLOCK = 20
# Support radii at which coefficients are estimated once more, as factors of the final ones.
SUPPORT_FACTORS = (0.75, 1.33)
# Mean square of residuals that are noise, in units of its variance.
MOSTLY_NOISE = 1.2


def residual_checks(rows: WhitenedRows, on: np.ndarray, assembler: Assembler) -> FitRecord:
    """Measure how well the rows fit one model.

    Args:
        rows: At the final linearisation point.
        on: The model, `[K]`, bool.
        assembler: Forms rows with other test functions.

    Returns:
        The measurements that can be made.
    """
    record = FitRecord(residual_map(rows, on), _residual_correlation(assembler))
    if not on.any():
        return record
    if rows.problem.noise.kind == "white" and len(rows.problem.fields) == 1:
        record = replace(record, errors_in_variables=errors_in_variables(assembler, rows.point, on))
    try:
        return replace(record, other_supports=_other_supports(assembler, rows, on))
    except ConfigError:  # a small video with gaps may have no room for a wider support; its rows are valid all the same
        return record


def residual_map(rows: WhitenedRows, on: np.ndarray) -> ResidualMap:
    """Squared whitened residuals, summed over boxes of neighbouring test functions, as standard scores.

    A part of the rows' variance is allowance (floor and scheme error), which need not be used: more than noise and
    allowance together counts as too much, less than the noise alone as too little, and what is between as 0.
    """
    problem, statistics = rows.problem, rows.statistics
    z = problem.target - problem.correction @ rows.point - problem.design @ statistics.least_squares(on)
    square, share = rows.whiten(z) ** 2, rows.noise_share()
    counts = [len(f.centres) for f in problem.test_functions]
    boxes = [min(BLOCKS, c) for c in counts]
    while np.prod(boxes) > max(1, len(square) // ROWS_PER_BLOCK):
        boxes[int(np.argmax(boxes))] -= 1
    places = np.unravel_index(np.flatnonzero(problem.kept), counts)
    inside = [p * b // c for p, b, c in zip(places, boxes, counts, strict=True)]
    box = np.ravel_multi_index(inside, boxes)

    def score(which: np.ndarray) -> float:
        found, most, here = float(square[which].sum()), len(which), share[np.ix_(which, which)]
        least, spread = float(np.trace(here)), float(np.sqrt(2 * np.sum(here**2)))
        if found > most:
            return (found - most) / np.sqrt(2 * most)
        return min(found - least, 0.0) / max(spread, 1e-300) if most else 0.0

    scores = (score(np.flatnonzero(box == i)) for i in range(int(np.prod(boxes))))
    return ResidualMap(tuple(boxes), tuple(scores), overall=score(np.arange(len(square))))


def _residual_correlation(assembler: Assembler) -> dict[str, float]:
    """Correlation of the pixels' residuals at neighbouring samples along each dimension; near 0 for white noise.

    Empty where the residuals are not noise but mostly the error of the smoother.
    """
    noise, field = assembler.first.noise, assembler.first.fields[0]
    residual = field.raw.values - field.smooth.evaluate((0,) * field.raw.ndim)
    if np.nanmean(residual**2) > MOSTLY_NOISE * np.mean(noise.sd**2) and noise.kind == "white":
        return {}
    return {str(dim): neighbour_correlation(residual, axis) for axis, dim in enumerate(field.raw.dims)}


def _other_supports(assembler: Assembler, rows: WhitenedRows, on: np.ndarray) -> OtherSupports:
    """Refit a model with test functions of smaller and larger support."""
    point = rows.instrumental_fits(on[None])[0][on]
    few, fits, sds = assembler.restricted(on), [], []
    for factor in SUPPORT_FACTORS:
        here = _rescaled(few, factor)
        again = WhitenedRows(here(point), point).statistics
        design = again.factor[:-1, :-1]
        scale = np.linalg.norm(design, axis=0)
        fits.append(again.least_squares(np.ones(len(point), dtype=bool)))
        sds.append(np.linalg.norm(np.linalg.pinv(design / scale), axis=1) / scale)
    return OtherSupports(few.library.names, SUPPORT_FACTORS, _nested(fits), _nested(sds))


def _nested(arrays: list[np.ndarray]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(a.tolist()) for a in arrays)


def _rescaled(assembler: Assembler, factor: float) -> Assembler:
    """As many test functions, their support multiplied by a factor as far as they fit."""
    rescaled = tuple(
        replace(f, radius=int(np.clip(round(factor * f.radius), 4, (f.samples - 1) // 2)))
        for f in assembler.test_functions
    )
    count = int(np.prod([len(f.centres) for f in assembler.test_functions]))
    return replace(assembler, test_functions=rescaled).thinned(count)
