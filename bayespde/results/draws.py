"""Posterior -> draws of its equations and prior; log densities and replicates of blocks of rows by its particles."""

from __future__ import annotations

import numpy as np

from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.posterior import Posterior

# First number of the seeds of draws that are made on export.
EXPORT = 7


def draw_equations(posterior: Posterior, draws: int, random: np.random.Generator) -> np.ndarray:
    """Coefficients of equations drawn from a posterior.

    Where all configurations were enumerated it is known how probable each is, whatever the particles say: one is drawn,
    and then a particle of it. If there is none its coefficients are normal, with least-squares mean, the limit of a
    vague slab and many rows. Else particles are drawn, runs by their weights.

    Args:
        posterior: Over equations.
        draws: How many.
        random: Source of randomness.

    Returns:
        `[draws, K]`, float64, physical units; 0 where a draw lacks a term.
    """
    runs, particles, terms = posterior.coefficients.shape
    weight = np.repeat(posterior.run_weights / particles, particles)
    coefficients = posterior.coefficients.reshape(-1, terms)
    if posterior.exact is None:
        chosen = random.choice(runs * particles, size=draws, p=weight / weight.sum())
        return np.asarray(coefficients[chosen])
    spins, probability = posterior.configurations()
    counts = random.multinomial(draws, probability / probability.sum())
    every, found = posterior.spins.reshape(-1, terms), []
    for row in np.flatnonzero(counts):
        same = np.flatnonzero((every == spins[row]).all(axis=1))
        if len(same):
            found.append(coefficients[random.choice(same, size=counts[row])])
        else:
            found.append(_normal(posterior, spins[row], int(counts[row]), random))
    return np.asarray(random.permutation(np.concatenate(found)))


def _normal(posterior: Posterior, on: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """Coefficients of one configuration, `[draws, K]`, with the noise that the particles have."""
    drawn = np.zeros((draws, len(on)))
    if not on.any():
        return drawn
    mean, noise = posterior.statistics.least_squares(on)[on], float(np.median(posterior.noise_scale))
    drawn[:, on] = mean + noise * CoefficientPosterior.of(posterior.statistics, on).deviations(draws, random)
    return drawn


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
    """Sum of squares of the target of each block, replicated by every particle, `[R, P, B]`.

    The counterpart of `observed_data`: of a block of n whitened rows, the factor keeps the K + 1 directions in which
    terms and target lie, and noise in the other n - K - 1 adds a chi-squared variable.
    """
    statistics, random = posterior.statistics, _generator(posterior, 2)
    shape, terms = posterior.noise_scale.shape, posterior.coefficients.shape[-1]
    noise = posterior.noise_scale.reshape(-1, 1)
    replicated = []
    for factor, rows in zip(statistics.factors, statistics.effective_rows, strict=True):
        # With fewer rows than columns the factor has rows of zeros, which have no noise.
        kept = min(terms + 1, round(rows))
        mean = posterior.coefficients.reshape(-1, terms) @ factor[:kept, :-1].T
        inside = mean + noise * random.standard_normal(mean.shape)
        outside = random.chisquare(rows - kept, len(mean)) if rows > kept else 0.0
        replicated.append(np.sum(inside**2, axis=1) + noise[:, 0] ** 2 * outside)
    return np.stack(replicated, axis=-1).reshape(*shape, -1)


def prior_spins(posterior: Posterior) -> np.ndarray:
    """Draws of the spins from their prior, as many as there are particles, `[R, P, K]`, bool."""
    return posterior.known_prior().from_uniform(_generator(posterior, 1).random(posterior.spins.shape))


def _generator(posterior: Posterior, stream: int) -> np.random.Generator:
    """Generator of the draws made on export: the same for the same posterior, another one for each stream."""
    seed = posterior.provenance.get("seed", posterior.sampling.seed)
    return np.random.default_rng([EXPORT, stream, seed if isinstance(seed, int) and seed >= 0 else 0])
