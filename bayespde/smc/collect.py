"""Finished runs -> arrays by run: equally weighted configurations, and three estimates of inclusion probabilities."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import numpy as np

from bayespde.core.distinct import distinct
from bayespde.smc.base import SMCState

HISTORY = (
    "inverse_temperature",
    "ess",
    "flip_rate",
    "sweeps",
    "passes",
    "correlation",
    "distinct_particles",
    "distinct_ancestors",
    "log_marginal_likelihood_increment",
)


class Run(NamedTuple):
    """One run of the sampler.

    Attributes:
        state: Particles at inverse temperature 1, in the order of their ancestors.
        stages: History by name, each `[S]`, float64.
        rao_blackwell: Mean conditional probability of each spin over the final passes, `[K]`, float64.
        visited: Distinct configurations of particles at inverse temperature 1, after any pass, `[N, K]`, bool.
        log_mass: Their log prior plus log likelihood, `[N]`, float64.
        likelihood_error: Largest difference in nats between the likelihoods that the kernel updated and those computed
            anew.
        inclusion_variance: Of the inclusion probabilities, from particles of different ancestors, `[K]`, float64; empty
            where it is unknown.
    """

    state: SMCState
    stages: dict[str, np.ndarray]
    rao_blackwell: np.ndarray
    visited: np.ndarray
    log_mass: np.ndarray
    likelihood_error: float
    inclusion_variance: np.ndarray


Made = TypeVar("Made")


class Finished(NamedTuple, Generic[Made]):
    """The runs that finished, in the order of their seeds; or what they are made of.

    Attributes:
        runs: One or more.
        complete: Whether these are all that were asked for.
        budget_exhausted: Whether some were stopped for want of CPU time.
    """

    runs: list[Made]
    complete: bool
    budget_exhausted: bool


class Runs(NamedTuple):
    """Several independent runs, as arrays.

    Attributes:
        spins: `[R, P, K]`, bool; particles in the order of their ancestors, equally weighted.
        log_prior: `[R, P]`, float64.
        log_likelihood: `[R, P]`, float64.
        log_evidence: `[R]`, float64.
        eve_index: Index of the initial draw from which each particle descends, `[R, P]`, int64 [lee2018].
        stages: History by name, each `[R, S]`, float64, NaN after a run's last stage.
        estimates: Inclusion probabilities by estimator, each `[R, K]`: `frequency` (share of particles),
            `rao_blackwell` (mean conditional probability), `renormalised` (exact masses of the visited
            configurations; NaN where they are not known).
        captured_mass: Posterior mass of the configurations that each run visited, relative to the pooled evidence or,
            if that is more, to the mass that all runs together visited, `[R]`; NaN where it is not known. With the true
            evidence the renormalised estimate is off by at most one minus this.
        captured_mass_lower: The same with two standard errors added to the pooled evidence, `[R]`; NaN for one run.
        likelihood_error: Largest difference in nats between the likelihoods that each run updated and those computed
            anew, `[R]`.
        inclusion_variance: Variance of the inclusion probabilities within each run, `[R, K]`, or `[R, 0]`.
        complete: Whether all runs that were asked for have finished.
        budget_exhausted: Whether some were stopped for want of CPU time.
        latents: Real numbers of the particles, `[R, P, D]`, float64; D is 0 where there are spins only.
    """

    spins: np.ndarray
    log_prior: np.ndarray
    log_likelihood: np.ndarray
    log_evidence: np.ndarray
    eve_index: np.ndarray
    stages: dict[str, np.ndarray]
    estimates: dict[str, np.ndarray]
    captured_mass: np.ndarray
    captured_mass_lower: np.ndarray
    likelihood_error: np.ndarray
    inclusion_variance: np.ndarray
    complete: bool
    budget_exhausted: bool = False
    latents: np.ndarray = np.empty((0, 0, 0))


def collect(finished: Finished[Run]) -> Runs:
    """Stack finished runs."""
    runs = finished.runs
    log_evidence = np.array([r.state.log_evidence for r in runs])
    log_visited = np.array([np.logaddexp.reduce(r.log_mass) if len(r.log_mass) else np.nan for r in runs])
    shares = [np.exp(r.log_mass - mass) for r, mass in zip(runs, log_visited, strict=True)]
    renormalised = [
        np.minimum(share @ r.visited, 1.0) if len(share) else np.full(r.visited.shape[1], np.nan)
        for r, share in zip(runs, shares, strict=True)
    ]
    spins = np.stack([r.state.spins.numpy() for r in runs])
    captured, lower = _captured(runs, log_evidence, log_visited)
    return Runs(
        spins=spins,
        log_prior=np.stack([r.state.log_prior.numpy() for r in runs]),
        log_likelihood=np.stack([r.state.log_likelihood.numpy() for r in runs]),
        log_evidence=log_evidence,
        eve_index=np.stack([r.state.eve_index.numpy() for r in runs]),
        stages=_padded([r.stages for r in runs]),
        estimates={
            "frequency": spins.mean(axis=1),
            "rao_blackwell": np.stack([r.rao_blackwell for r in runs]),
            "renormalised": np.stack(renormalised),
        },
        captured_mass=captured,
        captured_mass_lower=lower,
        likelihood_error=np.array([r.likelihood_error for r in runs]),
        inclusion_variance=np.stack([r.inclusion_variance for r in runs]),
        complete=finished.complete,
        budget_exhausted=finished.budget_exhausted,
        latents=np.stack([_latents(r.state) for r in runs]),
    )


def _latents(state: SMCState) -> np.ndarray:
    return np.empty((len(state.spins), 0)) if state.latents is None else state.latents.numpy()


def log_mean_exp(values: np.ndarray) -> float:
    """Log of the mean of `exp(values)`, which pools the evidences of independent runs."""
    return float(np.logaddexp.reduce(values) - np.log(len(values)))


def _captured(runs: list[Run], log_evidence: np.ndarray, log_visited: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mass that each run visited as a share of the evidence, and its lower value, `[R]` each; NaN without evidence."""
    if np.isnan(log_evidence).any() or np.isnan(log_visited).any():
        return np.full(len(runs), np.nan), np.full(len(runs), np.nan)
    masses = np.concatenate([r.log_mass for r in runs])
    # the evidence is at least the mass of the union of all visited configurations
    union = np.logaddexp.reduce(masses[distinct(np.concatenate([r.visited for r in runs])).first])
    ratio = np.exp(log_evidence - log_evidence.max())
    error = ratio.std(ddof=1) / np.sqrt(len(ratio)) if len(ratio) > 1 else np.nan
    pooled, high = log_mean_exp(log_evidence), np.log(ratio.mean() + 2 * error) + log_evidence.max()
    return np.exp(log_visited - np.maximum(pooled, union)), np.exp(log_visited - np.maximum(high, union))


def _padded(stages: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """History by name, `[R, S]`, NaN after a run's last stage."""
    longest = max((len(values) for run in stages for values in run.values()), default=0)
    return {
        name: np.stack([np.pad(run[name], (0, longest - len(run[name])), constant_values=np.nan) for run in stages])
        for name in stages[0]
    }
