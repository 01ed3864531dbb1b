"""The last two fifths of videos, forecast from the first three: errors, reference forecasts, coverage.

OMP_NUM_THREADS=1 python tests/benchmarks/forecast_skill.py burgers ks allen_cahn --seeds 2
"""

import argparse
import json
import sys
import time

import numpy as np
import smoothing_sets

import bayespde as bp

SHARE, NOISE = 0.6, 0.1


def integrate_ensemble(name, seed):
    """Discover on the first frames of a noisy field; compare the prediction with the clean rest."""
    clean, _ = smoothing_sets.clean(name)
    held = clean.sizes["time"] - round(SHARE * clean.sizes["time"])
    start = time.process_time()
    found = bp.discover(bp.add_noise(clean, NOISE, seed=seed), holdout_frames=held, seed=seed)
    discovered = time.process_time() - start
    prediction, noisy = found.forecast_holdout(seed=seed)
    rest = clean.isel(time=slice(-held, None))
    before = found.smooth.field.copy(data=found.smooth.evaluate((0,) * clean.ndim))
    scores = bp.verify_forecast(prediction, rest, before=before, is_noisy=False)
    total = {n: float(np.sqrt((scores[n] ** 2).mean())) for n in ("rmse", "persistence", "constant_velocity")}
    return {
        "data": name,
        "seed": seed,
        "law": str(found.best()),
        "by": found.posterior.likelihood.kind,
        **total,
        "ratio": total["persistence"] / total["rmse"],
        "least_ratio": float((scores["persistence"] / scores["rmse"]).min()),
        "coverage": [round(float(v), 3) for v in scores["coverage"][:: max(1, held // 6)]],
        "coverage_noisy": float(noisy["coverage"].mean()),
        "ended": prediction.attrs["fraction_diverged"],
        "points": prediction.attrs["integrated_at"],
        "seconds": [round(discovered, 1), round(time.process_time() - start - discovered, 1)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    arguments = parser.parse_args()
    for name in arguments.names:
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            sys.stdout.write(json.dumps(integrate_ensemble(name, seed)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
