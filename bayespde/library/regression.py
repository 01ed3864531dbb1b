"""A table and a formula -> the sufficient statistics of a linear regression, its intercept integrated out."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayespde.core.annotations import LARGEST, SMALLEST, Count
from bayespde.core.checked import validated
from bayespde.core.errors import StatisticsError
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics
from bayespde.core.table import read_table

# Weight of the prior of the noise variance, in rows: as good as the scale-invariant prior `1 / variance`.
PRIOR_ROWS = 1e-8


@validated
def regression_statistics(
    data: Any,
    formula: str,
    *,
    intercept: bool = True,
    weights: Any = None,
    blocks: Count = 16,
) -> SufficientStatistics:
    """Compress a table for the selection of variables of a linear regression [liang2008].

    The intercept is in every model and integrated out under a flat prior: target and columns are centred, and n rows
    count as n - 1. The noise variance has the scale-invariant prior. Both are those of the literature, so that Bayes
    factors are comparable.

    Args:
        data: A pandas DataFrame, an xarray Dataset of variables over one dimension, or a mapping from name to column.
        formula: The name of the target, with all other columns as candidates; or a formula such as `y ~ age * dose` or
            `log(y) ~ .`, for which the package formulaic must be installed (`pip install 'bayespde[regression]'`).
            Formulas contain code: use none of unknown origin. Factors become one column for each level but the first.
        intercept: Whether the model has one; a formula with `0 +` or `- 1` has none either.
        weights: Of the rows, inverse to the variance of their noise: the name of a column, or an array `[n]`.
        blocks: Number of blocks of consecutive rows, for cross-validation.

    Returns:
        The statistics: `names` are those of the columns, for `SpinModel(statistics)`.

    Raises:
        StatisticsError: If names are unknown, rows have missing values, columns are constant, or a formula cannot be
            read.
    """
    table = read_table(data, formula, known=weights)
    design, target, weight = table.design, table.target, _checked_weights(table.known, len(table.target))
    with_intercept = intercept and table.has_intercept
    log_jacobian = 0.5 * np.log(weight)
    if with_intercept:
        _refuse_constant(design, table.names)
        design, target = (a - np.average(a, axis=0, weights=weight) for a in (design, target))
        log_jacobian = log_jacobian - 0.5 * np.log(weight.sum()) / len(weight)
    root = np.sqrt(weight)
    return SufficientStatistics.from_rows(
        root[:, None] * design,
        root * target,
        names=table.names,
        target_name=table.target_name,
        blocks=blocks,
        model=RowModel(
            log_jacobian=log_jacobian,
            prior_rows=PRIOR_ROWS,
            absorbed_rows=int(with_intercept),
            provenance={"formula": formula, "intercept": with_intercept},
        ),
    )


def _checked_weights(weights: np.ndarray | None, rows: int) -> np.ndarray:
    """Weights of the rows, 1 where none are given."""
    if weights is None:
        return np.ones(rows)
    if weights.shape == (rows,) and ((weights >= SMALLEST) & (weights <= LARGEST)).all():
        return weights
    raise StatisticsError(
        "The weights of the rows cannot be used.",
        got=f"shape {weights.shape}, the smallest {weights.min(initial=np.inf):g}",
        wanted=f"{rows} positive numbers",
        fix="weights=None, and a table without the rows of weight 0",
    )


def _refuse_constant(design: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse columns that are the intercept again."""
    constant = [n for n, spread in zip(names, np.ptp(design, axis=0), strict=True) if spread == 0]
    if constant:
        raise StatisticsError(
            "Columns are constant, and so the same as the intercept.",
            got=", ".join(map(repr, constant))[:200],
            wanted="columns that vary from row to row",
            fix=f"data.drop(columns={constant}), or intercept=False",
        )
