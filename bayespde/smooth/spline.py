"""A noisy field on a grid -> a tensor-product penalised spline: noise level, field and derivatives with posterior sd.

Per axis, B-splines with a roughness penalty are brought to the Demmler-Reinsch basis [demmlerreinsch1975], orthonormal
on the grid with a diagonal penalty. A sum of axis penalties [eilersmarx1996] is then diagonal for the whole tensor, so
that generalised cross-validation [cravenwahba1979], degrees of freedom and the posterior of every derivative are closed forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import xarray as xr
from scipy.interpolate import BSpline
from scipy.optimize import minimize

from bayespde.core.errors import ConfigError
from bayespde.core.scales import Scales

IMPUTATION_SWEEPS = 30
LOG_WEIGHT_BOUNDS = (-30.0, 30.0)


@dataclass(frozen=True)
class SplineConfig:
    """How the spline is built; all choices are made by the data unless said.

    Attributes:
        degree: Degree of the B-splines; the spline has `degree - 1` continuous derivatives.
        penalty_order: Order of the derivative that is penalised.
        samples_per_knot: Distance between knots in samples.
        maximum_knots: Most knots per axis.
    """

    degree: int = 7
    penalty_order: int = 4
    samples_per_knot: float = 2.0
    maximum_knots: int = 400

    def __post_init__(self) -> None:
        if not 1 <= self.penalty_order <= self.degree or self.samples_per_knot < 1 or self.maximum_knots < 1:
            raise ConfigError("The spline's settings do not fit together.", got=self, wanted="1 <= penalty_order <= degree, samples_per_knot >= 1", fix="SplineConfig()")


@dataclass(frozen=True, eq=False)
class AxisBasis:
    """Demmler-Reinsch basis of one axis on `[0, 1]`.

    Attributes:
        knots: Knot vector of the B-splines.
        degree: Their degree.
        transform: From B-spline to Demmler-Reinsch coefficients, `[basis, kept]`.
        penalty: Roughness of each basis function, `[kept]`, 0 for polynomials.
        grid: Basis functions on the samples, `[samples, kept]`, orthonormal columns.
    """

    knots: np.ndarray
    degree: int
    transform: np.ndarray
    penalty: np.ndarray
    grid: np.ndarray

    @classmethod
    def build(cls, samples: np.ndarray, config: SplineConfig) -> AxisBasis:
        """Build the basis for increasing `samples` in `[0, 1]`."""
        count = samples.size
        degree = min(config.degree, count - 1)
        intervals = int(np.clip(np.ceil(count / config.samples_per_knot), 1, min(config.maximum_knots, count - degree)))
        knots = np.concatenate([np.zeros(degree), np.linspace(0, 1, intervals + 1), np.ones(degree)])
        raw = _splines(knots, degree, samples, 0)
        left, singular, right = np.linalg.svd(raw, full_matrices=False)
        keep = singular > 1e-10 * singular[0]
        whiten = right[keep].T / singular[keep]
        rough = whiten.T @ _roughness(knots, degree, min(config.penalty_order, degree)) @ whiten
        penalty, vectors = np.linalg.eigh((rough + rough.T) / 2)
        penalty = np.where(np.arange(penalty.size) < min(config.penalty_order, degree), 0.0, np.maximum(penalty, 0.0))
        return cls(knots, degree, whiten @ vectors, penalty, left[:, keep] @ vectors)

    def evaluate(self, positions: np.ndarray, order: int) -> np.ndarray:
        """`order`-th derivative of the basis functions at `positions` in `[0, 1]`: `[positions, kept]`."""
        return _splines(self.knots, self.degree, positions, order) @ self.transform


def _splines(knots: np.ndarray, degree: int, positions: np.ndarray, order: int) -> np.ndarray:
    count = knots.size - degree - 1
    if order > degree:
        return np.zeros((np.size(positions), count))
    basis = BSpline(knots, np.eye(count), degree, extrapolate=True)
    return np.asarray(basis(positions) if order == 0 else basis.derivative(order)(positions))


def _roughness(knots: np.ndarray, degree: int, order: int) -> np.ndarray:
    """Integral of products of `order`-th derivatives, exact by Gauss quadrature per knot interval."""
    nodes, weights = np.polynomial.legendre.leggauss(degree - order + 1)
    edges = np.unique(knots)
    half = np.diff(edges) / 2
    points = (edges[:-1, None] + half[:, None] * (1 + nodes)).ravel()
    values = _splines(knots, degree, points, order)
    return values.T @ (values * (half[:, None] * weights).ravel()[:, None])


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
    """

    scales: Scales
    bases: tuple[AxisBasis, ...]
    coefficients: np.ndarray
    shrinkage: np.ndarray
    noise_scale: float
    degrees_of_freedom: float
    score: float
    weights: tuple[float, ...]

    def evaluate(self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None = None) -> np.ndarray:
        """Posterior mean of a derivative on a tensor grid.

        Args:
            orders: Order of differentiation per dimension, field order.
            coordinates: Positions per dimension in physical units; the data's grid by default.

        Returns:
            `[len(c) for c in coordinates]`, float64, physical units.
        """
        return _tensor(self._matrices(orders, coordinates), self.coefficients) * self.scales.derivative_factor(orders)

    def standard_deviation(self, orders: tuple[int, ...], coordinates: tuple[np.ndarray, ...] | None = None) -> np.ndarray:
        """Posterior standard deviation of a derivative on a tensor grid; arguments and shape as in `evaluate`."""
        squares = [m**2 for m in self._matrices(orders, coordinates)]
        variance = self.noise_scale**2 * _tensor(squares, self.shrinkage)
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
        mean = _pointwise(matrices, self.coefficients)
        variance = _pointwise([m**2 for m in matrices], self.shrinkage)
        factor = self.scales.derivative_factor(orders)
        return mean * factor, self.noise_scale * np.sqrt(np.maximum(variance, 0.0)) * factor

    def draw(self, generator: np.random.Generator) -> SplineFit:
        """One draw of the field from its posterior, as a spline whose mean is the draw."""
        noise = generator.standard_normal(self.coefficients.shape) * np.sqrt(self.shrinkage) * self.noise_scale
        return SplineFit(self.scales, self.bases, self.coefficients + noise, self.shrinkage, self.noise_scale, self.degrees_of_freedom, self.score, self.weights)

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
        The fit; its noise level is that of independent pixels: where noise is correlated it is too small.
    """
    config = config or SplineConfig()
    scales = Scales.of(field)
    bases = tuple(AxisBasis.build(np.linspace(0.0, 1.0, n), config) for n in field.shape)
    values = field.values - scales.offset
    missing = np.isnan(values)
    if not missing.any():
        return _fit_complete(values, scales, bases, observed=values.size)
    filled = np.where(missing, 0.0, values)
    fit = _fit_complete(filled, scales, bases, observed=values.size - int(missing.sum()))
    for sweep in range(IMPUTATION_SWEEPS):
        update = _tensor([b.grid for b in bases], fit.coefficients)[missing] - scales.offset
        change = np.max(np.abs(update - filled[missing]))
        filled[missing] = update
        # The weights settle in the first sweeps; afterwards only the imputed values move.
        fixed = fit.weights if sweep >= 5 else None
        fit = _fit_complete(filled, scales, bases, observed=values.size - int(missing.sum()), weights=fixed)
        if change < 1e-3 * fit.noise_scale:
            break
    return fit


def _fit_complete(
    values: np.ndarray,
    scales: Scales,
    bases: tuple[AxisBasis, ...],
    *,
    observed: int,
    weights: tuple[float, ...] | None = None,
) -> SplineFit:
    data = _tensor([b.grid.T for b in bases], values)
    rest = max(float(np.sum(values**2) - np.sum(data**2)), 0.0)
    # The squared norm outside the basis is a small difference of large numbers on clean data: take it from the residual.
    if rest < 1e-6 * np.sum(values**2):
        rest = float(np.sum((values - _tensor([b.grid for b in bases], data)) ** 2))
    penalties = [b.penalty for b in bases]
    chosen = weights or _choose_weights(data**2, rest, penalties, observed)
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


def _shrinkage(weights: tuple[float, ...], penalties: list[np.ndarray]) -> np.ndarray:
    total = reduce(np.add.outer, [w * p for w, p in zip(weights, penalties, strict=True)])
    return 1.0 / (1.0 + total)


def _choose_weights(energy: np.ndarray, rest: float, penalties: list[np.ndarray], observed: int) -> tuple[float, ...]:
    """Minimise the generalised cross-validation score over one log weight per axis [cravenwahba1979]."""
    # One unit of log weight is measured where each penalty starts to bite, so that the search is well scaled.
    reference = [float(np.median(p[p > 0])) if np.any(p > 0) else 1.0 for p in penalties]

    def score(log_weights: np.ndarray) -> float:
        shrink = _shrinkage(tuple(np.exp(log_weights) / reference), penalties)
        residual = rest + np.sum((1 - shrink) ** 2 * energy)
        spare = max(observed - shrink.sum() * observed / energy.size, 1e-9)
        return float(np.log(residual + 1e-300) - 2 * np.log(spare))

    starts = [np.full(len(penalties), s) for s in (-12.0, -4.0, 2.0)]
    best = min(starts, key=score)
    found = minimize(score, best, method="Nelder-Mead", bounds=[LOG_WEIGHT_BOUNDS] * len(penalties), options={"xatol": 0.02, "fatol": 1e-7, "initial_simplex": np.vstack([best, best + 3 * np.eye(len(penalties))])})
    return tuple(float(w) for w in np.exp(found.x) / reference)


def _tensor(matrices: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Apply one matrix per axis."""
    for axis, matrix in enumerate(matrices):
        values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
    return values


def _pointwise(matrices: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Sum over all basis functions at scattered points: `[n]`."""
    result = np.tensordot(matrices[-1], values, axes=(1, values.ndim - 1))
    for matrix in reversed(matrices[:-1]):
        result = np.einsum("nb,n...b->n...", matrix, result)
    return result
