"""A noisy field on a grid -> a tensor-product penalised spline: noise level, field and derivatives with posterior sd.

Per axis, B-splines with a roughness penalty are brought to the Demmler-Reinsch basis [demmlerreinsch1975], orthonormal
on the grid with a diagonal penalty. A sum of axis penalties [eilersmarx1996] is then diagonal for the whole tensor, so
that generalised cross-validation [cravenwahba1979], degrees of freedom and the posterior of every derivative are
closed forms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg

from bayespde.core.errors import FieldError
from bayespde.core.neighbours import neighbour_correlation
from bayespde.core.scales import Scales
from bayespde.smooth.basis import AxisBasis, SplineConfig, apply_per_axis, sum_at_points

WEIGHT_ROUNDS = 8
IMPUTATION_STEPS = 2000
IMPUTATION_TOLERANCE = 1e-8
LOG_WEIGHT_BOUNDS = (-30.0, 30.0)
CORRELATED = 0.3
NEGLIGIBLE_NOISE = 1e-3


@dataclass(frozen=True, eq=False)
class SplineFit:
    """A fitted spline and its exact Gaussian posterior.

    Attributes:
        scales: Maps between physical and unit coordinates.
        bases: One per dimension, in field order.
        coefficients: Posterior mean in the Demmler-Reinsch basis, physical amplitude.
        shrinkage: Factor in (0, 1] by which each data coefficient was shrunk, same shape.
        noise_scale: Estimated standard deviation of the pixel noise.
        degrees_of_freedom: Effective number of parameters.
        score: Root of the generalised cross-validation score, an estimate of the error at a pixel left out.
        weights: Smoothing weight per dimension, in unit coordinates.
        hold_out: What was left out when the weights were chosen, "pixels" or "frames".
        correlation: Correlation of the residuals of neighbouring samples, per dimension.
    """

    scales: Scales
    bases: tuple[AxisBasis, ...]
    coefficients: np.ndarray
    shrinkage: np.ndarray
    noise_scale: float
    degrees_of_freedom: float
    score: float
    weights: tuple[float, ...]
    hold_out: str = "pixels"
    correlation: tuple[float, ...] = ()

    @property
    def grids(self) -> tuple[np.ndarray, ...]:
        """Basis functions of each axis on the samples of the data, `[samples, basis]` each."""
        return tuple(b.grid for b in self.bases)

    @property
    def variance(self) -> np.ndarray:
        """Posterior variance of each coefficient, shape of `coefficients`."""
        return self.noise_scale**2 * self.shrinkage

    def with_coefficients(self, coefficients: np.ndarray) -> SplineFit:
        """The same spline with another mean."""
        return replace(self, coefficients=coefficients)

    def evaluate(self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None = None) -> np.ndarray:
        """Posterior mean of a derivative on a tensor grid.

        Args:
            orders: Order of differentiation per dimension, field order.
            coordinates: Positions per dimension in physical units; the data's grid by default.

        Returns:
            `[len(c) for c in coordinates]`, float64, physical units.
        """
        return apply_per_axis(self._matrices(orders, coordinates), self.coefficients) * self.scales.derivative_factor(
            orders
        )

    def standard_deviation(
        self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None = None
    ) -> np.ndarray:
        """Posterior standard deviation of a derivative on a tensor grid; arguments and shape as in `evaluate`."""
        squares = [m**2 for m in self._matrices(orders, coordinates)]
        variance = self.noise_scale**2 * apply_per_axis(squares, self.shrinkage)
        return np.sqrt(np.maximum(variance, 0.0)) * self.scales.derivative_factor(orders)

    def at_points(self, orders: tuple[int, ...], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of a derivative at scattered points.

        Args:
            orders: Order of differentiation per dimension.
            points: `[n, dimensions]`, physical units, field order.

        Returns:
            Mean `[n]` and standard deviation `[n]`.
        """
        matrices = self._matrices(orders, tuple(points.T))
        mean = sum_at_points(matrices, self.coefficients)
        variance = sum_at_points([m**2 for m in matrices], self.shrinkage)
        factor = self.scales.derivative_factor(orders)
        return mean * factor, self.noise_scale * np.sqrt(np.maximum(variance, 0.0)) * factor

    def draw(self, generator: np.random.Generator) -> SplineFit:
        """One draw of the field from its posterior, as a spline whose mean is the draw."""
        noise = generator.standard_normal(self.coefficients.shape) * np.sqrt(self.shrinkage) * self.noise_scale
        return self.with_coefficients(self.coefficients + noise)

    def _matrices(self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None) -> list[np.ndarray]:
        if coordinates is None and not any(orders):
            return [b.grid for b in self.bases]
        matrices = []
        for i, (basis, order) in enumerate(zip(self.bases, orders, strict=True)):
            if coordinates is None:
                unit = np.linspace(0.0, 1.0, len(basis.grid))
            else:
                unit = self.scales.to_unit(self.scales.dims[i], coordinates[i])
            matrices.append(basis.evaluate(unit, order))
        return matrices


def fit_spline(field: xr.DataArray, *, config: SplineConfig | None = None) -> SplineFit:
    """Fit the spline, its weights chosen by generalised cross-validation; missing pixels are imputed to convergence.

    Args:
        field: A checked field; NaN marks missing pixels.
        config: Degree, penalty and knots.

    Returns:
        The fit; its noise level is that of independent pixels: where noise is correlated it is too small. Standard
        deviations do not know of gaps: they hold where pixels were observed.

    Raises:
        FieldError: If the missing pixels cannot be filled.
    """
    config = config or SplineConfig()
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
