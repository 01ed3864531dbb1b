"""Results of the laboratory -> tables of what was claimed against what was true, and the reliability diagram."""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from laboratory.calibration import Calibration, Estimate, brier, calibration, log_score, mean_of
from laboratory.experiments import NOISE, draw
from laboratory.store import Store

EDGES = (0.0, 0.002, 0.01, 0.05, 0.2, 0.8, 0.98, 0.998, 1.01)

Results = dict[int, dict[str, Any]]


def claims(results: Results) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of all terms, whether these were true, and the experiments: `[n]` each."""
    seeds = list(results)
    terms = len(results[seeds[0]]["inclusion"])
    probability = np.concatenate([results[s]["inclusion"] for s in seeds])
    return probability, np.concatenate([draw(s).true for s in seeds]), np.repeat(seeds, terms)


def groups(results: Results) -> Iterator[tuple[str, Results]]:
    """Experiments by the kind of their noise, its level, whether a check of fit failed, what judged, and all."""
    conditions: dict[str, Callable[[int], bool]] = {k: lambda s, k=k: draw(s).kind == k for k in NOISE}
    for low, high in ((0.02, 0.06), (0.06, 0.17), (0.17, 0.5)):
        conditions[f"{low:.0%} to {high:.0%}"] = lambda s, a=low, b=high: a <= draw(s).level < b
    conditions["checks passed"] = lambda s: not results[s].get("failed", [])
    conditions["a check failed"] = lambda s: bool(results[s].get("failed", []))
    if any("kept" in r for r in results.values()):
        conditions["by pixels"] = lambda s: "kept" not in results[s]
        conditions["by rows"] = lambda s: "kept" in results[s]
    conditions["all"] = lambda _: True
    for name, holds in conditions.items():
        chosen = {s: r for s, r in results.items() if holds(s)}
        if chosen:
            yield name, chosen


def probabilities(results: Results) -> str:
    """Table of how good probabilities are, by group."""
    lines = [
        "| experiments | | Brier | log score | in the middle | excess | slope | best is right |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, some in groups(results):
        given = claims(some)
        found = calibration(*given)
        right = np.mean([set(r["best"]) == set(draw(s).truth) for s, r in some.items()])
        lines.append(
            f"| {name} | {len(some)} | {brier(*given)} | {log_score(*given)} | {found.count} | {found.excess} | "
            f"{found.slope} | {right:.2f} |"
        )
    return "\n".join(lines)


def counts(results: Results) -> str:
    """Table of how many terms of each range of probabilities were true, and how many should have been."""
    probability, truth, _ = claims(results)
    lines = ["| claimed | terms | expected | true |", "|---|---|---|---|"]
    for low, high in itertools.pairwise(EDGES):
        here = (probability >= low) & (probability < high)
        expected, true = probability[here].sum(), truth[here].sum()
        lines.append(f"| {low:g}-{min(high, 1):g} | {here.sum()} | {expected:.1f} | {true} |")
    return "\n".join(lines)


def intervals(rows: Results, refined: Results) -> str:
    """Table of the share of 90 % intervals that hold the true coefficient, given the true terms, by group."""
    lines = [
        "| experiments | rows, all | | by pixels | rows, the same | pixels | | pixels over rows, sd |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, some in groups({s: r for s, r in rows.items() if s in refined}):
        pixels = {s: refined[s] for s in some if "kept" not in refined[s]}
        same = {s: some[s] for s in pixels}
        ratio = np.median(np.concatenate([np.array(p["sd"]) / same[s]["sd"] for s, p in pixels.items()] or [[np.nan]]))
        shares = [_held(r) for r in (some, same, pixels)]
        lines.append(
            f"| {name} | {shares[0][0]} | {shares[0][1]} | {len(pixels)} | {shares[1][0]} | {shares[2][0]} | "
            f"{shares[2][1]} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def fates(refined: Results) -> str:
    """How many experiments were judged by pixels, and why the others were not; what it took."""
    kept = Counter(r["kept"].split(" at time ")[0] for r in refined.values() if "kept" in r)
    seconds = [r["seconds"] for r in refined.values()]
    lines = [f"{len(refined)} experiments, {len(refined) - sum(kept.values())} by pixels"]
    lines += [f"  {count} by rows: {why}" for why, count in kept.most_common()]
    return "\n".join([*lines, f"median {np.median(seconds):.0f} s with the rows, at most {max(seconds):.0f} s"])


def _held(results: Results) -> tuple[Estimate, int]:
    inside, experiment = [], []
    for seed, result in results.items():
        truth = np.array(list(draw(seed).truth.values()))
        inside += ((np.array(result["lower"]) <= truth) & (truth <= np.array(result["upper"]))).tolist()
        experiment += [seed] * len(truth)
    if not inside:
        return Estimate(np.nan, np.nan), 0
    return mean_of(np.array(inside, dtype=float), np.array(experiment)), len(inside)


def residuals(rows: Results) -> str:
    """Quantiles of the squared residual per row over what is expected, and of sandwich over stated errors."""
    lines = ["| experiments | squared residual per row: 10, 50, 90 % | sandwich over stated errors |", "|---|---|---|"]
    for name, some in groups(rows):
        chi2 = np.quantile([r["chi2"] for r in some.values()], [0.1, 0.5, 0.9])
        ratio = np.quantile(np.concatenate([r["sandwich"] for r in some.values()]), [0.1, 0.5, 0.9])
        lines.append(f"| {name} | {', '.join(f'{v:.2f}' for v in chi2)} | {', '.join(f'{v:.2f}' for v in ratio)} |")
    return "\n".join(lines)


def diagram(found: dict[str, Calibration]) -> plt.Figure:
    """Shares of true terms over the probabilities that were claimed, with two standard errors of independent terms."""
    figure, axes = plt.subplots(figsize=(5, 4.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    for name, one in found.items():
        claimed, true, count = one.bins.T
        error = 2 * np.sqrt(np.maximum(true * (1 - true), 0.25 / count) / count)
        axes.errorbar(claimed, true, yerr=error, fmt="o-", ms=4, lw=1, capsize=2, label=name)
    axes.set(xlabel="claimed probability", ylabel="share that was true", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, loc="upper left")
    return figure


def main(folder: Path, picture: Path | None) -> None:
    """Print all tables, and draw the diagram."""
    store = Store(folder)
    rows, bagging, refined = (store.results(m) for m in ("rows", "bagging", "refined"))
    for name, results in (("rows", rows), ("pixels where they are trusted, else rows", refined)):
        if results:
            print(f"{name}\n{probabilities(results)}\n\n{counts(results)}\n")
            print(f"checks passed\n{counts({s: r for s, r in results.items() if not r['failed']})}\n")
    if bagging:
        given = claims(bagging)
        print(f"bagging: {len(bagging)} experiments, Brier {brier(*given)}, log score {log_score(*given)}\n")
    if refined:
        print(f"{intervals(rows, refined)}\n\n{fates(refined)}\n")
    print(residuals(rows))
    if picture is not None:
        all_of_them = {"by pixels or rows": refined, "by rows": rows, "bagged SINDy": bagging}
        diagram({k: calibration(*claims(r)) for k, r in all_of_them.items() if r}).savefig(picture, dpi=130)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    main(given.folder, given.picture)
