"""Several posteriors of the same rows -> log evidence with its Monte Carlo error, and log Bayes factors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior


def compare(posteriors: Mapping[str, Posterior]) -> xr.Dataset:
    """Compare libraries or priors by evidence, on identical rows only.

    Args:
        posteriors: Posteriors by name.

    Returns:
        Over `model`, best first: `log_evidence`, `log_evidence_error` (Monte Carlo; 0 where enumeration
        ran, NaN for a single run); over `model, against`: `log_bayes_factor`, positive where `model` is
        favoured.

    Raises:
        StatisticsError: If nothing is given, or the posteriors saw other rows, another target or another
            power, or one has no evidence.
    """
    if not posteriors:
        raise StatisticsError(
            "There is nothing to compare.",
            got="no posteriors",
            wanted="one or more",
            fix="compare({'a': a, 'b': b})",
        )
    rows = {n: (p.statistics.target_hash, p.statistics.power) for n, p in posteriors.items()}
    if len(set(rows.values())) > 1 or (len(rows) > 1 and any(not key for key, _ in rows.values())):
        raise StatisticsError(
            "Evidence compares models of identical rows only.",
            got=", ".join(f"{n}: rows {key or 'unknown'}, power {power:g}" for n, (key, power) in rows.items()),
            wanted="the same hash of the target and the same power",
            fix="assemble the union of the libraries once and give each model statistics.select(library.names)",
        )
    evidence = np.array([p.log_evidence_pooled for p in posteriors.values()])
    if np.isnan(evidence).any():
        raise StatisticsError(
            "A posterior has no evidence.",
            got=", ".join(n for n, value in zip(posteriors, evidence, strict=True) if np.isnan(value)),
            wanted="posteriors from method='smc' or method='exact'",
            fix="sample(model, method='smc')",
        )
    errors = np.array([log_evidence_error(p) for p in posteriors.values()])
    order = np.argsort(-evidence, kind="stable")
    names = [list(posteriors)[i] for i in order]
    evidence, errors = evidence[order], errors[order]
    return xr.Dataset(
        {
            "log_evidence": (("model",), evidence),
            "log_evidence_error": (("model",), errors),
            "log_bayes_factor": (("model", "against"), evidence[:, None] - evidence),
        },
        coords={"model": names, "against": names},
        attrs={"target_hash": next(iter(rows.values()))[0], "power": next(iter(rows.values()))[1]},
    )


def log_evidence_error(posterior: Posterior, *, sampled: bool = False) -> float:
    """Monte Carlo standard error of the pooled log evidence, from the spread between runs; 0 where exact.

    With `sampled` that of the runs even where enumeration makes it of no consequence.
    """
    if posterior.exact is not None and not sampled:
        return 0.0
    values = np.exp(posterior.log_evidence - posterior.log_evidence.max())
    if len(values) < 2:
        return float("nan")
    return float(values.std(ddof=1) / values.mean() / np.sqrt(len(values)))
