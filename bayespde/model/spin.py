"""Sufficient statistics -> `SpinModel`: the posterior over configurations as a target for samplers."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.special import softmax

from bayespde.core.annotations import Count
from bayespde.core.canonical_regression import CanonicalRegression
from bayespde.core.checked import Checked, validated
from bayespde.core.distinct import distinct
from bayespde.core.equation import Library
from bayespde.core.errors import StatisticsError
from bayespde.core.one_line import one_line
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.statistics import SufficientStatistics
from bayespde.core.triangular import ridged, triangular_factor
from bayespde.model.configurations import checked
from bayespde.model.evidence import ClosedForm
from bayespde.model.prior import Prior
from bayespde.model.regression import canonical_factor, regress


@dataclass(frozen=True, eq=False)
class SpinModel(Checked):
    """Which terms are in the equation: spins with a complexity prior, coefficients and noise integrated out.

    A spin is an inclusion indicator [george1993]: whether a candidate term is in the equation. Columns are scaled to
    unit norm and eliminated in the order of their names. A configuration in which a column's squared residual on those
    before it is below the pivot tolerance (or a column is zero) has likelihood 0, as part of the model. The ridge of an
    isotropic slab counts as part of the columns: where it is above the tolerance no configuration is refused, and
    duplicates share their coefficient.

    Attributes:
        statistics: The compressed rows.
        library: The terms with their complexities; by default the columns of the statistics, of complexity 1.
        prior: Expected number of terms, slab of the coefficients, pivot tolerance and couplings.
        terms: Number of terms K.

    Raises:
        StatisticsError: If the library is not that of the statistics.
        ConfigError: If the prior does not fit the terms.
    """

    statistics: SufficientStatistics
    library: Library | None = None
    _: KW_ONLY
    prior: Prior = field(default_factory=Prior)
    terms: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.library is not None and self.library.names != self.statistics.names:
            raise StatisticsError(
                "The library does not match the statistics.",
                got=self.library.names,
                wanted=str(self.statistics.names),
                fix="assemble the statistics with this library",
            )
        object.__setattr__(self, "terms", len(self.statistics.names))
        self.spin_prior  # noqa: B018  an impossible prior fails here, not in the sampler

    def __repr__(self) -> str:
        return one_line(self, statistics=self.statistics, prior=self.prior)

    @cached_property
    def candidates(self) -> Library:
        """The library, or the columns of the statistics where none is given."""
        if self.library is not None:
            return self.library
        return Library.columns(self.statistics.names, target=self.statistics.target)

    @cached_property
    def spin_prior(self) -> PairwiseSpins:
        """The prior distribution of the spins, in the library's order."""
        return self.prior.of_spins(self.candidates.complexities, self.statistics.names)

    @cached_property
    def closed_form(self) -> ClosedForm:
        """The evidence as a function of size, residuals and log determinant."""
        return ClosedForm.from_statistics(self.statistics, self.prior.slab)

    @cached_property
    def regression(self) -> CanonicalRegression:
        """The rows as unit-norm columns in the order of their names, and what else compiled samplers read."""
        form, order = self.closed_form, np.argsort(np.array(self.statistics.names), kind="stable")
        return CanonicalRegression(
            factor=canonical_factor(self.statistics.factor, order, self.statistics.column_scale),
            order=order,
            ridge=form.ridge,
            offset=form.prior_rows * form.prior_variance,
            pivot_tolerance=self.prior.pivot_tolerance,
            prior=self.spin_prior,
        )

    def log_prior(self, spins: torch.Tensor) -> torch.Tensor:
        """Log prior probability of configurations (`[P, K]`, bool): `[P]`, float64.

        Raises:
            ConfigError: If they are not configurations.
        """
        return torch.as_tensor(self.spin_prior.log_density(checked(spins, self.terms).numpy()))

    def log_likelihood(self, spins: torch.Tensor) -> torch.Tensor:
        """Log marginal likelihood of configurations (`[P, K]`, bool): `[P]`, float64; -inf where refused.

        Equal configurations are computed once.

        Raises:
            ConfigError: If they are not configurations.
        """
        canonical = checked(spins, self.terms).numpy()[:, self.regression.order]
        same = distinct(canonical)
        some = np.ascontiguousarray(canonical[same.first])
        answer = self.closed_form.log_likelihood(self.regression, some)
        return answer[torch.as_tensor(same.group)]

    def log_evidence_given(self, size: Any, rss: Any, logdet: Any) -> torch.Tensor:
        """Log marginal likelihood `[N]` from size, residual sum of squares, log determinant (`[N]` each)."""
        return self.closed_form.log_evidence(size, rss, logdet, energy=self.regression.energy)

    @validated
    def sample_prior(self, particles: Count, *, generator: torch.Generator) -> torch.Tensor:
        """Draw configurations from the prior: `[P, K]`, bool; those of likelihood 0 are drawn too."""
        uniform = torch.rand((particles, self.terms), generator=generator, dtype=torch.float64)
        return torch.as_tensor(self.spin_prior.from_uniform(uniform.numpy()))

    @validated
    def draw(self, spins: torch.Tensor, *, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw g, noise variance and coefficients from their exact conditional posterior.

        Args:
            spins: Configurations, `[P, K]`, bool, in the library's order.
            generator: Source of randomness.

        Returns:
            Coefficients `[P, K]`, float64, physical units, exactly 0 where the spin is 0; and the noise scale `[P]`,
            standard deviation of the whitened rows.

        Raises:
            ConfigError: If they are not configurations.
            StatisticsError: If a configuration is refused by the pivot tolerance.
        """
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        order = self.regression.order
        canonical = checked(spins, self.terms).numpy()[:, order]
        g, square = self._draw_mixture(canonical, random)
        variance = square / 2 / random.standard_gamma(self.closed_form.shape / 2, len(spins))
        shrinkage = 1 / (1 + 1 / g)
        noise = np.sqrt(variance * shrinkage)[:, None] * random.standard_normal(canonical.shape)
        physical = np.zeros(canonical.shape)
        physical[:, order] = self.solve(canonical, shrinkage, noise) / self.statistics.column_scale[order]
        return torch.as_tensor(physical), torch.as_tensor(np.sqrt(variance))

    def solve(self, canonical: np.ndarray, shrinkage: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Solve the triangular systems of many configurations at once.

        Args:
            canonical: Configurations, `[P, K]`, bool, in canonical order.
            shrinkage: Factor on the data of each, `[P]`, dimensionless.
            noise: Added to the data of each column, `[P, K]`, in units of the whitened target.

        Returns:
            Coefficients of unit columns, `[P, K]`, float64, 0 where the spin is 0.
        """
        working = ridged(self.regression.factor, self.regression.ridge)
        coefficients = np.zeros(canonical.shape)
        same = distinct(canonical)
        for rows in np.split(same.order, same.edges[1:-1]):
            on = np.flatnonzero(canonical[rows[0]])
            if not on.size:
                continue
            # With a non-negative diagonal the noise of a term does not change sign with the order of terms.
            triangle = triangular_factor(working[:, np.append(on, self.terms)])[: on.size]
            data = np.outer(triangle[:, -1], shrinkage[rows]) + noise[np.ix_(rows, on)].T
            coefficients[np.ix_(rows, on)] = solve_triangular(triangle[:, :-1], data).T
        return coefficients

    def _draw_mixture(self, canonical: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A value of g per configuration from its posterior, `[P]`, and `a0 v0 + q` at it, `[P]`."""
        same = distinct(canonical)
        some = np.ascontiguousarray(canonical[same.first])
        rows = self.regression
        rss, logdet, pivot = regress(rows.factor, some, rows.ridge)
        if (pivot < rows.pivot_tolerance).any():
            raise StatisticsError(
                "A configuration with nearly collinear columns has probability 0.",
                got=f"a pivot of {pivot.min():.1e}",
                wanted=f"pivots of at least {rows.pivot_tolerance:.1e}",
                fix="draw for configurations that log_likelihood accepts",
            )
        form = self.closed_form
        log_weight = form.log_components(some.sum(axis=1), rss, logdet, energy=self.regression.energy)
        cumulative = softmax(log_weight, axis=-1).cumsum(axis=-1)[same.group]
        # A number in [0, 1) times the last one stays below it, also rounded.
        uniform = random.random(len(canonical))[:, None] * cumulative[:, -1:]
        node = (uniform >= cumulative).sum(axis=1)
        square = form.scaled_square(rss, self.regression.energy)[same.group]
        return form.mixture[0][node], square[np.arange(len(node)), node]
