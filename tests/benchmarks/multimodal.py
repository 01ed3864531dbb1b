"""Names of posteriors with several modes -> targets with exact answers: the sampler must lose none of the modes.

    python tests/benchmarks/multimodal.py [--seeds 20] [--names ising14_0 ...] [--settings particles=4096]

with `tests` in PYTHONPATH, writes a row for each: CPU seconds of one thread, how often the largest error of an
inclusion probability is within 0.02, its median and largest value, the largest error in stated standard errors, and
the same of the log evidence.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from oracles import TableTarget, all_spins, hard16, ising, random_rows

from bayespde.core.monte_carlo import evidence_error, evidence_weights, inclusion_error
from bayespde.core.slabs import GPriorSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model.prior import Prior
from bayespde.model.spin import SpinModel
from bayespde.smc import SMCConfig, enumerate_exact, run_all
from bayespde.smc.collect import log_mean_exp


def exchange():
    """Two terms stand for two others."""
    statistics, slab = hard16(np.random.default_rng(12), rows=30000)
    return SpinModel(statistics, prior=Prior(slab=slab))


def duplicated(spread, pairs=4, terms=14):
    """Columns of which some are others, but for a share `spread` of noise."""
    rng = np.random.default_rng(7)
    design, target = random_rows(rng, 200, terms, noise=0.3, mixing=0.2, truth=3)
    design[:, -pairs:] = design[:, :pairs] + spread * rng.normal(size=(200, pairs))
    return SpinModel(SufficientStatistics.from_rows(design, target), prior=Prior(slab=GPriorSlab()))


def two_laws(each, terms=16, deviation=0.004):
    """A signal that is the sum of `each` columns, and nearly also of as many others."""
    rng, rows = np.random.default_rng(3), 4000
    design = rng.normal(size=(rows, terms))
    signal = design[:, :each].sum(axis=1)
    others = design[:, each : 2 * each]
    others[:, -1] = signal - others[:, :-1].sum(axis=1) + deviation * rng.normal(size=rows)
    target = signal + 0.3 * rng.normal(size=rows)
    return SpinModel(SufficientStatistics.from_rows(design, target), prior=Prior(slab=GPriorSlab()))


TARGETS: dict[str, Callable] = {
    **{
        f"ising{terms}_{seed}": partial(ising, terms, seed)
        for terms, seed in ((12, 10), (14, 3), (14, 12), (16, 3), (16, 9), (18, 0))
    },
    "exchange": exchange,
    "duplicated": partial(duplicated, 0.0),
    "near_duplicated": partial(duplicated, 0.05),
    "two_laws": partial(two_laws, 4),
}


def truth_of(target):
    """Exact log evidence and inclusion probabilities."""
    if isinstance(target, TableTarget):
        mass = target.log_mass
        log_evidence = np.logaddexp.reduce(mass)
        return log_evidence, np.exp(mass - log_evidence) @ all_spins(target.terms)
    exact = enumerate_exact(target)
    return exact.log_evidence, exact.inclusion_probability


def measure(name, *, seeds=20, config=None):
    """The row of a target."""
    target, config = TARGETS[name](), config or SMCConfig()
    log_evidence, inclusion = truth_of(target)
    run_all(target, config=SMCConfig(particles=64, runs=1), seed=0)
    errors, scores, evidence, seconds = [], [], [], []
    for seed in range(seeds):
        started = time.process_time()
        found = run_all(target, config=config, seed=seed)
        seconds.append(time.process_time() - started)
        weights = evidence_weights(found.log_evidence)
        error = weights @ found.estimates["rao_blackwell"] - inclusion
        particles = found.spins.shape[1]
        stated = inclusion_error(found.estimates["rao_blackwell"], found.inclusion_variance, weights, particles)
        errors.append(np.abs(error).max())
        scores.append(np.abs(error / stated).max())
        evidence.append(
            (log_mean_exp(found.log_evidence) - log_evidence) / evidence_error(found.log_evidence, found.eve_index)
        )
    return {
        "name": name,
        "cpu_seconds": float(np.median(seconds)),
        "within": int((np.array(errors) <= 0.02).sum()),
        "median_error": float(np.median(errors)),
        "largest_error": float(np.max(errors)),
        "largest_score": float(np.max(scores)),
        "evidence_scores_within_3": int((np.abs(evidence) <= 3).sum()),
        "largest_evidence_score": float(np.abs(evidence).max()),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--names", nargs="*", default=list(TARGETS))
    parser.add_argument("--settings", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = {key: json.loads(value) for key, _, value in (text.partition("=") for text in options.settings)}
    for name in options.names:
        row = measure(name, seeds=options.seeds, config=SMCConfig(**settings))
        print("  ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True)


if __name__ == "__main__":
    main()
