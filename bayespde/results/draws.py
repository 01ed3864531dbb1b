"""Posterior -> what its particles say of blocks of rows, as log densities and as replicates, and draws of the prior."""

from __future__ import annotations

import numpy as np

from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.posterior import Posterior

# Of the seeds of draws that are made on export.
EXPORT = 7


def block_log_likelihood(posterior: Posterior) -> np.ndarray:
    """Gaussian log-likelihood of each block at each particle's coefficients and noise scale, `[R, P, B]`."""
    statistics = posterior.statistics
    terms = posterior.coefficients.shape[-1]
    flat = posterior.coefficients.reshape(-1, terms)
    weights = np.column_stack([-flat, np.ones(len(flat))])
    squares = np.stack([np.sum((weights @ f.T) ** 2, axis=1) for f in statistics.factors], axis=-1)
    variance = posterior.noise_scale.reshape(-1, 1) ** 2
    log_density = -0.5 * (statistics.effective_rows * np.log(2 * np.pi * variance) + squares / variance)
    return (log_density + statistics.log_jacobian).reshape(*posterior.noise_scale.shape, -1)


def replicated_energy(posterior: Posterior) -> np.ndarray:
    """Sum of squares of the target of each block as every particle would make it anew, `[R, P, B]`.

    The counterpart of `observed_data`: of a block of n whitened rows, the factor keeps the K + 1 directions in which
    terms and target lie, and noise in the other n - K - 1 adds a chi-squared variable.
    """
    statistics, random = posterior.statistics, _generator(posterior, 2)
    shape, terms = posterior.noise_scale.shape, posterior.coefficients.shape[-1]
    noise = posterior.noise_scale.reshape(-1, 1)
    replicated = []
    for factor, rows in zip(statistics.factors, statistics.effective_rows, strict=True):
        # Fewer rows than columns leave rows of zeros, which have no noise.
        kept = min(terms + 1, round(rows))
        mean = posterior.coefficients.reshape(-1, terms) @ factor[:kept, :-1].T
        seen = mean + noise * random.standard_normal(mean.shape)
        unseen = random.chisquare(rows - kept, len(mean)) if rows > kept else 0.0
        replicated.append(np.sum(seen**2, axis=1) + noise[:, 0] ** 2 * unseen)
    return np.stack(replicated, axis=-1).reshape(*shape, -1)


def prior_spins(posterior: Posterior) -> np.ndarray:
    """As many draws of the spins from their prior as there are particles, `[R, P, K]`, bool."""
    prior = PairwiseSpins.from_record(posterior.provenance["prior"])
    return prior.from_uniform(_generator(posterior, 1).random(posterior.spins.shape))


def _generator(posterior: Posterior, stream: int) -> np.random.Generator:
    """Of draws that are made for the file: the same for the same posterior, another for each purpose."""
    seed = posterior.provenance.get("seed", 0)
    return np.random.default_rng([EXPORT, stream, seed if isinstance(seed, int) and seed >= 0 else 0])
