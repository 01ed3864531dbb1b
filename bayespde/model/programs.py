"""`SpinModel` -> the same model as two Pyro programs: the generative one and its collapsed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from scipy.linalg import solve_triangular
from torch.distributions import constraints

from bayespde.core.errors import ConfigError
from bayespde.core.slabs import ProfileLikelihood
from bayespde.core.triangular import triangular_factor
from bayespde.model.evidence import SpinEvidence
from bayespde.model.spin import SpinModel
from bayespde.model.spin_distribution import spin_distribution

Program = Callable[[], Any]


class CompressedNormal(dist.TorchDistribution):
    """Independent normal rows around `design @ coefficients`, compressed to the triangular factor.

    The event is the target's column of the factor, `[K+1]`; the density is that of the rows that it compresses, raised
    to the power of the statistics.

    Args:
        design: Factor of the design, `[K+1, K]`, float64, upper triangular, physical units.
        coefficients: `[K]`, float64, physical units.
        variance: Noise variance of the whitened rows, scalar.
        rows: Effective number of rows.
        log_jacobian: Log determinant of the whitening.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    support = constraints.real_vector

    def __init__(
        self,
        design: torch.Tensor,
        coefficients: torch.Tensor,
        variance: torch.Tensor,
        *,
        rows: float,
        log_jacobian: float,
    ) -> None:
        self.centre, self.noise_variance = design @ coefficients, variance
        self.rows, self.log_jacobian = rows, log_jacobian
        super().__init__(torch.Size(), self.centre.shape, validate_args=False)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Log density of the rows that the column `value`, `[K+1]`, compresses: scalar."""
        square = torch.sum((value - self.centre) ** 2)
        log_scale = self.rows / 2 * torch.log(2 * torch.pi * self.noise_variance)
        return self.log_jacobian - log_scale - square / (2 * self.noise_variance)

    def sample(self, sample_shape: torch.Size | None = None) -> torch.Tensor:
        """Draw the target's column, `[*sample_shape, K+1]`; its last element is the residual of all terms."""
        shape = torch.Size(sample_shape or ()) + self.event_shape
        noise = torch.randn(shape, dtype=self.centre.dtype)
        spare = self.rows - (shape[-1] - 1)
        corner = (
            torch.sqrt(dist.Chi2(torch.tensor(spare, dtype=self.centre.dtype)).sample(shape[:-1])) if spare > 0 else 0.0
        )
        noise[..., -1] = corner
        return self.centre + torch.sqrt(self.noise_variance) * noise


def generative(model: SpinModel) -> Program:
    """The generative program: spins, g, noise variance, coefficients, observation.

    Sites: `spins` `[K]` (0/1), `node` (index of g), `noise_variance`, `coefficients` `[k]` of the terms that are on
    (physical units, library order), and the observed `observation` `[K+1]`, the target's column of the factor. Run
    under `pyro.poutine.uncondition` it is the prior predictive.

    Args:
        model: The spin model.

    Returns:
        A program without arguments that returns the coefficients, `[K]`, exactly 0 where the spin is 0.
    """
    statistics, form = model.statistics, model.closed_form
    if isinstance(model.prior.slab, ProfileLikelihood):
        raise ConfigError(
            "The profile likelihood has no prior that could generate coefficients.",
            got=model.prior.slab,
            wanted="a slab",
            fix="SpinModel(..., prior=Prior(slab=HyperGSlab()))",
        )
    values, log_weight = map(torch.as_tensor, form.mixture)
    factor = torch.as_tensor(statistics.factor)

    def program() -> torch.Tensor:
        spins = pyro.sample("spins", spin_distribution(model.spin_prior))
        node = pyro.sample("node", dist.Categorical(logits=log_weight))
        shape = torch.tensor(form.prior_rows / 2, dtype=torch.float64)
        variance = pyro.sample("noise_variance", dist.InverseGamma(shape, shape * form.prior_variance))
        coefficients = torch.zeros(model.terms, dtype=torch.float64)
        on = torch.nonzero(spins).ravel()
        if bool(torch.isinf(model.log_likelihood(spins.bool()[None]))):
            pyro.factor("refused", torch.tensor(-torch.inf))
            return coefficients
        if len(on):
            spread = _slab_spread(model, on.numpy(), float(values[int(node)]))
            slab = dist.MultivariateNormal(
                torch.zeros(len(on), dtype=torch.float64), scale_tril=torch.sqrt(variance) * spread
            )
            coefficients[on] = pyro.sample("coefficients", slab)
        rows = CompressedNormal(factor[:, :-1], coefficients, variance, rows=form.rows, log_jacobian=form.log_jacobian)
        pyro.sample("observation", rows, obs=factor[:, -1])
        return coefficients

    return program


def collapsed(model: SpinModel) -> Program:
    """The same model with coefficients, g and noise integrated out.

    Sites: `spins` `[..., K]` (0/1) and the observed `observation` `[K+1]`, the target's column of the factor.

    Args:
        model: The spin model.

    Returns:
        A program without arguments that returns the spins, `[K]`.
    """
    rows = model.regression
    observed = torch.as_tensor(rows.factor[:, -1])

    def program() -> torch.Tensor:
        spins = pyro.sample("spins", spin_distribution(model.spin_prior))
        evidence = SpinEvidence(spins[..., rows.order], rows, model.closed_form)
        pyro.sample("observation", evidence, obs=observed)
        return spins

    return program


def _slab_spread(model: SpinModel, on: np.ndarray, g: float) -> torch.Tensor:
    """Lower triangular root of the slab's covariance per noise variance, `[k, k]`, physical units."""
    scale = model.statistics.column_scale[on]
    ridge = model.closed_form.ridge
    if ridge > 0:
        return torch.diag(torch.as_tensor(1 / (np.sqrt(ridge) * scale)))
    # With reversed columns the upper triangular factor becomes the lower one that the normal distribution needs.
    lower = triangular_factor((model.statistics.factor[:, on] / scale)[:, ::-1])[::-1, ::-1]
    return torch.as_tensor(np.sqrt(g) * solve_triangular(lower, np.eye(len(on)), lower=True) / scale[:, None])
