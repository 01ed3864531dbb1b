"""Posteriors of the same rows -> evidence and Bayes factors, predictive densities and stacking weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import xarray as xr

from bayespde.core.annotations import MadeBy
from bayespde.core.checked import validated
from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.arviz_bridge import stacking_weights
from bayespde.results.draws import block_log_likelihood
from bayespde.results.elpd import leave_block_out_elpd

# Difference of predictive densities, in nats, that is worth a remark.
LEAST = 1.0
COLUMNS = (
    "elpd",
    "elpd_difference",
    "elpd_difference_se",
    "elpd_monte_carlo_se",
    "unreliable_blocks",
    "stacking_weight",
)


@validated
def compare(posteriors: Mapping[str, Posterior]) -> xr.Dataset:
    """Compare libraries or priors on identical rows, by evidence and by predictive densities of left-out blocks.

    Evidence measures how well a model with its prior predicts all rows; the predictive density
    (`leave_block_out_elpd`) how well it predicts a block given the others. Where the two disagree, the prior is the
    reason: evidence penalises every candidate term, the predictive density hardly does.

    Args:
        posteriors: Posteriors by name.

    Returns:
        Over `model`, highest evidence first: `log_evidence`, `log_evidence_error` (Monte Carlo; 0 where enumeration
        ran, NaN for a single run); `elpd`, `elpd_difference` from the best predictor and its standard error
        `elpd_difference_se` over blocks, `elpd_monte_carlo_se`, `unreliable_blocks`, and `stacking_weight` [yao2018],
        all NaN where rows were tempered, or cut into other blocks; over `model, against`: `log_bayes_factor`, positive
        where `model` is favoured.

    Raises:
        StatisticsError: If nothing is given, the posteriors are of different rows, targets or powers, or one has no
            evidence.
    """
    identity = _check_same_rows(posteriors)
    evidence = np.array([p.log_evidence_pooled for p in posteriors.values()])
    if np.isnan(evidence).any():
        raise StatisticsError(
            "A posterior has no evidence.",
            got=", ".join(n for n, value in zip(posteriors, evidence, strict=True) if np.isnan(value)),
            wanted="posteriors from method='smc' or method='exact'",
            fix="sample(model, method='smc')",
        )
    errors = np.array([log_evidence_error(p) for p in posteriors.values()])
    variables = {"log_evidence": evidence, "log_evidence_error": errors} | _predictive(posteriors)
    order = np.argsort(-evidence, kind="stable")
    names, evidence = [list(posteriors)[i] for i in order], evidence[order]
    return xr.Dataset(
        {
            **{name: (("model",), values[order]) for name, values in variables.items()},
            "log_bayes_factor": (("model", "against"), evidence[:, None] - evidence),
        },
        coords={"model": names, "against": names},
        attrs=identity,
    )


@validated
def format_comparison(
    table: Annotated[xr.Dataset, MadeBy("bayespde.compare(posteriors)", ("log_evidence", *COLUMNS))],
) -> str:
    """Write the result of `compare` as a table, with a remark where evidence and predictive density disagree."""
    width = max(len(str(n)) for n in ["model", *table["model"].values])
    rows = [f"{'model':<{width}} {'log evidence':>18} {'elpd difference':>20} {'stacking':>9}"]
    for name in table["model"].values:
        one = table.sel(model=name)
        difference = f"{float(one['elpd_difference']):.1f} +- {float(one['elpd_difference_se']):.1f}"
        evidence = f"{float(one['log_evidence']):.2f} +- {float(one['log_evidence_error']):.2f}"
        rows.append(f"{name!s:<{width}} {evidence:>18} {difference:>20} {float(one['stacking_weight']):>9.2f}")
    behind = table["elpd_difference"].values
    if behind[0] < -max(2 * float(table["elpd_difference_se"][0]), LEAST):
        best = str(table["model"].values[int(np.argmax(behind))])
        rows.append(
            f"{best} predicts left-out blocks better than the model of highest evidence: compare the priors of both, "
            "and their checks of fit"
        )
    unreliable = [str(n) for n in table["model"].values if float(table["unreliable_blocks"].sel(model=n)) > 0]
    if unreliable:
        rows.append(f"predictive densities of {', '.join(unreliable)} rest on too few particles for some blocks")
    return "\n".join(rows)


def _check_same_rows(posteriors: Mapping[str, Posterior]) -> dict[str, str | float]:
    """Hash and power of the rows, the same for all posteriors."""
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
    key, power = next(iter(rows.values()))
    return {"target_hash": key, "power": power}


def _same_blocks(first: SufficientStatistics, second: SufficientStatistics) -> bool:
    """Whether the same rows were cut at the same places."""
    if not np.array_equal(first.effective_rows, second.effective_rows):
        return False
    one, other = (np.sum(s.factors[:, :, -1] ** 2, axis=1) for s in (first, second))
    return bool(np.allclose(one, other, rtol=1e-9))


def _predictive(posteriors: Mapping[str, Posterior]) -> dict[str, np.ndarray]:
    """Predictive densities of blocks, their differences and weights; NaN where they are not defined."""
    first = next(iter(posteriors.values())).statistics
    if first.power < 1 or first.blocks < 2 or not all(_same_blocks(first, p.statistics) for p in posteriors.values()):
        return {name: np.full(len(posteriors), np.nan) for name in COLUMNS}
    found = [leave_block_out_elpd(p) for p in posteriors.values()]
    blocks = np.stack([f["elpd"].values for f in found])
    apart = blocks - blocks[int(np.argmax(blocks.sum(axis=1)))]
    weights = dict.fromkeys(posteriors, 1.0)
    if len(posteriors) > 1:
        weights = stacking_weights({n: block_log_likelihood(p) for n, p in posteriors.items()})
    columns = (
        blocks.sum(axis=1),
        apart.sum(axis=1),
        apart.std(axis=1, ddof=1) * np.sqrt(blocks.shape[1]),
        np.array([float(f["monte_carlo_se"]) for f in found]),
        np.array([float(f["unreliable"]) for f in found]),
        np.array([weights[n] for n in posteriors]),
    )
    return dict(zip(COLUMNS, columns, strict=True))


def log_evidence_error(posterior: Posterior) -> float:
    """Monte Carlo standard error of the pooled log evidence; 0 where exact."""
    return 0.0 if posterior.exact is not None else posterior.sampled.log_evidence_error
