"""What sampling says of spins, whatever they stand for: draws by run, estimates, ancestors, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import xarray as xr

from bayespde.core.monte_carlo import evidence_error, inclusion_error
from bayespde.core.sampling_record import SamplingRecord


@dataclass(frozen=True, eq=False)
class SampledSpins:
    """Spins by run, as diagnostics read them.

    Attributes:
        dim: What they stand for: the dimension of what is reported of each.
        names: Of the spins, `[K]`.
        spins: `[R, P, K]`, bool; particles in the order of their ancestors.
        scalars: Quantities of each particle whose chains are compared, such as `lp`, each `[R, P]`.
        log_evidence: `[R]`; NaN where the sampler gives none.
        run_weights: Of the runs in what is pooled, `[R]`, sum 1.
        estimates: Inclusion probabilities by estimator, each `[R, K]`.
        eve_index: Index of the initial draw from which each particle descends, `[R, P]`.
        sampling: How they were sampled.
        stages: History by name, each `[R, S]`.
        exact_inclusion: Inclusion probabilities by enumeration, `[K]`; None where it did not run.
        exact_log_evidence: The log evidence by enumeration; NaN where it did not run.
    """

    dim: str
    names: tuple[str, ...]
    spins: np.ndarray
    scalars: Mapping[str, np.ndarray]
    log_evidence: np.ndarray
    run_weights: np.ndarray
    estimates: Mapping[str, np.ndarray]
    eve_index: np.ndarray
    sampling: SamplingRecord
    stages: Mapping[str, np.ndarray] = field(default_factory=dict)
    exact_inclusion: np.ndarray | None = None
    exact_log_evidence: float = float("nan")

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of each spin being up, over `dim`; exact where enumeration ran, else Rao-Blackwell."""
        if self.exact_inclusion is not None:
            return self.over_spins(self.exact_inclusion, "exact")
        return self.over_spins(self.run_weights @ self.estimates["rao_blackwell"], "rao_blackwell")

    @property
    def inclusion_error(self) -> xr.DataArray:
        """Monte Carlo standard error of the Rao-Blackwell estimate, between and within runs, over `dim`."""
        within = np.array(self.sampling.inclusion_variance, dtype=np.float64)
        values, particles = self.estimates["rao_blackwell"], self.spins.shape[1]
        error = inclusion_error(values, within, self.run_weights, particles)
        return self.over_spins(error, "between and within runs" if within.size else "between runs")

    @property
    def log_evidence_error(self) -> float:
        """Monte Carlo standard error of the pooled log evidence."""
        return evidence_error(self.log_evidence, self.eve_index)

    def over_spins(self, values: np.ndarray, estimator: str) -> xr.DataArray:
        """Values of all spins, `[K]`, by their names, and how they were estimated."""
        return xr.DataArray(values, dims=self.dim, coords={self.dim: list(self.names)}, attrs={"estimator": estimator})


@runtime_checkable
class Sampled(Protocol):
    """A result of sampling: a `Posterior`, or a `SpinSMC` that has run."""

    @property
    def sampled(self) -> SampledSpins:
        """What sampling says of its spins."""
        ...
