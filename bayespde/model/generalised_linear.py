"""A table and a formula -> a logistic, probit or Poisson regression as a Pyro program over the spins of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pyro
import torch
import xarray as xr

from bayespde.core.annotations import OneOf
from bayespde.core.checked import validated
from bayespde.core.distinct import distinct
from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.one_line import one_line
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.random import checked_seed
from bayespde.core.slabs import GPriorSlab, ProfileLikelihood
from bayespde.core.table import RegressionTable, read_table
from bayespde.model.configurations import checked
from bayespde.model.families import FAMILIES, Family
from bayespde.model.laplace import Likelihoods, Modes, information
from bayespde.model.over_rows import over_rows
from bayespde.model.prior import Prior
from bayespde.model.regression import regress
from bayespde.model.scaled_columns import ScaledColumns
from bayespde.model.spin_distribution import spin_distribution

# The slab of unit information: one Laplace approximation for each model.
UNIT_INFORMATION = Prior(slab=GPriorSlab())


@dataclass(frozen=True, eq=False)
class GeneralisedLinear:
    """Which columns are in a generalised linear model: a Pyro program with the site `spins`, for `SpinSMC`.

    The intercept is in every model, with a flat prior. Given g the other coefficients are normal with mean 0 and
    precision `X'WX / g`, where W is the expected information of the observations under the intercept alone, and X is
    centred with it: a g-prior that is fixed before the fit [boveheld2011, liclyde2018], the same in all units of the
    columns, and proper where classes are separable. An isotropic slab makes the coefficients of columns of unit length
    in the metric W independent. Laplace's approximation integrates the coefficients out.

    Attributes:
        table: Names, design and target.
        family: Name of the distribution of the observations.
        offset: Known part of the linear predictor, `[n]`, float64.
        prior: Of the spins and coefficients.
    """

    table: RegressionTable
    family: str
    offset: np.ndarray
    prior: Prior

    def __post_init__(self) -> None:
        if isinstance(self.prior.slab, ProfileLikelihood):
            raise ConfigError(
                "The profile likelihood gives no evidence.",
                got=self.prior.slab,
                wanted="a slab that is a distribution",
                fix="prior=Prior(slab=GPriorSlab())",
            )
        self.spin_prior  # noqa: B018  an impossible prior fails here, not in the sampler

    def __repr__(self) -> str:
        return one_line(self, target=self.target, family=self.family, terms=self.terms, rows=len(self.table.target))

    def __call__(self) -> torch.Tensor:
        """The program: draw the spins, and multiply by the evidence of their columns."""
        spins = pyro.sample("spins", spin_distribution(self.spin_prior))

        def log_evidence(rows: torch.Tensor) -> torch.Tensor:
            return self.log_evidence(rows.reshape(-1, self.terms) != 0).reshape(rows.shape[:-1])

        pyro.factor("evidence", over_rows(log_evidence, spins))
        return spins

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the spins."""
        return self.table.names

    @property
    def target(self) -> str:
        """Name of the left-hand side."""
        return self.table.target_name

    @property
    def terms(self) -> int:
        """Number of columns K."""
        return len(self.names)

    @cached_property
    def spin_prior(self) -> PairwiseSpins:
        """The prior distribution of the spins."""
        return self.prior.of_spins(np.ones(self.terms), self.names)

    def log_evidence(self, spins: torch.Tensor) -> torch.Tensor:
        """Log marginal likelihood of configurations (`[P, K]`, bool): `[P]`, float64.

        -inf where a column is a linear combination of those before it in the order of their names, as in `SpinModel`.

        Raises:
            ConfigError: If they are not configurations.
        """
        return torch.logsumexp(self._components(checked(spins, self.terms)), dim=1)

    @validated
    def draw(self, spins: Any, *, seed: int = 0) -> xr.Dataset:
        """Draw coefficients from the normal approximation of their posterior given each configuration.

        Args:
            spins: Configurations `[P, K]`, such as `SpinSMC(...).run().get_samples()["spins"]`.
            seed: Non-negative integer.

        Returns:
            `coefficient` over `draw, term`, exactly 0 where the column is out, and `intercept` over `draw`, in units of
            the table.

        Raises:
            ConfigError: If they are not configurations.
            StatisticsError: If one of them has evidence 0.
        """
        on = checked(torch.as_tensor(spins) != 0, self.terms)
        components, random = self._components(on), np.random.default_rng(checked_seed(seed))
        if not bool(torch.isfinite(components).any(dim=1).all()):
            raise StatisticsError(
                "A configuration with nearly collinear columns has probability 0.",
                got=f"{int((~torch.isfinite(components).any(dim=1)).sum())} of {len(on)} configurations",
                wanted="configurations that log_evidence accepts",
                fix="SpinSMC(program).run().get_samples()['spins']",
            )
        share = torch.softmax(components, dim=1).cumsum(dim=1).numpy()
        node = np.minimum((random.random((len(on), 1)) >= share).sum(axis=1), share.shape[1] - 1)
        scaled, precision = on[:, self._columns.order], torch.as_tensor(self._precisions[node])
        modes = self._likelihoods.modes(scaled, precision, self._start(len(on)))
        noise = torch.as_tensor(random.standard_normal((*modes.coefficients.shape, 1)))
        drawn = modes.coefficients + torch.linalg.solve_triangular(modes.root.mT, noise, upper=True)[..., 0]
        inside = np.where(scaled.numpy(), drawn[:, 1:].numpy(), 0.0)
        intercept, values = self._columns.physical(drawn[:, 0].numpy(), inside)
        return xr.Dataset(
            {"coefficient": (("draw", "term"), values), "intercept": (("draw",), intercept)},
            coords={"term": list(self.names), "draw": np.arange(len(on))},
        )

    def _components(self, spins: torch.Tensor) -> torch.Tensor:
        """Log of weight times evidence for every value of g, `[P, G]`; equal configurations are computed once."""
        canonical = spins.numpy()[:, self._columns.order]
        same = distinct(canonical)
        some = np.ascontiguousarray(canonical[same.first])
        _, logdet, pivot = regress(self._columns.factor, some, self._ridge)
        kept = np.flatnonzero(pivot >= self.prior.pivot_tolerance)
        answer = torch.full((len(some), len(self._precisions)), -torch.inf, dtype=torch.float64)
        inside, size = torch.as_tensor(some[kept]), torch.as_tensor(some[kept].sum(axis=1)).double()
        log_shape = torch.zeros(len(kept), dtype=torch.float64) if self._ridge else torch.as_tensor(logdet[kept])
        start = self._start(len(kept))
        for node, log_weight in enumerate(self._mixture[1]):
            precision = torch.as_tensor(self._precisions[node]).expand(len(kept))
            modes: Modes = self._likelihoods.modes(inside, precision, start)
            log_determinant = size * torch.log(precision) + log_shape
            answer[kept, node] = float(log_weight) + self._likelihoods.log_evidence(modes, log_determinant)
            start = modes.coefficients
        return answer[torch.as_tensor(same.group)]

    @cached_property
    def _null(self) -> float:
        """The intercept alone, at its mode."""
        kind, target = FAMILIES[self.family], torch.as_tensor(self.table.target)
        empty = torch.zeros(len(target), 0, dtype=torch.float64)
        rows = Likelihoods(kind, empty, target, torch.as_tensor(self.offset), empty[:0])
        start = torch.tensor([[kind.link(self.table.target.mean()) - self.offset.mean()]], dtype=torch.float64)
        none = torch.zeros(1, 0, dtype=torch.bool)
        return float(rows.modes(none, torch.ones(1, dtype=torch.float64), start).coefficients[0, 0])

    @cached_property
    def _columns(self) -> ScaledColumns:
        weight = information(FAMILIES[self.family], self._null + self.offset)
        return ScaledColumns.of(self.table.design, self.names, weight)

    @cached_property
    def _ridge(self) -> float:
        return self.prior.slab.ridge(float(len(self.offset)))

    @cached_property
    def _mixture(self) -> tuple[np.ndarray, np.ndarray]:
        return self.prior.slab.mixture(float(len(self.offset)))

    @property
    def _precisions(self) -> np.ndarray:
        """Factors on the precision of the coefficients, `[G]`."""
        return np.array([self._ridge]) if self._ridge else 1 / self._mixture[0]

    @cached_property
    def _likelihoods(self) -> Likelihoods:
        shape = np.eye(self.terms) if self._ridge else self._columns.gram
        arrays = (self._columns.design, self.table.target, self.offset, shape)
        return Likelihoods(FAMILIES[self.family], *(torch.as_tensor(np.ascontiguousarray(a)) for a in arrays))

    def _start(self, count: int) -> torch.Tensor:
        start = torch.zeros(count, self.terms + 1, dtype=torch.float64)
        start[:, 0] = self._null
        return start


@validated
def generalised_linear(
    data: Any,
    formula: str,
    *,
    family: Annotated[str, OneOf(tuple(FAMILIES))] = "binomial",
    prior: Prior | None = None,
    offset: Any = None,
) -> GeneralisedLinear:
    """A logistic, probit or Poisson regression whose columns are to be selected, as a Pyro program.

    ::

        program = generalised_linear(frame, "died ~ age + dose", family="binomial")
        smc = SpinSMC(program).run()

    Args:
        data: A pandas DataFrame, an xarray Dataset of variables over one dimension, or a mapping from name to column.
        formula: The name of the target, or a formula, as for `regression_statistics`.
        family: `binomial`, truth values with a logit link; `probit`, truth values with a probit link; `poisson`, counts
            with a log link.
        prior: By default 3 expected columns and g = n, unit information. A mixture over g costs one Laplace
            approximation for each of its values.
        offset: Known part of the linear predictor, such as the log of an exposure: the name of a column, or an array
            `[n]`.

    Returns:
        The program, which is called without arguments.

    Raises:
        StatisticsError: If the table is not usable, or the target is not of the family or constant.
        ConfigError: If the prior cannot be used.
    """
    table = read_table(data, formula, known=offset, role="offset")
    _check_target(table, FAMILIES[family], family)
    known = np.zeros(len(table.target)) if table.known is None else table.known
    if known.shape != table.target.shape or not np.isfinite(known).all():
        raise StatisticsError(
            "The offset cannot be used.",
            got=f"shape {known.shape}" if known.shape != table.target.shape else "NaN or infinity",
            wanted=f"{len(table.target)} finite numbers",
            fix="offset=None",
        )
    return GeneralisedLinear(table, family, known, prior or UNIT_INFORMATION)


def _check_target(table: RegressionTable, kind: Family, family: str) -> None:
    """Refuse targets that the family cannot have, and those for which the intercept is infinite."""
    target, name = table.target, table.target_name
    is_count = (target == np.round(target)) & (target >= 0) & (target <= kind.largest)
    if not is_count.all() or target.min() == target.max() in (0, kind.largest) or not table.has_intercept:
        wanted = "0 and 1, both of them" if kind.largest == 1 else "counts, not all of them 0"
        raise StatisticsError(
            f"The target {name!r} does not fit the family {family!r} with an intercept.",
            got=f"values from {target.min():g} to {target.max():g}" + ("" if table.has_intercept else ", no intercept"),
            wanted=f"{wanted}, and a formula with an intercept",
            fix=f"{name!r} as such numbers, or regression_statistics for a target of real numbers",
        )
