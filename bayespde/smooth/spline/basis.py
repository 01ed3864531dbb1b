"""SAMPLES OF ONE AXIS -> B-SPLINES in the Demmler-Reinsch basis; and tensor products of such bases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.interpolate import BSpline

from bayespde.core.annotations import MANY, Count, OneOf, Range
from bayespde.core.checked import Checked, check


@dataclass(frozen=True)
class SplineConfig(Checked):
    """How the spline is built; what is not set is chosen by cross-validation.

    Attributes:
        degree: Degree of the B-splines; the spline has `degree - 1` continuous derivatives.
        penalty_order: Order of the derivative that is penalised.
        samples_per_knot: Distance between knots in samples.
        maximum_knots: Most knots per axis.
        hold_out: What cross-validation leaves out: single "pixels", whole "frames" where the noise of a frame is
            correlated in space, or "blocks" around pixels where noise is correlated otherwise; "auto" decides by the
            residuals of the pixel-wise fit.
        block: Samples of a block to either side of its centre, per axis; by default the range of the correlation of
            the residuals.
        noise: "gaussian", or "student_t" where there are outliers.
    """

    degree: Annotated[int, Range(1, 15)] = 7
    penalty_order: Count = 4
    samples_per_knot: Annotated[float, Range(1)] = 2.0
    maximum_knots: Count = 400
    hold_out: Annotated[str, OneOf(("auto", "pixels", "frames", "blocks"))] = "auto"
    block: tuple[Annotated[int, Range(0, MANY)], ...] | None = None
    noise: Annotated[str, OneOf(("gaussian", "student_t"))] = "gaussian"

    def __post_init__(self) -> None:
        super().__post_init__()
        check("penalty_order", self.penalty_order, Annotated[int, Range(1, self.degree)])


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


def apply_per_axis(matrices: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Apply one matrix per axis."""
    for axis, matrix in enumerate(matrices):
        values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
    return values


def sum_at_points(matrices: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Sum over all basis functions at scattered points: `[n]`."""
    result = np.tensordot(matrices[-1], values, axes=(1, values.ndim - 1))
    for matrix in reversed(matrices[:-1]):
        result = np.einsum("nb,n...b->n...", matrix, result)
    return result
