"""Programs with binary and continuous latents, default settings -> errors against quadrature.

    python tests/benchmarks/continuous_latents.py [--seeds 20]

with `tests` and `tests/stages` in PYTHONPATH, writes for a mixture of 20 points and a regression of 20 rows on 8
columns: CPU seconds of one thread, how often the largest error of an inclusion probability is within 0.02, its median
and largest value, the largest error of a mean in stated standard errors, and the same of the log evidence.
"""

import argparse
import time

import numpy as np
import test_stages_spin_smc_joint as programs
import torch

import bayespde as bp


def mixture():
    """The program, its arguments and the reference."""
    data = programs.mixture_data(20)
    return programs.mixture, (data,), programs.mixture_reference(data)


def spike_and_slab():
    """The same."""
    data = programs.regression(np.random.default_rng(3), rows=20, terms=8)
    return programs.spike_and_slab, tuple(map(torch.as_tensor, data)), programs.regression_reference(*data)


def measure(case, seeds):
    """The row of a program."""
    program, arguments, (inclusion, means, log_evidence) = case()
    rows = []
    for seed in range(seeds):
        started = time.process_time()
        smc = bp.SpinSMC(program, seed=seed).run(*arguments)
        seconds, table = time.process_time() - started, smc.summary()
        errors = np.abs(smc.inclusion_probability.values - inclusion).max()
        scores = np.abs((table["mean"].values - means) / table["mean_error"].values).max()
        evidence = abs(smc.log_evidence - log_evidence) / table.attrs["log_evidence_error"]
        rows.append((seconds, errors, scores, evidence))
    seconds, errors, scores, evidence = np.array(rows).T
    print(
        f"{case.__name__:15} cpu_seconds={np.median(seconds):.1f} within={np.sum(errors <= 0.02)} of {seeds} "
        f"median_error={np.median(errors):.4f} largest_error={errors.max():.4f} largest_score={scores.max():.2f} "
        f"scores_beyond_3={np.sum(scores > 3)} largest_evidence_score={evidence.max():.2f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for case in (mixture, spike_and_slab):
        measure(case, options.seeds)


if __name__ == "__main__":
    main()
