"""Posterior -> agreement of the runs with each other, and with enumeration where it ran."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.monte_carlo import ancestor_shares
from bayespde.core.posterior import Posterior
from bayespde.core.sampled_spins import Sampled
from bayespde.results.arviz_bridge import r_hat_and_ess

STANDARD_ERRORS = 5.0
ALWAYS_DISAGREES = 0.5
FEWEST_DRAWS = 4


@validated
def between_run_diagnostics(posterior: Sampled) -> xr.Dataset:
    """Compare the runs' inclusion probabilities, spin by spin.

    A run whose particles descend from ancestors with shares f_i is worth, at worst, m = 1 / sum f_i^2 independent
    draws (the case of particles that never move), so its inclusion probability p has a standard error of at most about
    sqrt(p (1 - p) / m). Runs disagree where the largest and the
    smallest differ by more than five such errors of a difference, and in any case where they differ by more than 0.5:
    particles that are stuck on opposite sides descend from few ancestors, and few ancestors must not excuse them.
    Unlike R-hat, this is defined for a term that is always on.

    Args:
        posterior: What sampling returned, or a `SpinSMC` that has run.

    Returns:
        Over `term` (or `spin`): `spread` (largest minus smallest run), `standard_error` (`posterior.inclusion_error`),
        `tolerance`, `disagreement` (bool), `deviation` of the pooled Rao-Blackwell estimate from
        enumeration (NaN where it did not run); over `run, term`: `inclusion`; over `run`:
        `distinct_ancestors`, `log_evidence`, `log_evidence_deviation`.
    """
    found = posterior.sampled
    inclusion = np.asarray(found.estimates["rao_blackwell"], dtype=np.float64)
    shares = ancestor_shares(found.eve_index)
    pooled = inclusion.mean(axis=0)
    variance = np.maximum(pooled * (1 - pooled), 0.0)
    few = np.sort([1.0 / np.sum(f**2) for f in shares])[:2]
    tolerance = STANDARD_ERRORS * np.sqrt(variance * np.sum(1.0 / np.resize(few, 2)))
    tolerance = np.minimum(tolerance, ALWAYS_DISAGREES)
    spread, exact = np.ptp(inclusion, axis=0), found.exact_inclusion
    deviation = np.full(len(pooled), np.nan) if exact is None else found.run_weights @ inclusion - exact
    return xr.Dataset(
        {
            "inclusion": (("run", found.dim), inclusion),
            "spread": ((found.dim,), spread),
            "standard_error": ((found.dim,), found.inclusion_error.values),
            "tolerance": ((found.dim,), tolerance),
            "disagreement": ((found.dim,), (spread > tolerance) & (spread > 1e-12)),
            "deviation": ((found.dim,), deviation),
            "distinct_ancestors": (("run",), np.array([f.size for f in shares])),
            "log_evidence": (("run",), found.log_evidence),
            "log_evidence_deviation": (("run",), found.log_evidence - found.exact_log_evidence),
        },
        coords={found.dim: list(found.names), "run": np.arange(len(inclusion))},
        attrs={"estimator": "rao_blackwell", "standard_errors": STANDARD_ERRORS},
    )


def scalar_diagnostics(posterior: Sampled) -> xr.Dataset:
    """R-hat and effective sample size [vehtari2021] of quantities of particles: number of terms, log posterior, noise.

    Particles are in the order of their ancestors. R-hat, which splits every run, therefore also detects particles that
    depend on their ancestors, and effective sample sizes measure that dependence and not the number of particles.

    Where a quantity is the same for all particles of all runs, nothing can disagree: R-hat is 1 and the effective
    sample size NaN. Where every run is constant, and not all alike, R-hat is infinite.

    Args:
        posterior: What sampling returned, or a `SpinSMC` that has run.

    Returns:
        Over `quantity` (`model_size`, and the scalars such as `lp`, `noise_scale`): `r_hat`, `ess`; NaN for fewer than
        four particles.
    """
    sampled = posterior.sampled
    values = {"model_size": sampled.spins.sum(axis=-1).astype(np.float64), **sampled.scalars}
    found = np.array([convergence(v) for v in values.values()])
    return xr.Dataset(
        {"r_hat": (("quantity",), found[:, 0]), "ess": (("quantity",), found[:, 1])},
        coords={"quantity": list(values)},
    )


def convergence(values: np.ndarray) -> tuple[float, float]:
    """R-hat and effective sample size of `[R, P]`, where they are defined."""
    if len(values) < 2 or values.shape[1] < FEWEST_DRAWS:
        return np.nan, np.nan
    if np.ptp(values) == 0:
        return 1.0, np.nan
    if (np.ptp(values, axis=1) == 0).all():
        return np.inf, np.nan
    return r_hat_and_ess(values)


def squared_residual_per_row(posterior: Posterior) -> tuple[float, float]:
    """Squared residual per row of the least-squares fit of the most probable equation, and its expectation.

    On whitened rows of the weak form the expectation is the share of each row's variance that is noise of the video;
    the rest is the misfit floor, which a correct equation need not use. A residual well above the expectation means
    that the noise model or the equation is wrong.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        Found and expected, in units of the noise variance.
    """
    statistics = posterior.statistics
    best = posterior.configurations()[0][0]
    residual = float(statistics.block_residuals(statistics.least_squares(best)).sum())
    found = residual / max(statistics.rows - int(best.sum()), 1.0)
    if statistics.record.expected_residual is not None:
        return found, statistics.record.expected_residual
    return found / statistics.prior_variance, 1.0
