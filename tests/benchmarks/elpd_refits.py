"""Predictive densities of left-out blocks by importance sampling, beside the joint density without each block.

    PYTHONPATH=tests:tests/results python tests/benchmarks/elpd_refits.py [seed]

The data sets and the slow twin are those of tests/results/test_results_elpd.py.
"""

import sys

import numpy as np
from test_results_elpd import exact_elpd, rows, sampled

import bayespde as bp
from bayespde.core.slabs import GPriorSlab, HyperGSlab

SETS = {"strong": GPriorSlab(), "weak": GPriorSlab(), "collinear": HyperGSlab(nodes=4), "outlying": GPriorSlab()}


def main(seed):
    line = "| {:9} | {:>8} | {:>8} | {:>6} | {:>7} | {:>4} |\n"
    sys.stdout.write(line.format("data", "sampled", "exact", "se", "MC se", "k"))
    for kind, slab in SETS.items():
        design, target = rows(np.random.default_rng(seed), kind)
        model, posterior = sampled(design, target, slab, seed=seed)
        found, exact = bp.leave_block_out_elpd(posterior), exact_elpd(design, target, model).sum()
        numbers = [float(found["total"]), exact, float(found["total_se"])]
        errors = float(found["monte_carlo_se"]), float(found["pareto_k"].max())
        texts = [f"{v:.2f}" for v in numbers] + [f"{errors[0]:.3f}", f"{errors[1]:.2f}"]
        sys.stdout.write(line.format(kind, *texts))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
