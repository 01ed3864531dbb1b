"""Moments + linearisation point -> rows of unit covariance: statistics, and instrumental fits for the next point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.lapack import dtrtri

from bayespde.core.assembly_record import AssemblyRecord
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics
from bayespde.weak.problem import WeakProblem

# Guard against rounding, added to the diagonal of the correlation of the rows.
NUGGET = 1e-9


@dataclass(frozen=True, eq=False)
class WhitenedRows:
    """Rows at one linearisation point.

    Attributes:
        problem: The moments.
        point: Coefficients of the equation at which they are linearised, `[K]`, physical units.
    """

    problem: WeakProblem
    point: np.ndarray

    @cached_property
    def root(self) -> np.ndarray:
        """Lower triangular factor of the covariance, `[m, m]`."""
        covariance = self.problem.covariance(self.point)
        scale = np.sqrt(np.diagonal(covariance))
        correlation = covariance / np.outer(scale, scale)
        correlation[np.diag_indices_from(correlation)] += NUGGET
        return np.asarray(cholesky(correlation, lower=True) * scale[:, None])

    @cached_property
    def statistics(self) -> SufficientStatistics:
        """The rows z = b - D beta0 and A, white and compressed, physical units."""
        problem = self.problem
        rows = np.column_stack([problem.design, problem.target - problem.correction @ self.point])
        white = self.whiten(rows)
        expected = float(self.expected.mean())
        return SufficientStatistics.from_rows(
            white[:, :-1],
            white[:, -1],
            names=problem.library.names,
            target_name=problem.library.target,
            model=RowModel(
                log_jacobian=-np.log(np.diagonal(self.root)),
                # Where the floor dominates, residuals are smaller than their allowance. The prior makes up for it, so
                # that at a correct fit the noise variance is 1 and not below the known noise.
                prior_variance=2.0 - expected,
                prior_rows=float(len(white)),
                floor=0.0,
                provenance=self._provenance(),
                record=self._record(expected),
            ),
        )

    def instrumental_fits(self, spins: np.ndarray) -> np.ndarray:
        """Fit models `[N, K]`, the smoothed field as instrument of the corrected one: `[N, K]`, physical units.

        beta_S = (A_S' C^-1 (A + D)_S)^-1 A_S' C^-1 b: the fixed point of re-linearising at the fit itself.
        """
        problem = self.problem
        a, both, b = (self.whiten(m) for m in (problem.design, problem.design + problem.correction, problem.target))
        scale = np.linalg.norm(a, axis=0)
        scale[scale == 0] = 1.0
        left, right = (a / scale).T @ (both / scale), (a / scale).T @ b
        fits = np.zeros(spins.shape)
        for row, on in zip(fits, spins, strict=True):
            row[on] = np.linalg.lstsq(left[np.ix_(on, on)], right[on], rcond=1e-12)[0] / scale[on]
        return fits

    @cached_property
    def expected(self) -> np.ndarray:
        """Expected squared residual of each whitened row at the true equation, `[m]`; the rest is allowance."""
        inverse, _ = dtrtri(self.root, lower=True)
        return np.asarray(1.0 - inverse**2 @ self._independent - (inverse @ self.problem.scheme) ** 2)

    def noise_share(self) -> np.ndarray:
        """Covariance of the whitened rows without allowance and rounding guard, `[m, m]`; diagonal `expected`."""
        inverse, _ = dtrtri(self.root, lower=True)
        scaled, scheme = inverse * np.sqrt(self._independent), inverse @ self.problem.scheme
        return np.asarray(np.eye(len(inverse)) - scaled @ scaled.T - np.outer(scheme, scheme))

    @property
    def _independent(self) -> np.ndarray:
        """Variance of each row that is not pixel noise and not shared, `[m]`."""
        return np.asarray(NUGGET * np.sum(self.root**2, axis=1) + self.problem.floor_scale**2)

    def whiten(self, rows: np.ndarray) -> np.ndarray:
        """Rows `[m, ...]` of any kind, whitened."""
        return np.asarray(solve_triangular(self.root, rows, lower=True))

    def _record(self, expected_residual: float) -> AssemblyRecord:
        noise = self.problem.noise
        # By dimension; frames are independent.
        correlation = ((1.0,), *(tuple(c.tolist()) for c in noise.correlation)) if noise.correlation else ()
        return AssemblyRecord("weak", noise.kind, correlation, expected_residual)

    def _provenance(self) -> dict[str, Any]:
        problem, noise = self.problem, self.problem.noise
        return {
            "rows": len(problem.target),
            "support_radius": [f.radius for f in problem.test_functions],
            "centres": [len(f.centres) for f in problem.test_functions],
            "capped": list(problem.capped),
            "noise_scale": float(np.max(noise.sd)),
            "jitter": list(noise.jitter),
            "walk": noise.walk,
            "noise_parameters": dict(noise.parameters),
            "misfit_floor": problem.options.floor,
            "scheme_error": float(np.sqrt(np.mean(problem.scheme**2) / np.mean(problem.target**2))),
            "dropped_for_gaps": int((~problem.kept).sum()),
            "linearised_at": {
                n: float(p) for n, p in zip(problem.library.names, self.point, strict=True) if abs(p) > 0
            },
        }
