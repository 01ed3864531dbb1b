"""Moments + pilot equation -> rows of unit covariance: statistics, and instrumental fits for the next pilot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.lapack import dtrtri

from bayespde.core.statistics import SufficientStatistics
from bayespde.weak.problem import WeakProblem

JITTER = 1e-9


@dataclass(frozen=True, eq=False)
class WhitenedRows:
    """Rows at one pilot.

    Attributes:
        problem: The moments.
        pilot: Coefficients of the equation at which they are linearised, `[K]`, physical units.
    """

    problem: WeakProblem
    pilot: np.ndarray

    @cached_property
    def root(self) -> np.ndarray:
        """Lower triangular factor of the covariance, `[m, m]`."""
        covariance = self.problem.covariance(self.pilot)
        scale = np.sqrt(np.diagonal(covariance))
        correlation = covariance / np.outer(scale, scale)
        correlation[np.diag_indices_from(correlation)] += JITTER
        return np.asarray(cholesky(correlation, lower=True) * scale[:, None])

    @cached_property
    def statistics(self) -> SufficientStatistics:
        """The rows z = b - D beta0 and A, white and compressed, physical units."""
        problem = self.problem
        rows = np.column_stack([problem.design, problem.target - problem.correction @ self.pilot])
        white = self.whiten(rows)
        expected = float(self.expected.mean())
        return SufficientStatistics.from_rows(
            white[:, :-1],
            white[:, -1],
            names=problem.library.names,
            log_jacobian=-np.log(np.diagonal(self.root)),
            # Rows that the floor dominates leave less than they are allowed to. The prior makes up for it, so that
            # at a correct fit the noise variance is 1 and not below what is known.
            prior_variance=2.0 - expected,
            prior_rows=float(len(white)),
            floor=0.0,
            target_name=problem.library.target,
            provenance=self._provenance() | {"expected_residual": expected},
        )

    def instrumental_fits(self, spins: np.ndarray) -> np.ndarray:
        """Fit configurations `[N, K]`, the smooth field as instrument of the corrected one: `[N, K]`, physical units.

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
        """Squared residual of each whitened row at the right equation, `[m]`: the rest of its variance is allowance."""
        inverse, _ = dtrtri(self.root, lower=True)
        return np.asarray(1.0 - inverse**2 @ self._independent - (inverse @ self.problem.scheme) ** 2)

    def noise_share(self) -> np.ndarray:
        """Covariance of the whitened rows without allowance and rounding guard, `[m, m]`; diagonal `expected`."""
        inverse, _ = dtrtri(self.root, lower=True)
        scaled, scheme = inverse * np.sqrt(self._independent), inverse @ self.problem.scheme
        return np.asarray(np.eye(len(inverse)) - scaled @ scaled.T - np.outer(scheme, scheme))

    @property
    def _independent(self) -> np.ndarray:
        """Variance of each row that is not noise of the video and not shared, `[m]`."""
        return np.asarray(JITTER * np.sum(self.root**2, axis=1) + self.problem.floor_scale**2)

    def whiten(self, rows: np.ndarray) -> np.ndarray:
        """Rows `[m, ...]` of any kind, made white."""
        return np.asarray(solve_triangular(self.root, rows, lower=True))

    def _provenance(self) -> dict[str, Any]:
        problem, noise = self.problem, self.problem.noise
        return {
            "form": "weak",
            "rows": len(problem.target),
            "support_radius": [w.half_width for w in problem.windows],
            "centres": [len(w.centres) for w in problem.windows],
            "capped": list(problem.capped),
            "noise": noise.kind,
            "noise_scale": float(noise.pixel.max()),
            "jitter": list(noise.jitter),
            "walk": noise.walk,
            "gain": noise.gain,
            "correlation": [c.tolist() for c in noise.correlation],
            "misfit_floor": problem.options.floor,
            "scheme_error": float(np.sqrt(np.mean(problem.scheme**2) / np.mean(problem.target**2))),
            "dropped_for_gaps": int((~problem.kept).sum()),
            "pilot": {n: float(p) for n, p in zip(problem.library.names, self.pilot, strict=True) if abs(p) > 0},
        }
