"""A posterior -> draws of its equations, right also where its particles are not."""

from __future__ import annotations

import numpy as np

from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.posterior import Posterior


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
