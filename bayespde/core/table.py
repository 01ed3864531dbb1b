"""A table and a formula -> the checked rows of a regression: names, design, target, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.arrays import as_array, real_array
from bayespde.core.errors import StatisticsError

INTERCEPT = "Intercept"
# Rows that a message lists.
LISTED = 20


@dataclass(frozen=True, eq=False)
class RegressionTable:
    """Rows of a regression, finite, the intercept not among the columns.

    Attributes:
        names: Of the columns, `[K]`.
        design: `[n, K]`, float64.
        target: `[n]`, float64.
        target_name: Name of the left-hand side.
        known: A further number for each row, such as a weight or an offset, `[n]`; None if there is none.
        has_intercept: Whether the formula has one; it does unless it says otherwise.
    """

    names: tuple[str, ...]
    design: np.ndarray
    target: np.ndarray
    target_name: str
    known: np.ndarray | None
    has_intercept: bool


def read_table(data: Any, formula: str, *, known: Any = None, role: str = "weights") -> RegressionTable:
    """Read a regression from a table.

    Args:
        data: A pandas DataFrame, an xarray Dataset of variables over one dimension, or a mapping from name to column.
        formula: The name of the target, with all other columns as candidates; or a formula with `~`, which the package
            formulaic reads.
        known: A further number for each row, that is no candidate: the name of a column, or an array `[n]`.
        role: What it is, for messages.

    Raises:
        StatisticsError: If the table is none, names unknown or repeated columns, or holds what is no finite number.
    """
    frame, source = _frame(data)
    if isinstance(known, str):
        _check_known(frame, known)
        known, frame = frame[known], frame.drop(columns=known)
    is_name = formula in frame.columns or "~" not in formula
    if not is_name:
        names, target_name, rows = _by_formula(frame, formula, source)
    else:
        _check_known(frame, formula)
        target_name, names = formula, [n for n in frame.columns if n != formula]
        rows = np.column_stack([_column(frame[n], n) for n in (*names, formula)])
    _check_finite(frame, rows, source)
    has_intercept = is_name or INTERCEPT in names
    kept = [i for i, n in enumerate(names) if n != INTERCEPT]
    if not kept:
        raise StatisticsError(
            "The regression has no candidate column.",
            got=repr(formula)[:80],
            wanted="one or more columns on the right-hand side",
            fix="'y ~ age + dose'",
        )
    return RegressionTable(
        tuple(names[i] for i in kept),
        rows[:, kept],
        rows[:, -1],
        target_name,
        None if known is None else _column(known, role),
        has_intercept,
    )


def _frame(data: Any) -> tuple[Any, str]:
    """The table as a DataFrame with texts as column names, and the expression that makes it one."""
    import pandas as pd

    frame, source = data, "data"
    if isinstance(data, xr.Dataset):
        frame, source = pd.DataFrame({str(n): v.values for n, v in data.items() if v.ndim == 1}), "data.to_dataframe()"
    elif isinstance(data, Mapping):
        filled = {str(n): as_array(v, n, error=StatisticsError) if np.ma.isMA(v) else v for n, v in data.items()}
        with suppress(ValueError, TypeError):
            frame, source = pd.DataFrame(filled), "pandas.DataFrame(data)"
    if not isinstance(frame, pd.DataFrame) or frame.empty:
        raise StatisticsError(
            "This is not a table.",
            got=f"an object of type {type(data).__name__}",
            wanted="a pandas DataFrame, an xarray Dataset over one dimension, or columns of equal length by name",
            fix="pandas.DataFrame({'age': [...], 'dose': [...], 'y': [...]})",
        )
    frame = frame.set_axis([str(n) for n in frame.columns], axis=1)
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise StatisticsError(
            "A name of a column occurs twice.",
            got=", ".join(map(repr, twice))[:80],
            wanted="columns with different names",
            fix="data.loc[:, ~data.columns.duplicated()]",
        )
    return frame, source


def _check_known(frame: Any, name: str) -> None:
    if name not in frame.columns:
        raise StatisticsError(
            "The table has no such column.",
            got=repr(name)[:80],
            wanted=", ".join(map(repr, frame.columns))[:200],
            fix=f"{frame.columns[-1]!r}",
        )


def _column(values: Any, name: str) -> np.ndarray:
    """A numeric column as float64; truth values are 0 and 1, missing ones NaN."""
    import pandas as pd

    kind = getattr(getattr(values, "dtype", None), "kind", "f")
    if kind not in "biuf":
        raise StatisticsError(
            f"The column {name!r} does not hold numbers.",
            got=f"dtype {values.dtype}",
            wanted="numbers or truth values; categories through a formula",
            fix=f"data.drop(columns={name!r}), or a formula such as 'y ~ C(`{name}`)'",
        )
    if isinstance(values, pd.Series):
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    array = as_array(values, name, error=StatisticsError)
    return real_array(array.astype(np.int8) if array.dtype == bool else array, name, error=StatisticsError)


def _by_formula(frame: Any, formula: str, source: str) -> tuple[list[str], str, np.ndarray]:
    """Names of the columns, name of the target, and all rows `[n, K+1]`, the target last."""
    try:
        import formulaic
    except ImportError as error:
        raise StatisticsError(
            "Formulas need the package formulaic.",
            got=f"the formula {formula!r}"[:80],
            wanted="the name of the target column, or formulaic",
            fix="pip install 'bayespde[regression]'",
        ) from error
    try:
        both = formulaic.model_matrix(formula, frame, context={}, na_action="ignore", output="numpy")
        specifications = [both.lhs.model_spec, both.rhs.model_spec]
    except Exception as error:  # Of whatever the formula calls.
        raise StatisticsError(
            "The formula cannot be read.",
            got=f"{formula!r}: {error}"[:200],
            wanted="a formula such as 'y ~ age * dose' in the columns of the table",
            fix=f"'{frame.columns[-1]} ~ {frame.columns[0]}'",
        ) from error
    used = sorted({str(v) for s in specifications for v in s.required_variables} & set(frame.columns))
    _check_present(frame, used, source)
    (left, right), target = (list(s.column_names) for s in specifications), np.asarray(both.lhs, dtype=np.float64)
    if target.shape[1] != 1:
        raise StatisticsError(
            "The left-hand side of the formula is not one column of numbers.",
            got=", ".join(left)[:80],
            wanted="one column",
            fix=f"{left[0]!r} as the left-hand side",
        )
    return [str(n) for n in right], str(left[0]), np.column_stack([np.asarray(both.rhs, dtype=np.float64), target])


def _check_present(frame: Any, used: Sequence[str], source: str) -> None:
    """Refuse rows with missing values: the reader of formulas would take a missing category for the first one."""
    missing = int(frame[list(used)].isna().any(axis=1).sum())
    if missing:
        raise StatisticsError(
            "Rows have missing values.",
            got=f"{missing} of {len(frame)} rows, in {', '.join(n for n in used if frame[n].isna().any())}"[:200],
            wanted="a value in every column that is used",
            fix=f"data = {source}.dropna(subset={list(used)})",
        )


def _check_finite(frame: Any, rows: np.ndarray, source: str) -> None:
    """Refuse rows that are not finite: of missing values, or of functions such as the logarithm of 0."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if not len(bad):
        return
    _check_present(frame, [n for n in frame.columns if frame[n].isna().any()], source)
    shown = ", ".join(map(str, bad[:LISTED]))
    raise StatisticsError(
        "Rows have infinite values, or values that a function of the formula does not take.",
        got=f"{len(bad)} of {len(rows)} rows: {shown}{', ...' if len(bad) > LISTED else ''}",
        wanted="finite numbers",
        fix=f"data = {source}.drop(index={source}.index[{bad.tolist()}])",
    )
