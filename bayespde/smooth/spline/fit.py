"""A noisy field on a grid -> a tensor-product penalised spline: noise level, field and derivatives with posterior sd.

Per axis, B-splines with a roughness penalty are brought to the Demmler-Reinsch basis [demmlerreinsch1975], orthonormal
on the grid with a diagonal penalty. A sum of axis penalties [eilersmarx1996] is then diagonal for the whole tensor, so
that generalised cross-validation [cravenwahba1979], degrees of freedom and the posterior of every derivative are
closed forms.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import xarray as xr
from scipy.sparse.linalg import LinearOperator, cg

from bayespde.core.errors import FieldError
from bayespde.core.neighbours import neighbour_correlation
from bayespde.core.scales import Scales
from bayespde.noise.families import MOST_RESIDUALS, NoiseFamily, evenly
from bayespde.smooth.spline.basis import AxisBasis, SplineConfig, apply_per_axis
from bayespde.smooth.spline.blocks import checked_block, correlation_range, first_block, widened
from bayespde.smooth.spline.cross_validation import (
    Score,
    block_score,
    choose_weights,
    frame_score,
    pixel_score,
    shrinkage,
)
from bayespde.smooth.spline.fitted import SplineFit

WEIGHT_ROUNDS = 8
IMPUTATION_STEPS = 2000
IMPUTATION_TOLERANCE = 1e-8
CORRELATED = 0.3
NEGLIGIBLE_NOISE = 1e-3
# Factors on the weights which pixels chose, and the gain in log rms at blocks left out that says they followed noise.
STIFFER = (10.0, 100.0, 1000.0)
BETTER = 0.1
# Share of missing pixels above which noise is not asked whether it hangs together.
GAPS = 0.1
ROBUST_ROUNDS = 20
ROBUST_TOLERANCE = 1e-2


def fit_spline(field: xr.DataArray, *, config: SplineConfig | None = None) -> SplineFit:
    """Fit the spline, its weights chosen by generalised cross-validation; missing pixels are imputed to convergence.

    Args:
        field: A checked field; NaN marks missing pixels.
        config: Degree, penalty and knots.

    Returns:
        The fit; its noise level is that of independent pixels: where noise is correlated it is too small. For Student's
        t it is that of normal noise which says as much about the field. Standard deviations do not know of gaps: they
        hold where pixels were observed.

    Raises:
        FieldError: If the missing pixels cannot be filled.
    """
    config = config or SplineConfig()
    fit = _fit_normal(field, config)
    return _robust(field, config, fit) if config.noise == "student_t" else fit


def _robust(field: xr.DataArray, config: SplineConfig, fit: SplineFit) -> SplineFit:
    """Fit again to pseudo-data until they stay: the mean, and on it what the residuals say about it [oh2007].

    Where a residual is far out it says little, and the pseudo-datum is close to the mean.
    """
    shape, observed = field.shape, ~np.isnan(field.values)
    mean = fit.evaluate((0,) * len(shape))
    for _ in range(ROBUST_ROUNDS):
        residual = (field.values - mean)[observed]
        noise = NoiseFamily.fit("student_t", *(evenly(v[observed], MOST_RESIDUALS) for v in (field.values, mean)))
        pseudo = np.full(shape, np.nan)
        pseudo[observed] = mean[observed] + noise.pixel_noise(None, 1.0).whitened(residual)
        fit, before = _fit_normal(field.copy(data=pseudo), config), mean
        mean = fit.evaluate((0,) * len(shape))
        if np.sqrt(np.mean((mean - before) ** 2)) < ROBUST_TOLERANCE * noise.scale:
            break
    return fit


def _fit_normal(field: xr.DataArray, config: SplineConfig) -> SplineFit:
    scales = Scales.of(field)
    bases = tuple(AxisBasis.build(np.linspace(0.0, 1.0, n), config) for n in field.shape)
    values = field.values - scales.offset
    if config.hold_out == "blocks":
        if not config.block:
            return _with_blocks(values, scales, bases)
        return _fit(values, scales, bases, "blocks", checked_block(config.block, field.shape))
    fit = _fit(values, scales, bases, "frames" if config.hold_out == "frames" else "pixels")
    if config.hold_out == "auto" and _has_correlated_frames(fit):
        return _fit(values, scales, bases, "frames")
    if config.hold_out == "auto" and _hangs_together(fit, values):
        return _with_blocks(values, scales, bases)
    return fit


def _is_noisy(fit: SplineFit) -> bool:
    """Whether residuals say anything about noise: on clean data they do not."""
    return fit.noise_scale > NEGLIGIBLE_NOISE * fit.scales.amplitude


def _has_correlated_frames(fit: SplineFit) -> bool:
    """Whether the residuals hang together in space but not in time."""
    time, space = fit.correlation[0], fit.correlation[1:]
    return _is_noisy(fit) and min(space) > CORRELATED and abs(time) < max(space)


def _hangs_together(fit: SplineFit, values: np.ndarray) -> bool:
    """Whether noise does, along any axis: residuals are correlated, or a stiffer spline predicts blocks better."""
    # What fills large gaps is smooth, and hangs together.
    if not _is_noisy(fit) or np.isnan(values).mean() > GAPS:
        return False
    if any(r > 0 for r in correlation_range(_residual(fit, values))):
        return True
    filled = np.where(np.isnan(values), fit.evaluate((0,) * values.ndim) - fit.scales.offset, values)
    data = apply_per_axis([b.grid.T for b in fit.bases], filled)
    score = block_score(filled, fit.bases, data, ~np.isnan(values), first_block(values.shape))
    penalties = [b.penalty for b in fit.bases]
    errors = [score(shrinkage(tuple(factor * w for w in fit.weights), penalties)) for factor in (1.0, *STIFFER)]
    return min(errors) < errors[0] - 2 * BETTER


def _with_blocks(values: np.ndarray, scales: Scales, bases: tuple[AxisBasis, ...]) -> SplineFit:
    """Leave out ever larger blocks, until what is beyond them says nothing of the residual at their centre."""
    half = first_block(values.shape)
    while True:
        fit = _fit(values, scales, bases, "blocks", half)
        wider = widened(half, correlation_range(_residual(fit, values)), values.shape)
        if wider == half:
            return fit
        half = wider


def _residual(fit: SplineFit, values: np.ndarray) -> np.ndarray:
    return np.asarray(values + fit.scales.offset - fit.evaluate((0,) * values.ndim))


def _fit(
    values: np.ndarray, scales: Scales, bases: tuple[AxisBasis, ...], hold_out: str, block: tuple[int, ...] = ()
) -> SplineFit:
    missing = np.isnan(values)
    fit = _fit_complete(np.where(missing, 0.0, values), ~missing, scales, bases, hold_out, block)
    for _ in range(WEIGHT_ROUNDS if missing.any() else 0):
        filled = _impute(values, missing, fit)
        previous = np.log(fit.weights)
        fit = _fit_complete(filled, ~missing, scales, bases, hold_out, block)
        if np.max(np.abs(np.log(fit.weights) - previous)) < 0.05:
            break
    if missing.any():
        filled = _impute(values, missing, fit)
        fit = _fit_complete(filled, ~missing, scales, bases, hold_out, block, fit.weights)
    residual = _residual(fit, values)
    return replace(fit, correlation=tuple(neighbour_correlation(residual, axis) for axis in range(values.ndim)))


def _impute(values: np.ndarray, missing: np.ndarray, fit: SplineFit) -> np.ndarray:
    """Fill missing pixels with the values that smoothing at the weights of `fit` reproduces.

    With H the smoother, the missing part x solves (I - H_mm) x = H_mo y: symmetric and positive definite, so that
    conjugate gradients find the fixed point which plain imputation approaches ever more slowly inside a hole.
    """
    grids = [b.grid for b in fit.bases]
    transposed = [g.T for g in grids]

    def smoothed(field: np.ndarray) -> np.ndarray:
        return apply_per_axis(grids, fit.shrinkage * apply_per_axis(transposed, field))[missing]

    def scattered(inside: np.ndarray) -> np.ndarray:
        field = np.zeros(values.shape)
        field[missing] = inside
        return field

    count = int(missing.sum())
    operator = LinearOperator((count, count), matvec=lambda x: x.ravel() - smoothed(scattered(x.ravel())), dtype=float)
    right = smoothed(np.where(missing, 0.0, values))
    inside, failed = cg(operator, right, rtol=IMPUTATION_TOLERANCE, maxiter=IMPUTATION_STEPS)
    if failed:
        raise FieldError(
            "The missing pixels cannot be filled by smoothing.",
            got=f"{count} missing pixels; no convergence in {IMPUTATION_STEPS} steps",
            wanted="gaps that the surrounding pixels determine",
            fix="crop the field so that it holds fewer or smaller gaps",
        )
    return np.where(missing, scattered(inside), values)


def _fit_complete(
    values: np.ndarray,
    seen: np.ndarray,
    scales: Scales,
    bases: tuple[AxisBasis, ...],
    hold_out: str,
    block: tuple[int, ...],
    weights: tuple[float, ...] | None = None,
) -> SplineFit:
    observed = int(seen.sum())
    data = apply_per_axis([b.grid.T for b in bases], values)
    rest = max(float(np.sum(values**2) - np.sum(data**2)), 0.0)
    # On clean data this is a small difference of large numbers: take it from the residual instead.
    if rest < 1e-6 * np.sum(values**2):
        rest = float(np.sum((values - apply_per_axis([b.grid for b in bases], data)) ** 2))
    penalties = [b.penalty for b in bases]
    score: Score
    if hold_out == "frames":
        score = frame_score(values, bases, data, rest)
    elif hold_out == "blocks":
        score = block_score(values, bases, data, seen, block)
    else:
        score = pixel_score(data**2, rest, share=observed / values.size, observed=observed)
    chosen = weights or choose_weights(score, penalties)
    shrink = shrinkage(chosen, penalties)
    residual = rest + float(np.sum(((1 - shrink) * data) ** 2))
    freedom = float(shrink.sum()) * observed / values.size
    spare = max(observed - freedom, 1.0)
    constant = reduce(np.multiply.outer, [b.grid.sum(axis=0) for b in bases]) * scales.offset
    return SplineFit(
        scales=scales,
        bases=bases,
        coefficients=shrink * data + constant,
        shrinkage=shrink,
        noise_scale=float(np.sqrt(max(residual, 1e-300) / spare)),
        degrees_of_freedom=freedom,
        score=float(np.exp(score(shrink) / 2)) if block else float(np.sqrt(residual * observed) / spare),
        weights=tuple(chosen),
        hold_out=hold_out,
        block=block,
    )
