"""Problem file -> inclusion probabilities by a chain of flips and swaps that remembers every model: BAS's MCMC anew.

    python run_flips_and_swaps.py problem.npz answer.json --iterations 200000 --seeds 0 1 2

BAS [clyde2011] is not in the package registries of Python or Debian. This stand-in has the algorithm of its
`method="MCMC"` in our own words: half of all proposals flip one random term, half swap a random term that is in for one
that is out; a new model is factored from its Gram matrix, an old one is looked up. It does nothing else per model (BAS
also keeps coefficients, and R's objects), so that it is an anchor at least as fast. It needs numba.
"""

# ruff: noqa: NPY002  compiled code has no other random numbers than numba's own version of numpy's global state
import argparse
import json
import math
import time

import numba
import numpy as np
from problem import read


@numba.njit(cache=False)
def log_posterior(spins, gram, rows, log_odds, g, ridge, offset):
    """Log posterior of a configuration up to a constant, by Cholesky rows of its Gram matrix with the target last."""
    terms = len(spins)
    on = np.empty(terms + 1, np.int64)
    size, prior = 0, 0.0
    for j in range(terms):
        if spins[j]:
            on[size] = j
            size += 1
            prior += log_odds[j]
    on[size] = terms
    factor = np.empty((size + 1, size))
    log_volume = 0.0
    for a in range(size + 1):
        for b in range(min(a + 1, size)):
            total = gram[on[a], on[b]]
            for c in range(b):
                total -= factor[a, c] * factor[b, c]
            if a > b:
                factor[a, b] = total / factor[b, b]
                continue
            total += ridge
            if total < 1e-10:
                return -np.inf
            factor[a, a] = math.sqrt(total)
            log_volume += math.log(total)
    fitted = np.sum(factor[size] ** 2)
    volume = log_volume - size * math.log(ridge) if ridge > 0 else size * math.log1p(g)
    return prior - 0.5 * volume - 0.5 * rows * math.log(offset + gram[terms, terms] - fitted / (1 + 1 / g))


@numba.njit
def chain(gram, rows, log_odds, g, ridge, offset, start, keys, iterations, slots):
    """Visits and log posteriors by slot of the table, a slot per model; and the number of models factored."""
    terms = len(start)
    spins = start.copy()
    words = (terms + 63) // 64
    table_key = np.zeros(slots, np.uint64)
    table_log = np.full(slots, np.nan)
    table_bits = np.zeros((slots, words), np.uint64)
    visits = np.zeros(slots, np.int64)
    key = np.uint64(0)
    for j in range(terms):
        if spins[j]:
            key ^= keys[j]
    factored, here, log_here = 0, -1, -np.inf
    for step in range(iterations + 1):
        first = second = -1
        size = spins.sum()
        if step > 0:
            first = np.random.randint(terms)
            if size > 0 and size < terms and np.random.random() < 0.5:
                while not spins[first]:
                    first = np.random.randint(terms)
                second = np.random.randint(terms)
                while spins[second]:
                    second = np.random.randint(terms)
            spins[first] = not spins[first]
            key ^= keys[first]
            if second >= 0:
                spins[second] = not spins[second]
                key ^= keys[second]
        slot = np.int64(key % np.uint64(slots))
        while not np.isnan(table_log[slot]) and table_key[slot] != key:
            slot = (slot + 1) % slots
        if np.isnan(table_log[slot]):
            table_key[slot] = key
            table_log[slot] = log_posterior(spins, gram, rows, log_odds, g, ridge, offset)
            for j in range(terms):
                if spins[j]:
                    table_bits[slot, j // 64] |= np.uint64(1) << np.uint64(j % 64)
            factored += 1
            if factored > 0.8 * slots:
                break
        if step == 0 or math.log(np.random.random()) < table_log[slot] - log_here:
            here, log_here = slot, table_log[slot]
        else:
            spins[first] = not spins[first]
            key ^= keys[first]
            if second >= 0:
                spins[second] = not spins[second]
                key ^= keys[second]
        visits[here] += 1
    return visits, table_log, table_bits, factored


@numba.njit
def average(weight, bits, terms):
    """Weighted mean of the spins of all slots, those without a model having weight nan or 0."""
    total, answer = 0.0, np.zeros(terms)
    for slot in range(len(weight)):
        if weight[slot] > 0:
            total += weight[slot]
            for j in range(terms):
                if bits[slot, j // 64] >> np.uint64(j % 64) & np.uint64(1):
                    answer[j] += weight[slot]
    return answer / total


@numba.njit
def reseed(seed):
    """Set the state of numba's random numbers."""
    np.random.seed(seed)


def sample(problem, *, iterations, seed, slots, full):
    """One chain: inclusion probabilities by visits and by renormalising over the models seen."""
    random = np.random.default_rng(seed)
    reseed(seed)
    both = np.column_stack([problem.design, problem.target])
    start, cpu = time.perf_counter(), time.process_time()
    gram = both.T @ both
    terms = len(problem.log_odds)
    settings = (problem.rows + problem.prior_rows, problem.log_odds, problem.g, problem.ridge)
    offset = problem.prior_rows * problem.prior_variance
    keys = random.integers(2**63, size=terms).astype(np.uint64)
    spins = np.full(terms, full)
    visits, log_mass, bits, factored = chain(gram, *settings, offset, spins, keys, iterations, slots)
    weight = np.exp(log_mass - np.nanmax(log_mass))
    return {
        "inclusion": problem.in_library_order(average(visits.astype(float), bits, terms)).tolist(),
        "renormalised": problem.in_library_order(average(weight, bits, terms)).tolist(),
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - cpu,
        "steps": int(visits.sum()),
        "models": int(factored),
        "seed": seed,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("problem")
    parser.add_argument("answer")
    parser.add_argument("--iterations", type=int, default=200000)
    parser.add_argument("--slots", type=int, default=2**20)
    parser.add_argument("--full", action="store_true", help="start from all terms instead of none")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    problem = read(options.problem)
    settings = {"slots": options.slots, "full": options.full}
    sample(problem, iterations=10, seed=0, **settings | {"slots": 64})  # compiles
    answers = [sample(problem, iterations=options.iterations, seed=s, **settings) for s in options.seeds]
    with open(options.answer, "w") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main()
