"""FIELD -> SPLINE FIT: a tensor-product penalised spline; noise level, field and derivatives with posterior sd.

Per axis, B-splines with a roughness penalty are transformed to the Demmler-Reinsch basis [demmlerreinsch1975],
orthonormal on the grid with a diagonal penalty. A sum of axis penalties [eilersmarx1996] is then diagonal for the whole
tensor, so that generalised cross-validation [cravenwahba1979], degrees of freedom and the posterior of every derivative
are closed forms.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.scales import Scales
from bayespde.noise.families import MAX_RESIDUALS, student_t, thinned
from bayespde.smooth.spline.basis import AxisBasis, SplineConfig, apply_per_axis
from bayespde.smooth.spline.blocks import checked_block, correlation_range, first_block, widened
from bayespde.smooth.spline.cross_validation import block_score, shrinkage
from bayespde.smooth.spline.fitted import SplineFit
from bayespde.smooth.spline.regression import SplineRegression

# Correlation of neighbouring residuals, and size of the noise relative to the field, that count.
CORRELATED = 0.3
NEGLIGIBLE_NOISE = 1e-3
# Factors on the weights chosen by held-out pixels; gain in log rms at held-out blocks by which weights follow noise.
STIFFER = (10.0, 100.0, 1000.0)
BETTER = 0.1
# Share of missing pixels above which correlation of the noise is not tested.
MAX_MISSING = 0.1
ROBUST_ROUNDS = 20
ROBUST_TOLERANCE = 1e-2


def fit_spline(field: xr.DataArray, *, config: SplineConfig | None = None) -> SplineFit:
    """Fit the spline, its weights chosen by generalised cross-validation; missing pixels are imputed to convergence.

    Args:
        field: A checked field; NaN marks missing pixels.
        config: Degree, penalty and knots.

    Returns:
        The fit. Its noise level is that of independent pixels: too small where noise is correlated. For Student's t it
        is the standard deviation of normal noise with equal Fisher information. Standard deviations ignore gaps: they
        hold where pixels were observed.

    Raises:
        FieldError: If the missing pixels cannot be filled.
    """
    config = config or SplineConfig()
    fit = _fit_normal(field, config)
    return _robust(field, config, fit) if config.noise == "student_t" else fit


def _robust(field: xr.DataArray, config: SplineConfig, fit: SplineFit) -> SplineFit:
    """Fit to pseudo-data until they converge: the mean plus the whitened residuals, bounded for outliers [oh2007]."""
    shape, observed = field.shape, ~np.isnan(field.values)
    mean = fit.evaluate((0,) * len(shape))
    for _ in range(ROBUST_ROUNDS):
        residual = (field.values - mean)[observed]
        noise = student_t.fit(*(thinned(v[observed], MAX_RESIDUALS) for v in (field.values, mean)))
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
    regression = SplineRegression(field.values - scales.offset, scales, bases)
    if config.hold_out == "blocks":
        if not config.block:
            return _with_blocks(regression)
        return regression.fit("blocks", checked_block(config.block, field.shape))
    fit = regression.fit("frames" if config.hold_out == "frames" else "pixels")
    if config.hold_out == "auto" and _has_correlated_frames(fit):
        return regression.fit("frames")
    if config.hold_out == "auto" and _has_correlated_noise(fit, regression.values):
        return _with_blocks(regression)
    return fit


def _is_noisy(fit: SplineFit) -> bool:
    """Whether residuals are informative about noise: for clean data they are not."""
    return fit.noise_scale > NEGLIGIBLE_NOISE * fit.scales.amplitude


def _has_correlated_frames(fit: SplineFit) -> bool:
    """Whether the residuals are correlated in space but not in time."""
    time, space = fit.correlation[0], fit.correlation[1:]
    return _is_noisy(fit) and min(space) > CORRELATED and abs(time) < max(space)


def _has_correlated_noise(fit: SplineFit, values: np.ndarray) -> bool:
    """Whether noise is correlated along any axis: residuals are, or a stiffer spline predicts blocks better."""
    # Imputed values of large gaps are smooth, and so correlated.
    if not _is_noisy(fit) or np.isnan(values).mean() > MAX_MISSING:
        return False
    if any(r > 0 for r in correlation_range(fit.residual(values))):
        return True
    filled = np.where(np.isnan(values), fit.evaluate((0,) * values.ndim) - fit.scales.offset, values)
    data = apply_per_axis([b.grid.T for b in fit.bases], filled)
    score = block_score(filled, fit.bases, data, ~np.isnan(values), first_block(values.shape))
    penalties = [b.penalty for b in fit.bases]
    errors = [score(shrinkage(tuple(factor * w for w in fit.weights), penalties)) for factor in (1.0, *STIFFER)]
    return min(errors) < errors[0] - 2 * BETTER


def _with_blocks(regression: SplineRegression) -> SplineFit:
    """Leave out ever larger blocks, until residuals beyond them are uncorrelated with the one at their centre."""
    values = regression.values
    half, fit = first_block(values.shape), None
    while True:
        fit = regression.fit("blocks", half, near=fit.weights if fit else None)
        wider = widened(half, correlation_range(fit.residual(values)), values.shape)
        if wider == half:
            return fit
        half = wider
