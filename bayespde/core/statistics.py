"""Rows of a linear problem -> one small triangular factor per block, whose size does not depend on the video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Annotated, Any

import msgspec
import numpy as np
import xarray as xr

from bayespde.core.annotations import LARGEST, Count, CountOrZero, MadeBy, Positive, Range
from bayespde.core.arrays import configuration, finite_array
from bayespde.core.assembly_record import AssemblyRecord
from bayespde.core.checked import Checked, validated
from bayespde.core.errors import StatisticsError
from bayespde.core.one_line import one_line
from bayespde.core.rows import RowModel, checked_names, checked_rows
from bayespde.core.triangular import triangular_factor

# What `to_dataset` returns.
_WRITTEN = MadeBy(
    "statistics.to_dataset()",
    (
        *("factors", "effective_rows", "log_jacobian", "column", "power"),
        *("target_hash", "prior_variance", "prior_rows", "provenance", "records"),
    ),
)


@dataclass(frozen=True, eq=False)
class SufficientStatistics(Checked):
    """All that the spin model needs of the rows `[design, target]`.

    Attributes:
        factors: Upper triangular factor of `[design, target]` per block, `[B, K+1, K+1]`, float64; rows are whitened
            and multiplied by `sqrt(power)`, columns are in physical units.
        effective_rows: Power times number of rows per block, `[B]`.
        log_jacobian: Log determinant of the whitening per block, `[B]`.
        names: Term names, `[K]`.
        target: Name of the left-hand side.
        power: Exponent on the likelihood, in (0, 1].
        target_hash: Identifies the rows; evidence is comparable only at equal hash.
        prior_variance: Residual variance expected before the fit: 1 on whitened rows.
        prior_rows: Weight of that expectation, in rows, in the inverse-gamma prior of the noise variance.
        absorbed_rows: Degrees of freedom of what is in every model, such as an intercept; not among the effective rows.
        provenance: How the rows were made: support radius, floor, noise, linearisation point (JSON-able).
        records: What was measured while they were made, one record per video whose rows were joined.
    """

    factors: np.ndarray
    effective_rows: np.ndarray
    log_jacobian: np.ndarray
    names: tuple[str, ...]
    target: str = "u_t"
    power: Annotated[float, Range(above=0, highest=1)] = 1.0
    target_hash: str = ""
    prior_variance: Annotated[float, Range(above=0, highest=LARGEST**2)] = 1.0
    prior_rows: Positive = 1.0
    absorbed_rows: CountOrZero = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    records: tuple[AssemblyRecord, ...] = field(default_factory=lambda: (AssemblyRecord(),))

    @classmethod
    @partial(validated, error=StatisticsError)
    def from_rows(
        cls,
        design: Any,
        target: Any,
        *,
        names: Sequence[str] | None = None,
        target_name: str = "y",
        blocks: Count = 16,
        model: RowModel | None = None,
    ) -> SufficientStatistics:
        """Compress plain arrays, so that the spin model serves any linear selection problem.

        Args:
            design: Rows, `[n, K]`, real; consecutive rows form blocks.
            target: Left-hand side, `[n]`.
            names: Term names; `x0, x1, ...` by default.
            target_name: Name of the left-hand side.
            blocks: Number of blocks, at most `n`.
            model: Weight of the rows in the likelihood, and the prior of their noise variance.

        Returns:
            The statistics.

        Raises:
            StatisticsError: If shapes, values or settings do not fit.
        """
        model = model or RowModel()
        design, target = checked_rows(design, target)
        rows, terms = design.shape
        both = np.sqrt(model.power) * np.column_stack([design, target])
        edges = np.linspace(0, rows, min(blocks, rows) + 1).round().astype(int)
        factors = np.stack([triangular_factor(both[a:b]) for a, b in pairwise(edges)])
        counts = model.effective_rows(edges)
        return cls(
            factors=factors,
            effective_rows=counts,
            log_jacobian=model.block_log_jacobian(edges[:-1], rows),
            names=checked_names(names, terms),
            target=target_name,
            power=float(model.power),
            target_hash=_hash(np.ascontiguousarray(both[:, -1]).tobytes() + f"{model.power}".encode()),
            prior_variance=model.expected_variance(factors, counts.sum()),
            prior_rows=float(model.prior_rows),
            absorbed_rows=model.absorbed_rows,
            provenance=dict(model.provenance) | {"floor": model.floor},
            records=(model.record,),
        )

    def __repr__(self) -> str:
        return one_line(self, target=self.target, terms=len(self.names), rows=self.rows, blocks=self.blocks)

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Join the blocks of two sets of rows (two videos of one equation).

        Raises:
            StatisticsError: If terms, target or power differ.
        """
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        if (self.names, self.target, self.power) != (other.names, other.target, other.power):
            raise StatisticsError(
                "Statistics of different problems cannot be added.",
                got=(other.names, other.target, other.power),
                wanted=str((self.names, self.target, self.power)),
                fix="assemble both with the same library and power",
            )
        weights = np.array([self.prior_rows, other.prior_rows])
        variances = np.array([self.prior_variance, other.prior_variance])
        return replace(
            self,
            factors=np.concatenate([self.factors, other.factors]),
            effective_rows=np.concatenate([self.effective_rows, other.effective_rows]),
            log_jacobian=np.concatenate([self.log_jacobian, other.log_jacobian]),
            target_hash=_hash((self.target_hash + other.target_hash).encode()),
            prior_variance=float(weights @ variances / weights.sum()),
            prior_rows=float(weights.sum()),
            absorbed_rows=self.absorbed_rows + other.absorbed_rows,
            provenance={"parts": [dict(self.provenance), dict(other.provenance)]},
            records=self.records + other.records,
        )

    @property
    def record(self) -> AssemblyRecord:
        """What was measured while the rows of one video were made; an empty record for joined rows."""
        return self.records[0] if len(self.records) == 1 else AssemblyRecord()

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self.factors)

    @property
    def rows(self) -> float:
        """Effective number of rows, power times rows, summed over blocks."""
        return float(self.effective_rows.sum())

    @property
    def observations(self) -> float:
        """Effective number of rows before anything was projected out of them: the n of a g-prior with g = n."""
        return self.rows + self.power * self.absorbed_rows

    @cached_property
    def factor(self) -> np.ndarray:
        """Triangular factor of all rows, `[K+1, K+1]`, float64, physical units."""
        return triangular_factor(self.factors.reshape(-1, self.factors.shape[-1]))

    @cached_property
    def column_scale(self) -> np.ndarray:
        """Root of the sum of squares of each column of the design, `[K]`; 1 where a column is zero."""
        scale = np.linalg.norm(self.factor[:, :-1], axis=0)
        return np.where(scale > 0, scale, 1.0)

    @cached_property
    def energy(self) -> float:
        """Sum of squares of the target."""
        return float(np.sum(self.factor[:, -1] ** 2))

    @validated
    def select(self, names: Sequence[str]) -> SufficientStatistics:
        """The same rows with some of the columns, to compare a smaller library on them.

        Raises:
            StatisticsError: If a name is not among the terms.
        """
        unknown = [n for n in names if n not in self.names]
        if unknown:
            raise StatisticsError(
                "The statistics have no column for some names.",
                got=", ".join(unknown),
                wanted=", ".join(self.names),
                fix="assemble the union of the libraries",
            )
        columns = [self.names.index(n) for n in names] + [len(self.names)]
        chosen = np.stack([triangular_factor(f[:, columns]) for f in self.factors])
        return replace(self, factors=chosen, names=tuple(names))

    def least_squares(self, spins: np.ndarray) -> np.ndarray:
        """Least-squares coefficients of the terms that are on, 0 elsewhere: `[K]`, physical units.

        Raises:
            StatisticsError: If the spins are not K truth values.
        """
        on = np.flatnonzero(configuration(spins, len(self.names), error=StatisticsError))
        answer = np.zeros(len(self.names))
        if on.size:
            scaled = self.factor[:, on] / self.column_scale[on]
            answer[on] = np.linalg.lstsq(scaled, self.factor[:, -1], rcond=1e-12)[0] / self.column_scale[on]
        return answer

    def block_residuals(self, coefficients: np.ndarray) -> np.ndarray:
        """Residual sum of squares per block, `[B]`, at `coefficients` (`[K]`, physical units).

        Raises:
            StatisticsError: If the coefficients are not K finite numbers.
        """
        values = finite_array(coefficients, "coefficients", (len(self.names),), error=StatisticsError)
        return np.sum((self.factors @ np.append(-values, 1.0)) ** 2, axis=1)

    def to_dataset(self) -> xr.Dataset:
        """Write everything into a dataset that netCDF can hold."""
        columns = [*self.names, self.target]
        return xr.Dataset(
            {
                "factors": (("block", "row", "column"), self.factors),
                "effective_rows": (("block",), self.effective_rows),
                "log_jacobian": (("block",), self.log_jacobian),
            },
            coords={"column": columns, "block": np.arange(self.blocks), "row": np.arange(len(columns))},
            attrs={
                "power": self.power,
                "target_hash": self.target_hash,
                "prior_variance": self.prior_variance,
                "prior_rows": self.prior_rows,
                "absorbed_rows": self.absorbed_rows,
                "provenance": json.dumps(dict(self.provenance)),
                "records": json.dumps([asdict(r) for r in self.records]),
            },
        )

    @classmethod
    @validated
    def from_dataset(cls, dataset: Annotated[xr.Dataset, _WRITTEN]) -> SufficientStatistics:
        """Read back what `to_dataset` wrote; every number is identical.

        Raises:
            ConfigError: If the dataset is not one that it wrote.
        """
        columns = [str(c) for c in dataset["column"].values]
        a = dataset.attrs
        return cls(
            factors=dataset["factors"].values,
            effective_rows=dataset["effective_rows"].values,
            log_jacobian=dataset["log_jacobian"].values,
            names=tuple(columns[:-1]),
            target=columns[-1],
            power=float(a["power"]),
            target_hash=str(a["target_hash"]),
            prior_variance=float(a["prior_variance"]),
            prior_rows=float(a["prior_rows"]),
            absorbed_rows=int(a.get("absorbed_rows", 0)),
            provenance=json.loads(a["provenance"]),
            records=msgspec.convert(json.loads(a["records"]), tuple[AssemblyRecord, ...]),
        )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
