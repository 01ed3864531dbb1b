"""Strength and seed -> a posterior in which something is wrong, for the power of `bayespde.diagnose`.

Rows are drawn from the model itself: what is wrong is only what was planted.
"""

from dataclasses import replace

import numpy as np
import small_problem
from scipy.ndimage import gaussian_filter1d

import bayespde as bp

TERMS = ("u", "u**2", "u**3", "u_x", "u*u_x", "u_xx", "u*u_xx", "u_xxx")
SAMPLER = bp.SMCConfig(particles=512)
ROWS, BLOCKS = 480, 24
# A library that a handful of particles cannot explore: so many pairs of columns of which either will do.
PAIRS = 8


def design_and_target(rng, rows=ROWS):
    """Normal columns, loud in some places, two to four true terms of various sizes."""
    terms = len(TERMS)
    design = np.exp(0.5 * rng.standard_normal((rows, 1))) * rng.standard_normal((rows, terms))
    on = rng.choice(terms, rng.integers(2, 5), replace=False)
    coefficients = np.zeros(terms)
    coefficients[on] = rng.choice([-1, 1], len(on)) * np.exp(rng.uniform(np.log(0.05), 0, len(on)))
    return design, design @ coefficients + rng.standard_normal(rows)


def sampled(design, target, seed, *, names=TERMS, config=SAMPLER):
    library = bp.Library.from_strings(list(names))
    statistics = bp.SufficientStatistics.from_rows(
        design, target, names=library.names, blocks=BLOCKS, target_name="u_t"
    )
    return bp.sample(bp.SpinModel(statistics, library), config=config, seed=seed)


def healthy(seed):
    """Nothing is wrong."""
    return sampled(*design_and_target(np.random.default_rng([0, seed])), seed)


def frozen_runs(share, seed):
    """A share of the particles is frozen with one spin up in every other run, and down in the others."""
    posterior, rng = healthy(seed), np.random.default_rng([1, seed])
    term, held = rng.integers(len(TERMS)), int(share * SAMPLER.particles)
    up = (np.arange(SAMPLER.runs) % 2).astype(bool)
    spins, ancestors = posterior.spins.copy(), posterior.eve_index.copy()
    spins[:, :held, term], ancestors[:, :held] = up[:, None], ancestors[:, :1]
    inclusion = posterior.estimates["rao_blackwell"].copy()
    inclusion[:, term] = (1 - share) * inclusion[:, term] + share * up
    estimates = {**posterior.estimates, "rao_blackwell": inclusion, "frequency": spins.mean(axis=1)}
    return replace(posterior, spins=spins, eve_index=ancestors, estimates=estimates)


def few_particles(particles, seed):
    """Pairs of columns, of which either will do, and particles that cannot see all combinations."""
    rng = np.random.default_rng([2, seed])
    base = rng.standard_normal((ROWS, PAIRS))
    design = np.hstack([base, base + 0.15 * rng.standard_normal(base.shape)])
    names = [f"u**{k + 1}*{derivative}" for derivative in ("u_x", "u_xx") for k in range(PAIRS)]
    target = 0.4 * base.sum(axis=1) + rng.standard_normal(ROWS)
    config = bp.SMCConfig(particles=int(particles), pilot_fraction=0, final_passes=1, max_passes=1, swaps=0)
    return sampled(design, target, seed, names=names, config=config)


def near_duplicates(distance, seed):
    """A true column has a twin that differs by so much, relative to its size."""
    rng = np.random.default_rng([3, seed])
    design, _ = design_and_target(rng)
    design[:, 1] = design[:, 0] + distance * np.linalg.norm(design[:, 0]) / np.sqrt(ROWS) * rng.standard_normal(ROWS)
    return sampled(design, 0.5 * design[:, 0] - 0.3 * design[:, 3] + rng.standard_normal(ROWS), seed)


def noise_taken_as_white(width, seed):
    """A video whose noise hangs together over so many pixels, and rows that take it for white."""
    field, rng = small_problem.video(), np.random.default_rng([4, seed])
    noise = gaussian_filter1d(rng.standard_normal(field.shape), width, axis=1, mode="wrap")
    noisy = field.copy(data=field.values + 0.05 * float(field.std()) * noise / noise.std())
    config = replace(small_problem.CONFIG, form=bp.WeakForm(noise="white"))
    return small_problem.discover(noisy, config=config, seed=seed).posterior


def too_much_power(repeats, seed):
    """Every row is there so many times, and counts each time."""
    design, target = design_and_target(np.random.default_rng([5, seed]), rows=ROWS // repeats)
    return sampled(np.repeat(design, repeats, axis=0), np.repeat(target, repeats), seed)


# The last strength of each is one at which it hardly matters any more.
PLANTED = {
    frozen_runs: (0.8, 0.3, 0.1),
    few_particles: (8, 32, 128),
    near_duplicates: (0.01, 0.05, 0.2),
    noise_taken_as_white: (1.0, 0.5, 0.35),
    too_much_power: (8, 4, 2),
}
