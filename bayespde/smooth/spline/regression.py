"""VALUES + BASES -> SPLINE FIT: smoothing weights chosen by cross-validation, missing pixels imputed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from bayespde.core.errors import FieldError
from bayespde.core.neighbours import neighbour_correlation
from bayespde.core.scales import Scales
from bayespde.smooth.spline.basis import AxisBasis, apply_per_axis
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
WEIGHT_TOLERANCE = 0.05
# Of log weights. Held-out blocks are few and costly: their score is not known to a tenth.
PIXEL_TOLERANCE = 0.02
BLOCK_TOLERANCE = 0.2
IMPUTATION_STEPS = 2000
IMPUTATION_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class SplineRegression:
    """Penalised least squares on a grid.

    Attributes:
        values: The field less its mean; NaN where missing.
        scales: Of the field.
        bases: One per axis.
    """

    values: np.ndarray
    scales: Scales
    bases: tuple[AxisBasis, ...]

    def fit(self, hold_out: str, block: tuple[int, ...] = (), near: tuple[float, ...] | None = None) -> SplineFit:
        """Fit with weights chosen by leaving out `pixels`, `frames` or `blocks`; missing pixels are imputed.

        Args:
            hold_out: What is left out.
            block: Samples to either side of the centre of a block, per axis.
            near: Weights from which the search begins, where some are known to be nearly right.

        Raises:
            FieldError: If the missing pixels cannot be filled.
        """
        fit = self._complete(np.where(self._missing, 0.0, self.values), hold_out, block, near=near)
        for _ in range(WEIGHT_ROUNDS if self._missing.any() else 0):
            filled = self._imputed(fit)
            previous = np.log(fit.weights)
            fit = self._complete(filled, hold_out, block, near=fit.weights)
            if np.max(np.abs(np.log(fit.weights) - previous)) < WEIGHT_TOLERANCE:
                break
        if self._missing.any():
            fit = self._complete(self._imputed(fit), hold_out, block, weights=fit.weights)
        residual = fit.residual(self.values)
        axes = range(self.values.ndim)
        return replace(fit, correlation=tuple(neighbour_correlation(residual, axis) for axis in axes))

    @cached_property
    def _missing(self) -> np.ndarray:
        return np.isnan(self.values)

    def _imputed(self, fit: SplineFit) -> np.ndarray:
        """Fill missing pixels with the values that smoothing at the weights of `fit` reproduces.

        With H the smoother, the missing part x solves (I - H_mm) x = H_mo y. The system is symmetric and positive
        definite: conjugate gradients find the fixed point to which plain imputation converges slowly inside a hole.
        """
        values, missing = self.values, self._missing
        grids = [b.grid for b in fit.bases]
        transposed = [g.T for g in grids]

        def smoothed(field: np.ndarray) -> np.ndarray:
            return apply_per_axis(grids, fit.shrinkage * apply_per_axis(transposed, field))[missing]

        def scattered(inside: np.ndarray) -> np.ndarray:
            field = np.zeros(values.shape)
            field[missing] = inside
            return field

        count = int(missing.sum())
        operator = LinearOperator(
            (count, count), matvec=lambda x: x.ravel() - smoothed(scattered(x.ravel())), dtype=float
        )
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

    def _complete(
        self,
        filled: np.ndarray,
        hold_out: str,
        block: tuple[int, ...],
        *,
        near: tuple[float, ...] | None = None,
        weights: tuple[float, ...] | None = None,
    ) -> SplineFit:
        """Fit to values without gaps, at given weights or at chosen ones, searched from those `near` them."""
        scales, bases = self.scales, self.bases
        observed = int((~self._missing).sum())
        data = apply_per_axis([b.grid.T for b in bases], filled)
        rest = self._rest(filled, data)
        score = self._score(filled, data, rest, hold_out, block)
        penalties = [b.penalty for b in bases]
        tolerance = BLOCK_TOLERANCE if block else PIXEL_TOLERANCE
        chosen = weights or choose_weights(score, penalties, near=near, tolerance=tolerance)
        shrink = shrinkage(chosen, penalties)
        residual = rest + float(np.sum(((1 - shrink) * data) ** 2))
        freedom = float(shrink.sum()) * observed / filled.size
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

    def _rest(self, filled: np.ndarray, data: np.ndarray) -> float:
        """Energy of the values outside the basis."""
        rest = max(float(np.sum(filled**2) - np.sum(data**2)), 0.0)
        # On clean data this is a small difference of large numbers: compute it from the residual instead.
        if rest < 1e-6 * np.sum(filled**2):
            rest = float(np.sum((filled - apply_per_axis([b.grid for b in self.bases], data)) ** 2))
        return rest

    def _score(self, filled: np.ndarray, data: np.ndarray, rest: float, hold_out: str, block: tuple[int, ...]) -> Score:
        observed = ~self._missing
        if hold_out == "frames":
            return frame_score(filled, self.bases, data, rest)
        if hold_out == "blocks":
            return block_score(filled, self.bases, data, observed, block)
        count = int(observed.sum())
        return pixel_score(data**2, rest, share=count / filled.size, observed=count)
