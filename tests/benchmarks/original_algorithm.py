"""Rows -> proposals per second of the algorithm that this package grew out of, written anew in its own words.

One walker of its spin sampler [seedrepo2020]: a proposal flips one random spin, refits the chosen columns on all rows
by least squares, takes the mean Gaussian log likelihood of the residuals, and is accepted by Metropolis' rule. It is an
anchor for speed alone: its cost grows with the number of rows, where ours does not. The original also copies its data
with every proposal and refits on three or four folds; both are left out here, in its favour.
"""

import time
from dataclasses import dataclass

import numpy as np


@dataclass
class Walker:
    """A configuration and its log probability.

    Attributes:
        design: `[n, K]`, float64.
        target: `[n]`, float64.
        cost: Of each term, `[K]`, in the prior `exp(-cost)`.
        spins: `[K]`, bool.
        temperature: Exponent of the likelihood.
    """

    design: np.ndarray
    target: np.ndarray
    cost: np.ndarray
    spins: np.ndarray
    temperature: float = 1.0

    def __post_init__(self):
        self.log_probability = self.log_posterior(self.spins)

    def log_posterior(self, spins):
        """Mean log likelihood of a least-squares refit at the residual variance, to a power, and log prior."""
        on = np.flatnonzero(spins)
        residual = self.target
        if on.size:
            chosen = self.design[:, on]
            residual = self.target - chosen @ np.linalg.lstsq(chosen, self.target, rcond=None)[0]
        variance = np.mean(residual**2)
        return -0.5 * self.temperature * (np.log(2 * np.pi * variance) + 1) - self.cost @ spins

    def propose(self, rng):
        """Flip one random spin, or stay: whether it was flipped."""
        spins = self.spins.copy()
        spins[rng.integers(len(spins))] ^= True
        log_probability = self.log_posterior(spins)
        if np.log(rng.random()) >= log_probability - self.log_probability:
            return False
        self.spins, self.log_probability = spins, log_probability
        return True


def proposals_per_second(design, target, cost, *, start, seconds=3.0, seed=0, temperature=1000.0):
    """Rate of proposals per processor second (other work does not count against it), and the mean number of terms.

    The walker starts at `start` (`[K]`, bool): the original's hot start has half of all terms up and is far slower.
    """
    rng = np.random.default_rng(seed)
    walker = Walker(design, target, np.asarray(cost), np.array(start), temperature)
    sizes, begin = [], time.process_time()
    while time.process_time() - begin < seconds:
        walker.propose(rng)
        sizes.append(walker.spins.sum())
    return len(sizes) / (time.process_time() - begin), float(np.mean(sizes))
