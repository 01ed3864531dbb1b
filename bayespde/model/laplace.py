"""Configurations of a generalised linear model -> modes of their coefficients, and Laplace's log evidence of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from bayespde.core.errors import StatisticsError
from bayespde.model.families import LOG_ROOT_2_PI, Family

# Largest squared Newton decrement from which one more step is exact to rounding. Rounding of large counts keeps it
# above: then the method ends where it no longer falls, if half of it, what the log posterior lacks in nats, is small.
CONVERGED, SMALL = 1e-14, 1e-5
MOST_STEPS = 200
MOST_HALVINGS = 60
# Share of the increase that the slope promises from which a step is taken (Armijo's rule).
ENOUGH = 1e-4
# Rounding error of a log posterior, relative.
ROUNDING = 1e-12
# Elements of the largest temporary arrays.
ELEMENTS = 2**22


class Modes(NamedTuple):
    """Where the log posterior of the coefficients of each configuration is largest.

    Attributes:
        coefficients: Intercept first, then those of all columns, 0 where they are out: `[P, K+1]`.
        root: Lower triangular factor of the negative Hessian, with a 1 on the diagonal of what is out: `[P, K+1, K+1]`.
        log_joint: Log likelihood, less half the squared length of the coefficients in the metric of the prior: `[P]`.
    """

    coefficients: torch.Tensor
    root: torch.Tensor
    log_joint: torch.Tensor


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """Rows of a generalised linear model with an intercept, and the shape of the normal prior of its coefficients.

    Attributes:
        family: Distribution of the observations.
        design: `[n, K]`, float64.
        target: `[n]`, float64.
        offset: Added to the linear predictor, `[n]`, float64.
        shape: Precision of the coefficients up to a factor, `[K, K]`, float64: the information for a g-prior, the
            identity for independent coefficients.
    """

    family: Family
    design: torch.Tensor
    target: torch.Tensor
    offset: torch.Tensor
    shape: torch.Tensor

    @cached_property
    def columns(self) -> torch.Tensor:
        """Ones, then the design: `[n, K+1]`."""
        return torch.cat([torch.ones_like(self.target)[:, None], self.design], dim=1)

    def modes(self, spins: torch.Tensor, precision: torch.Tensor, start: torch.Tensor) -> Modes:
        """Maximise the log posterior of all configurations together by Newton's method with step halving.

        Args:
            spins: `[P, K]`, bool.
            precision: Factor on `shape` for each, `[P]`, float64.
            start: Coefficients, `[P, K+1]`, 0 where the spin is 0.

        Returns:
            The modes; the log posterior is concave, so that each is the only one.

        Raises:
            StatisticsError: If the method does not converge.
        """
        most = max(1, ELEMENTS // max(len(self.target), self.columns.shape[1] ** 2))
        parts = zip(spins.split(most), precision.split(most), start.split(most), strict=True)
        found = [self._modes(*part) for part in parts]
        return Modes(*(torch.cat(each) for each in zip(*found, strict=True)))

    def _modes(self, spins: torch.Tensor, precision: torch.Tensor, start: torch.Tensor) -> Modes:
        inside = torch.cat([spins.new_ones(len(spins), 1), spins], dim=1).double()
        theta, left = start * inside, torch.arange(len(spins))
        before = torch.full((len(spins),), torch.inf, dtype=torch.float64)
        for _ in range(MOST_STEPS):
            some = (theta[left], inside[left], precision[left])
            step, decrement = self._newton(*some)
            theta[left] = self._halved(some, step, decrement)
            is_falling = (decrement > SMALL) | (decrement < before[left] / 4)
            before[left] = decrement
            left = left[(decrement > CONVERGED) & is_falling]
            if not len(left):
                root = torch.linalg.cholesky(self._hessian(theta, inside, precision))
                return Modes(theta, root, self._log_joint(theta, precision))
        raise StatisticsError(
            "The coefficients of a configuration did not converge to a mode.",
            got=f"{len(left)} of {len(spins)} configurations after {MOST_STEPS} steps of Newton's method",
            wanted="coefficients that the prior keeps finite",
            fix="prior=Prior(slab=GPriorSlab())",
        )

    def log_evidence(self, modes: Modes, log_determinant: torch.Tensor) -> torch.Tensor:
        """Laplace's approximation, `[P]`: the integral of a normal curve of the height and curvature of the mode.

        Args:
            modes: Of the configurations.
            log_determinant: Of the precision of the coefficients that are in, `[P]`.
        """
        half = torch.log(torch.diagonal(modes.root, dim1=1, dim2=2)).sum(dim=1)
        return modes.log_joint + LOG_ROOT_2_PI + 0.5 * log_determinant - half

    def _predictor(self, theta: torch.Tensor) -> torch.Tensor:
        return self.offset + theta @ self.columns.T

    def _log_joint(self, theta: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
        fit = self.family.log_density(self._predictor(theta), self.target).sum(dim=1)
        return fit - 0.5 * precision * ((theta[:, 1:] @ self.shape) * theta[:, 1:]).sum(dim=1)

    def _newton(
        self, theta: torch.Tensor, inside: torch.Tensor, precision: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Newton's step `[P, K+1]`, and the square of its length in the metric of the Hessian `[P]`."""
        gradient = self.family.score(self._predictor(theta), self.target) @ self.columns
        gradient[:, 1:] -= precision[:, None] * (theta[:, 1:] @ self.shape)
        gradient *= inside
        root = torch.linalg.cholesky(self._hessian(theta, inside, precision))
        step = torch.cholesky_solve(gradient[..., None], root)[..., 0]
        return step, (gradient * step).sum(dim=1)

    def _hessian(self, theta: torch.Tensor, inside: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
        """Negative Hessian `[P, K+1, K+1]`, with a 1 on the diagonal of what is out."""
        weight, size = self.family.curvature(self._predictor(theta), self.target), self.columns.shape[1]
        total = torch.zeros(len(theta), size**2, dtype=torch.float64)
        most = max(1, ELEMENTS // size**2)
        for rows, weights in zip(self.columns.split(most), weight.split(most, dim=1), strict=True):
            total += weights @ (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
        total = total.reshape(-1, size, size)
        total[:, 1:, 1:] += precision[:, None, None] * self.shape
        return total * inside[:, :, None] * inside[:, None, :] + torch.diag_embed(1 - inside)

    def _halved(self, some: tuple[torch.Tensor, ...], step: torch.Tensor, decrement: torch.Tensor) -> torch.Tensor:
        """Coefficients after the longest of the steps 1, 1/2, 1/4, ... that increases the log posterior enough."""
        theta, _, precision = some
        before, length = self._log_joint(theta, precision), torch.ones(len(theta), dtype=torch.float64)
        for _ in range(MOST_HALVINGS):
            after = self._log_joint(theta + length[:, None] * step, precision)
            taken = after >= before + ENOUGH * length * decrement - ROUNDING * before.abs()
            if bool(taken.all()):
                break
            length = torch.where(taken, length, length / 2)
        return theta + length[:, None] * step


def information(family: Family, predictor: np.ndarray) -> np.ndarray:
    """Expected information of each observation at a linear predictor, `[n]`."""
    return np.asarray(family.information(torch.as_tensor(predictor)).numpy())
