"""What sampling and enumeration return: equally weighted spins, coefficients, noise and evidence, by run.

A `Posterior` holds the draws, what they were drawn from (library, statistics, prior, slab, likelihood), and how
(`SamplingRecord`). An `ExactTable` holds the same posterior by enumeration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr

from bayespde.core.annotations import OneOf
from bayespde.core.checked import Checked, validated
from bayespde.core.distinct import distinct
from bayespde.core.equation import Library
from bayespde.core.errors import StatisticsError
from bayespde.core.likelihood import Likelihood
from bayespde.core.monte_carlo import evidence_weights
from bayespde.core.one_line import one_line
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.sampled_spins import SampledSpins
from bayespde.core.sampling_record import SamplingRecord
from bayespde.core.slabs import Slab, shrinkage
from bayespde.core.statistics import SufficientStatistics

# Of inclusion probabilities.
ESTIMATORS = ("frequency", "rao_blackwell", "renormalised")

# Arrays of a posterior whose first axis are its runs.
BY_RUN = ("spins", "coefficients", "noise_scale", "log_prior", "log_likelihood", "log_evidence", "eve_index")


@dataclass(frozen=True, eq=False)
class ExactTable:
    """The posterior over all 2^K configurations, as far as it is stored.

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

    def __repr__(self) -> str:
        kept, terms = self.spins.shape
        return one_line(self, terms=terms, kept=kept, log_evidence=float(self.log_evidence))


@dataclass(frozen=True, eq=False)
class Posterior(Checked):
    """The posterior over equations. Run = chain, particle = draw; all particles have equal weight.

    A spin is an inclusion indicator [george1993]: whether a candidate term is in the equation.

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
        prior: Distribution of the spins before the data; None where unknown.
        slab: Prior of the coefficients that are in the equation; None where unknown.
        likelihood: What equations were compared by, and why.
        sampling: How draws were made.
        units: Units of the field and its coordinates, by name; empty where unknown.
        field_draw: Index of the draw of the smoothed field that each run was made with, `[R]`, int64; None if all runs
            have the same data. Draws have equal weight: a cut posterior, in which equations do not change the field.
        provenance: Where the result comes from: hash of the data, settings and seed of the discovery (JSON-able).
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
    prior: PairwiseSpins | None = None
    slab: Slab | None = None
    likelihood: Likelihood = field(default_factory=Likelihood)
    sampling: SamplingRecord = field(default_factory=SamplingRecord)
    units: Mapping[str, str] = field(default_factory=dict)
    field_draw: np.ndarray | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spins.ndim != 3:
            raise StatisticsError(
                "The spins of a posterior are not by run and particle.",
                got=self.spins.shape,
                wanted="[R, P, K]",
                fix="build it with bayespde.sample",
            )
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

    def __repr__(self) -> str:
        runs, draws, terms = self.spins.shape
        facts = {"terms": terms, "runs": runs, "draws": draws, "likelihood": self.likelihood.kind}
        return one_line(self, target=self.library.target, **facts, stopped_by=self.stopped_by or None)

    @property
    def stopped_by(self) -> Literal["", "interrupt", "budget"]:
        """What ended the computation before all that was asked for was computed; empty if nothing did."""
        if self.sampling.budget_exhausted or self.likelihood.budget_exhausted:
            return "budget"
        return "" if self.sampling.complete else "interrupt"

    def known_prior(self) -> PairwiseSpins:
        """The distribution of the spins before the data.

        Raises:
            StatisticsError: If the posterior does not hold it.
        """
        if self.prior is None:
            raise StatisticsError(
                "The prior of this posterior is not known.",
                got="prior=None",
                wanted="a posterior that bayespde.sample made",
                fix="sample(model)",
            )
        return self.prior

    @property
    def boundary(self) -> str | None:
        """Boundary condition in space of the trajectories that equations were compared by; None if there are none."""
        return self.likelihood.boundary

    @property
    def slab_effect(self) -> tuple[float, float]:
        """Shrinkage of the coefficients and ridge on unit columns that the slab asks for, dimensionless."""
        if self.slab is None:
            return 1.0, 0.0
        observations = self.statistics.observations
        return shrinkage(self.slab, observations), self.slab.ridge(observations)

    @property
    def sampled(self) -> SampledSpins:
        """What sampling says of the spins, as diagnostics read it."""
        exact = self.exact
        return SampledSpins(
            dim="term",
            names=self.library.names,
            spins=self.spins,
            scalars={"lp": self.log_prior + self.log_likelihood, "noise_scale": self.noise_scale},
            log_evidence=self.log_evidence,
            run_weights=self.run_weights,
            estimates=self.estimates,
            eve_index=self.eve_index,
            sampling=self.sampling,
            stages=self.stages,
            exact_inclusion=None if exact is None else exact.inclusion_probability,
            exact_log_evidence=float("nan") if exact is None else exact.log_evidence,
        )

    @property
    def inclusion_probability(self) -> xr.DataArray:
        """Probability of each term, over `term`; exact where enumeration ran, else Rao-Blackwell."""
        return self.sampled.inclusion_probability

    @property
    def run_weights(self) -> np.ndarray:
        """Weight of each run in what is pooled over runs, `[R]`, sum 1.

        By evidence, equal where there is none; runs of one draw of the field share the weight of that draw.
        """
        draws = np.zeros(len(self.log_evidence), dtype=int) if self.field_draw is None else self.field_draw
        weights = np.empty(len(draws))
        for one in np.unique(draws):
            here = draws == one
            weights[here] = evidence_weights(self.log_evidence[here])
        return np.asarray(weights / len(np.unique(draws)))

    def by_field_draw(self) -> tuple[Posterior, ...]:
        """The posterior of each draw of the smoothed field; this one alone if there are none."""
        if self.field_draw is None:
            return (self,)
        return tuple(self._runs(self.field_draw == one) for one in np.unique(self.field_draw))

    def _runs(self, here: np.ndarray) -> Posterior:
        """Some of the runs, `[R]` bool, without the exact table, which is of all."""
        return replace(
            self,
            **{name: getattr(self, name)[here] for name in BY_RUN},
            estimates={name: values[here] for name, values in self.estimates.items()},
            stages={name: values[here] for name, values in self.stages.items()},
            exact=None,
            sampling=self.sampling.of_runs(here),
            field_draw=None,
        )

    @property
    def identity(self) -> str:
        """Hash of data and draws, by which files that were made from a posterior are recognised."""
        digest = sha256(self.statistics.target_hash.encode())
        digest.update(np.packbits(self.spins).tobytes())
        digest.update(np.ascontiguousarray(self.coefficients).tobytes())
        return digest.hexdigest()[:16]

    @validated
    def inclusion_estimate(self, estimator: Annotated[str, OneOf(ESTIMATORS)]) -> np.ndarray:
        """One estimator's inclusion probabilities, pooled over runs: `[K]`.

        Raises:
            ConfigError: If there is no such estimator.
        """
        return self.run_weights @ self.estimates[estimator]

    @property
    def inclusion_error(self) -> xr.DataArray:
        """Monte Carlo standard error of the Rao-Blackwell estimate, between and within runs, over `term`.

        Where one run has all the weight, it is that of a single run. Of one run it is NaN unless the sampler gives the
        variance within it.
        """
        return self.sampled.inclusion_error

    @property
    def log_evidence_pooled(self) -> float:
        """Log of the mean evidence over runs, or the exact one; NaN where there is none, as for draws of the field."""
        if self.field_draw is not None:
            return float("nan")
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
