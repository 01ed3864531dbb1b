"""Processor seconds and errors of default runs on targets whose answer is known: a row each, medians over seeds.

    PYTHONPATH=tests:tests/stages python tests/benchmarks/known_targets.py --seeds 20 --data FOLDER

Small targets are compared with enumeration, larger ones with the mean of all runs. With another version of the package
first on the path the same rows are measured there, so that two versions can be compared on one machine.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import targets
import torch

from bayespde.smc import SMCConfig, enumerate_exact, run_all

NAMES = (*targets.SMALL, "hard16", "ac2d_50", "ac2d_110", "ac2d_209")
ENUMERABLE = 26


def measure(name, *, seeds, data_folder):
    """Median processor seconds and largest inclusion error, and the spread of log evidence between seeds."""
    model = targets.model(name, data_folder=data_folder)
    run_all(model, config=SMCConfig(particles=64), seed=0)
    inclusion, evidence, seconds = [], [], []
    for seed in range(seeds):
        start = time.process_time()
        runs = run_all(model, config=SMCConfig(workers=1), seed=seed)
        seconds.append(time.process_time() - start)
        inclusion.append(runs.estimates["rao_blackwell"].mean(axis=0))
        evidence.append(np.logaddexp.reduce(runs.log_evidence) - np.log(len(runs.log_evidence)))
    truth = enumerate_exact(model).inclusion_probability if model.terms <= ENUMERABLE else np.mean(inclusion, axis=0)
    errors = np.abs(np.array(inclusion) - truth).max(axis=1)
    return np.median(seconds), np.median(errors), errors.max(), np.std(evidence, ddof=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--data", type=Path, help="folder of the benchmark files, for the phase-field targets")
    parser.add_argument("--names", default=",".join(NAMES))
    settings = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'target':<18}{'CPU s':>8}{'median error':>14}{'worst':>8}{'sd of log evidence':>20}")
    for name in settings.names.split(","):
        if name.startswith("seed20") and settings.data is None:
            continue
        seconds, median, worst, spread = measure(name, seeds=settings.seeds, data_folder=settings.data)
        print(f"{name:<18}{seconds:8.2f}{median:14.4f}{worst:8.4f}{spread:20.3f}", flush=True)


if __name__ == "__main__":
    main()
