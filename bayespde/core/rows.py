"""Plain arrays -> checked rows of a linear problem, and the prior of their noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from bayespde.core.annotations import LARGEST, SMALLEST, CountOrZero, NonNegative, Positive, Range
from bayespde.core.arrays import as_array, real_array
from bayespde.core.assembly_record import AssemblyRecord
from bayespde.core.checked import Checked
from bayespde.core.errors import StatisticsError


@dataclass(frozen=True, eq=False)
class RowModel(Checked):
    """Weight of rows in the likelihood, and the prior of their noise variance.

    Attributes:
        power: Exponent on the likelihood for correlated rows, in (0, 1].
        log_jacobian: Log determinant of a whitening already applied: a number, or one per row `[n]`.
        prior_variance: Expected residual variance; by default that of the least-squares fit of all terms.
        prior_rows: Weight of that expectation, in rows.
        floor: Smallest relative residual amplitude assumed possible; bounds the expected variance from below.
        absorbed_rows: Degrees of freedom of what is in every model and was projected out of the rows, such as an
            intercept: n rows count as n minus these.
        provenance: How the rows were made (JSON-able).
        record: What was measured while they were made.
    """

    power: Annotated[float, Range(above=0, highest=1)] = 1.0
    log_jacobian: Any = 0.0
    prior_variance: Annotated[float, Range(above=0, highest=LARGEST**2)] | None = None
    prior_rows: Positive = 1.0
    floor: NonNegative = 1e-6
    absorbed_rows: CountOrZero = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    record: AssemblyRecord = field(default_factory=AssemblyRecord)

    def effective_rows(self, edges: np.ndarray) -> np.ndarray:
        """Effective number of rows of blocks between `edges` `[B+1]`: `[B]`.

        Raises:
            StatisticsError: If no more rows are left.
        """
        rows = int(edges[-1])
        if self.absorbed_rows >= rows:
            raise StatisticsError(
                "There are too few rows.",
                got=f"{rows} rows, {self.absorbed_rows} of them absorbed by what is in every model",
                wanted=f"at least {self.absorbed_rows + 1} rows",
                fix="more rows",
            )
        return np.asarray(self.power * np.diff(edges) * (1 - self.absorbed_rows / rows))

    def expected_variance(self, factors: np.ndarray, rows: float) -> float:
        """Expected residual variance of `rows` effective rows with triangular factors `[B, K+1, K+1]`."""
        variance = self.prior_variance
        if variance is None:
            variance = max(_residual_variance(factors, rows), 1e-300)
        energy = float(np.sum(factors[:, :, -1] ** 2)) / rows
        return float(max(variance, self.floor**2 * energy))

    def block_log_jacobian(self, starts: np.ndarray, rows: int) -> np.ndarray:
        """Log determinant of the whitening of blocks of consecutive rows, `[B]`, given the first row of each."""
        given = real_array(self.log_jacobian, "log_jacobian", error=StatisticsError)
        if given.shape not in ((), (rows,)) or not np.isfinite(given).all():
            raise StatisticsError(
                "The log determinant of the whitening is not usable.",
                got=f"shape {given.shape}",
                wanted=f"a finite number, or one per row [{rows}]",
                fix="log_jacobian=0.0",
            )
        per_row = given / (1 if given.ndim else rows)
        return np.asarray(self.power * np.add.reduceat(np.broadcast_to(per_row, rows), starts))


def checked_rows(design: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Design `[n, K]` and target `[n]` as float64.

    Raises:
        StatisticsError: If shapes do not fit, or values are not real and finite.
    """
    a, b = (as_array(v, n, error=StatisticsError) for v, n in ((design, "design"), (target, "target")))
    if a.ndim != 2 or b.shape != a.shape[:1] or 0 in a.shape:
        raise StatisticsError(
            "Design and target do not fit together.",
            got=f"{a.shape} and {b.shape}",
            wanted="[n, K] and [n]",
            fix="transpose the design",
        )
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        raise StatisticsError(
            "Rows must be real.",
            got=f"{a.dtype} and {b.dtype}",
            wanted="real numbers",
            fix="stack real and imaginary parts",
        )
    a, b = (_as_float(v, n) for v, n in ((a, "design"), (b, "target")))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise StatisticsError(
            "Rows must be finite.", got="NaN or infinity", wanted="finite numbers", fix="drop those rows"
        )
    sizes = np.abs(np.column_stack([a, b])).max(axis=0)
    if ((sizes > 0) & ((sizes < SMALLEST) | (sizes > LARGEST))).any():
        raise StatisticsError(
            "Rows have numbers whose squares cannot be computed.",
            got=f"columns with numbers up to {sizes.min():g} and up to {sizes.max():g}",
            wanted=f"each column with numbers up to {SMALLEST:g} to {LARGEST:g}, or 0",
            fix="another unit, such as target / 1e200",
        )
    return a, b


def _as_float(array: np.ndarray, name: str) -> np.ndarray:
    """Rows as float64; truth values are 0 and 1."""
    return real_array(array.astype(np.int8) if array.dtype == bool else array, name, error=StatisticsError)


def checked_names(names: Any, terms: int) -> tuple[str, ...]:
    """Names of the columns, `x0, x1, ...` where none are given.

    Raises:
        StatisticsError: If there is not one different name for each column.
    """
    found = tuple(names) if names is not None else tuple(f"x{i}" for i in range(terms))
    if len(found) != terms or len(set(found)) != terms:
        raise StatisticsError(
            "Names do not match the columns.",
            got=found,
            wanted=f"{terms} different names",
            fix="one name per column",
        )
    return found


def _residual_variance(factors: np.ndarray, rows: float) -> float:
    size = factors.shape[-1]
    rows_and_target = factors.reshape(-1, size)
    scale = np.linalg.norm(rows_and_target, axis=0)
    design, target = rows_and_target[:, :-1] / np.where(scale > 0, scale, 1.0)[:-1], rows_and_target[:, -1]
    solution, _, rank, _ = np.linalg.lstsq(design, target, rcond=1e-10)
    spare = rows - rank
    return float(np.sum((target - design @ solution) ** 2) / spare if spare >= 1 else target @ target / rows)
