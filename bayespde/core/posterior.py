"""What sampling and enumeration return: equally weighted spins, coefficients, noise and evidence, by run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.distinct import distinct
from bayespde.core.equation import Library
from bayespde.core.errors import StatisticsError
from bayespde.core.statistics import SufficientStatistics


@dataclass(frozen=True, eq=False)
class ExactTable:
    """The posterior over all 2^K configurations, as far as it is worth keeping.

    Attributes:
        log_evidence: Log of the sum over all configurations.
        inclusion_probability: Exact, `[K]`.
        spins: The kept configurations, most probable first, `[N, K]`, bool: the top ones and the best of every size.
        probability: Their posterior probabilities, `[N]`.
        models_enumerated: Number of configurations summed.
    """

    log_evidence: float
    inclusion_probability: np.ndarray
    spins: np.ndarray
    probability: np.ndarray
    models_enumerated: int


@dataclass(frozen=True, eq=False)
class Posterior:
    """The posterior over equations. Run = chain, particle = draw; all particles have equal weight.

    Attributes:
        library: The candidate terms.
        statistics: The compressed rows.
        spins: `[R, P, K]`, bool; particles in the order of their eve_index.
        coefficients: `[R, P, K]`, float64, physical units, exactly 0 where the spin is down.
        noise_scale: Residual standard deviation of the whitened rows, `[R, P]`.
        log_prior: Log prior of each configuration, `[R, P]`.
        log_likelihood: Log marginal likelihood of each configuration, `[R, P]`.
        log_evidence: `[R]`; NaN where the sampler gives none.
        estimates: Inclusion probabilities by estimator, each `[R, K]`: `frequency`, `rao_blackwell`, `renormalised`.
        eve_index: Index of the particle at the first stage from which each descends, `[R, P]`.
        stages: History by name, each `[R, S]`, NaN after a run's last stage.
        exact: Exact table where enumeration ran.
        provenance: Seeds, settings, versions (JSON-able).
    """

    library: Library
    statistics: SufficientStatistics
    spins: np.ndarray
    coefficients: np.ndarray
    noise_scale: np.ndarray
    log_prior: np.ndarray
    log_likelihood: np.ndarray
    log_evidence: np.ndarray
    estimates: Mapping[str, np.ndarray]
    eve_index: np.ndarray
    stages: Mapping[str, np.ndarray] = field(default_factory=dict)
    exact: ExactTable | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        runs, particles, terms = self.spins.shape
        if (
            terms != len(self.library)
            or self.coefficients.shape != self.spins.shape
            or self.noise_scale.shape != (runs, particles)
        ):
            raise StatisticsError(
                "The arrays of a posterior do not fit together.",
                got=f"spins {self.spins.shape}, coefficients {self.coefficients.shape}",
                wanted=f"[R, P, {len(self.library)}]",
                fix="build it with bayespde.sample",
            )

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of each term, over `term`; exact where enumeration ran, else Rao-Blackwell."""
        if self.exact is not None:
            return self._over_terms(self.exact.inclusion_probability, "exact")
        return self._over_terms(self.inclusion_estimate("rao_blackwell"), "rao_blackwell")

    @property
    def run_weights(self) -> np.ndarray:
        """Weight of each run in what is pooled over runs, `[R]`, sum 1; by evidence, equal where there is none."""
        if np.isnan(self.log_evidence).any():
            return np.full(len(self.log_evidence), 1 / len(self.log_evidence))
        weights = np.exp(self.log_evidence - self.log_evidence.max())
        return weights / weights.sum()

    def inclusion_estimate(self, estimator: str) -> np.ndarray:
        """One estimator's inclusion probabilities, pooled over runs: `[K]`."""
        return self.run_weights @ self.estimates[estimator]

    @property
    def inclusion_error(self) -> xr.DataArray:
        """Monte Carlo standard error of the Rao-Blackwell estimate from the spread between runs, over `term`.

        Where one run has all the weight, it is that of a single run.
        """
        runs, share = self.estimates["rao_blackwell"], np.sqrt(np.sum(self.run_weights**2))
        error = runs.std(axis=0, ddof=1) * share if len(runs) > 1 else np.full(runs.shape[1], np.nan)
        return self._over_terms(error, "between runs")

    @property
    def log_evidence_pooled(self) -> float:
        """Log of the mean evidence over runs, or the exact one; NaN where there is none."""
        if self.exact is not None:
            return self.exact.log_evidence
        top = self.log_evidence.max()
        return float(top + np.log(np.mean(np.exp(self.log_evidence - top))))

    def configurations(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct configurations `[N, K]` and their probabilities `[N]`, most probable first.

        Exact where enumeration ran, else frequencies over particles, runs weighted by `run_weights`.
        """
        if self.exact is not None:
            return self.exact.spins, self.exact.probability
        weights = np.repeat(self.run_weights / self.spins.shape[1], self.spins.shape[1])
        spins = self.spins.reshape(-1, len(self.library))
        same = distinct(spins)
        probability = np.bincount(same.group, weights, minlength=len(same.first))
        order = np.lexsort((np.arange(len(probability)), -probability))
        return spins[same.first[order]], probability[order]

    def _over_terms(self, values: np.ndarray, estimator: str) -> xr.DataArray:
        return xr.DataArray(
            values, dims=("term",), coords={"term": list(self.library.names)}, attrs={"estimator": estimator}
        )
