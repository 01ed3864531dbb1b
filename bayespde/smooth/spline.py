"""A noisy field on a grid -> a tensor-product penalised spline: noise level, field and derivatives with posterior sd.

Per axis, B-splines with a roughness penalty are brought to the Demmler-Reinsch basis [demmlerreinsch1975], orthonormal
on the grid with a diagonal penalty. A sum of axis penalties [eilersmarx1996] is then diagonal for the whole tensor, so
that generalised cross-validation [cravenwahba1979], degrees of freedom and the posterior of every derivative are
closed forms.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg

from bayespde.core.errors import FieldError
from bayespde.core.neighbours import neighbour_correlation
from bayespde.core.scales import Scales
from bayespde.smooth.basis import AxisBasis, SplineConfig, apply_per_axis
from bayespde.smooth.noise import MOST_RESIDUALS, NoiseModel, evenly
from bayespde.smooth.spline_fit import SplineFit

WEIGHT_ROUNDS = 8
IMPUTATION_STEPS = 2000
IMPUTATION_TOLERANCE = 1e-8
LOG_WEIGHT_BOUNDS = (-30.0, 30.0)
CORRELATED = 0.3
NEGLIGIBLE_NOISE = 1e-3
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
        noise = NoiseModel.fit("student_t", *(evenly(v[observed], MOST_RESIDUALS) for v in (field.values, mean)))
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
    fit = _fit(values, scales, bases, "frames" if config.hold_out == "frames" else "pixels")
    if config.hold_out == "auto" and _has_correlated_frames(fit):
        return _fit(values, scales, bases, "frames")
    return fit


def _has_correlated_frames(fit: SplineFit) -> bool:
    """Whether the residuals hang together in space but not in time; on clean data they say nothing about noise."""
    time, space = fit.correlation[0], fit.correlation[1:]
    return (
        fit.noise_scale > NEGLIGIBLE_NOISE * fit.scales.amplitude and min(space) > CORRELATED and abs(time) < max(space)
    )


def _fit(values: np.ndarray, scales: Scales, bases: tuple[AxisBasis, ...], hold_out: str) -> SplineFit:
    missing = np.isnan(values)
    observed = values.size - int(missing.sum())
    fit = _fit_complete(np.where(missing, 0.0, values), scales, bases, observed=observed, hold_out=hold_out)
    for _ in range(WEIGHT_ROUNDS if missing.any() else 0):
        filled = _impute(values, missing, fit)
        previous = np.log(fit.weights)
        fit = _fit_complete(filled, scales, bases, observed=observed, hold_out=hold_out)
        if np.max(np.abs(np.log(fit.weights) - previous)) < 0.05:
            break
    if missing.any():
        filled = _impute(values, missing, fit)
        fit = _fit_complete(filled, scales, bases, observed=observed, hold_out=hold_out, weights=fit.weights)
    residual = values + scales.offset - fit.evaluate((0,) * values.ndim)
    return replace(
        fit,
        hold_out=hold_out,
        correlation=tuple(neighbour_correlation(residual, axis) for axis in range(values.ndim)),
    )


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
    scales: Scales,
    bases: tuple[AxisBasis, ...],
    *,
    observed: int,
    hold_out: str,
    weights: tuple[float, ...] | None = None,
) -> SplineFit:
    data = apply_per_axis([b.grid.T for b in bases], values)
    rest = max(float(np.sum(values**2) - np.sum(data**2)), 0.0)
    # On clean data this is a small difference of large numbers: take it from the residual instead.
    if rest < 1e-6 * np.sum(values**2):
        rest = float(np.sum((values - apply_per_axis([b.grid for b in bases], data)) ** 2))
    penalties = [b.penalty for b in bases]
    frames = _Frames.of(values, bases, data) if hold_out == "frames" else None
    chosen = weights or _choose_weights(data**2, rest, penalties, observed / values.size, observed, frames)
    shrink = _shrinkage(chosen, penalties)
    residual = rest + float(np.sum(((1 - shrink) * data) ** 2))
    freedom = float(shrink.sum()) * observed / values.size
    spare = max(observed - freedom, 1.0)
    coefficients = shrink * data
    constant = reduce(np.multiply.outer, [b.grid.sum(axis=0) for b in bases]) * scales.offset
    return SplineFit(
        scales=scales,
        bases=bases,
        coefficients=coefficients + constant,
        shrinkage=shrink,
        noise_scale=float(np.sqrt(max(residual, 1e-300) / spare)),
        degrees_of_freedom=freedom,
        score=float(np.sqrt(residual * observed) / spare),
        weights=tuple(chosen),
    )


class _Frames(NamedTuple):
    """What leaving out whole frames needs to know.

    Attributes:
        number: Of frames.
        outside: Energy of every spatial mode's time series that the time basis cannot follow, `[modes, ...]`.
    """

    number: int
    outside: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, bases: tuple[AxisBasis, ...], data: np.ndarray) -> _Frames:
        series = apply_per_axis([np.eye(len(values)), *(b.grid.T for b in bases[1:])], values)
        return cls(len(values), np.maximum(np.sum(series**2, axis=0) - np.sum(data**2, axis=0), 0.0))


def _shrinkage(weights: tuple[float, ...], penalties: list[np.ndarray]) -> np.ndarray:
    total = reduce(np.add.outer, [w * p for w, p in zip(weights, penalties, strict=True)])
    return 1.0 / (1.0 + total)


def _choose_weights(
    energy: np.ndarray,
    rest: float,
    penalties: list[np.ndarray],
    share: float,
    observed: int,
    frames: _Frames | None,
) -> tuple[float, ...]:
    """Minimise the generalised cross-validation score over one log weight per axis [cravenwahba1979].

    With `frames` the unit left out is a whole frame: every spatial mode is a time series of its own, smoothed by a
    filter with its own degrees of freedom, and the scores of the modes add up. `share` is that of observed pixels.
    """
    # One unit of log weight is measured where each penalty starts to bite, so that the search is well scaled.
    reference = [float(np.median(p[p > 0])) if np.any(p > 0) else 1.0 for p in penalties]

    def score(log_weights: np.ndarray) -> float:
        shrink = _shrinkage(tuple(np.exp(log_weights) / reference), penalties)
        if frames is not None:
            spare = np.maximum(1 - shrink.sum(axis=0) / frames.number, 1e-9)
            left = frames.outside + np.sum((1 - shrink) ** 2 * energy, axis=0)
            return float(np.log(max(rest - frames.outside.sum(), 0.0) + np.sum(left / spare**2) + 1e-300))
        residual = rest + np.sum((1 - shrink) ** 2 * energy)
        spare_pixels = max(observed - shrink.sum() * share, 1e-9)
        return float(np.log(residual + 1e-300) - 2 * np.log(spare_pixels))

    starts = [np.full(len(penalties), s) for s in (-12.0, -4.0, 2.0, 8.0)]
    best = min(starts, key=score)
    found = minimize(
        score,
        best,
        method="Nelder-Mead",
        bounds=[LOG_WEIGHT_BOUNDS] * len(penalties),
        options={
            "xatol": 0.02,
            "fatol": 1e-7,
            "initial_simplex": np.vstack([best, best + 3 * np.eye(len(penalties))]),
        },
    )
    return tuple(float(w) for w in np.exp(found.x) / reference)
