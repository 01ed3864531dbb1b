"""Simulation-based calibration of the spin model and of three programs -> how far ranks are from uniform.

    python tests/benchmarks/rank_calibration.py [--seed 0]

with `tests` in PYTHONPATH, writes for every quantity the p-value of the empirical distribution of its ranks: the share
of uniform samples whose smallest pointwise p-value, over all ranks, is as small [sailynoja2022]. The distribution lies
inside its simultaneous 99 % band where that is above .01.
"""

import argparse

import numpy as np
from scipy import stats
from statistical import checks, test_calibration, test_program_calibration

UNIFORM = 20000


def smallest(ranks, draws):
    """Smallest pointwise two-sided p-value of the empirical distribution at any rank, of samples `[N, n]`: `[N]`."""
    count = ranks.shape[1]
    bins = np.stack([np.bincount(row, minlength=draws + 1) for row in ranks])
    below = np.cumsum(bins, axis=1)[:, :draws]
    share = np.arange(1, draws + 1) / (draws + 1)
    two_sided = 2 * np.minimum(stats.binom.cdf(below, count, share), stats.binom.sf(below - 1, count, share))
    return two_sided.min(axis=1)


def simultaneous(ranks, draws, rng):
    """P-value of ranks `[n]` among 0 to `draws`."""
    uniform = rng.integers(0, draws + 1, size=(UNIFORM, len(ranks)))
    return np.mean(smallest(uniform, draws) <= smallest(ranks[None], draws))


def spin_model(seed):
    """Names of quantities, ranks `[n, Q]`, and the number of draws."""
    replicates = [test_calibration.simulate(s) for s in checks.statistical_seeds(seed, test_calibration.REPLICATES)]
    ranks = test_calibration.rank_all(replicates, test_calibration.sampled_spins)
    return test_calibration.QUANTITIES, ranks, test_calibration.DRAWS


def program(which, seed):
    """The same of a program."""
    seeds = checks.statistical_seeds(seed, test_program_calibration.REPLICATES)
    ranks = np.array([test_program_calibration.ranks_of(which, s) for s in seeds])
    return test_program_calibration.QUANTITIES[which], ranks, test_program_calibration.DRAWS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    seed, rng = parser.parse_args().seed, np.random.default_rng(0)
    measured = {"spin model": spin_model(seed)}
    measured |= {which.__name__: program(which, seed) for which in test_program_calibration.QUANTITIES}
    for name, (quantities, ranks, draws) in measured.items():
        for quantity, column in zip(quantities, ranks.T, strict=True):
            print(f"{name:16} {quantity:16} {len(column):4} {simultaneous(column, draws, rng):.3f}", flush=True)


if __name__ == "__main__":
    main()
