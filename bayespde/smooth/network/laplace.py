"""NETWORK FIT + PIXELS -> LAPLACE POSTERIOR: standard deviations and draws of the field and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bayespde.core.errors import ConfigError
from bayespde.core.random import checked_seed
from bayespde.smooth.network.evaluate_numba import parameter_gradients
from bayespde.smooth.network.fitted import NetworkFit
from bayespde.smooth.network.jets import MultiIndex

CHUNK = 256
# Eigenvectors of smaller eigenvalues, relative to the largest, lose orthogonality by rounding; there the prior
# dominates.
NEGLIGIBLE = 1e-11
CONVERGED = 1e-6


@dataclass(frozen=True)
class LaplaceConfig:
    """How the posterior of the weights is approximated.

    Attributes:
        pixels: Most pixels whose gradients build the curvature, which is then scaled up to all.
        iterations: Most evidence iterations for prior and noise; 0 keeps the fit's prior and noise scale.
        parameters: Names of the uncertain weights, or None for all.
    """

    pixels: int = 3000
    iterations: int = 300
    parameters: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.pixels < 2 or self.iterations < 0 or self.parameters == ():
            raise ConfigError(
                "The settings of the Laplace approximation are not usable.",
                got=self,
                wanted="at least 2 pixels, 0 iterations, and one name (or None)",
                fix="LaplaceConfig()",
            )


@dataclass(frozen=True, eq=False)
class LaplacePosterior:
    """Normal posterior of the weights of one network, through which the field is linearised.

    Directions outside the eigenvectors keep the prior variance.

    Attributes:
        fit: The trained fields.
        member: Which of them is the posterior mean.
        columns: Positions of the uncertain weights among all, `[p]`.
        rows: The pixels whose gradients built the curvature, `[k]`.
        pixel_vectors: Left singular vectors of their gradients, `[k, r]`, orthonormal.
        eigenvectors: Of the curvature of the squared error, `[p, r]`, float64, orthonormal.
        eigenvalues: `[r]`, float64, positive, for all training pixels together.
        prior_precision: Inverse prior variance of the weights.
        noise_scale: Standard deviation of the noise, standardised units.
        effective_parameters: Number of directions that the data determine.
    """

    fit: NetworkFit
    member: int
    columns: np.ndarray
    rows: np.ndarray
    pixel_vectors: np.ndarray
    eigenvectors: np.ndarray
    eigenvalues: np.ndarray
    prior_precision: float
    noise_scale: float
    effective_parameters: float

    @property
    def variances(self) -> np.ndarray:
        """Posterior variance along every eigenvector, `[r]`."""
        return np.asarray(1 / (self.eigenvalues / self.noise_scale**2 + self.prior_precision))

    def gradients(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None) -> np.ndarray:
        """Gradients of the field, or of its derivatives, in the uncertain weights: `[n, M, p]`."""
        indices = [(0,) * self.fit.dimensions] if multi_indices is None else list(multi_indices)
        return parameter_gradients(self.fit.network(self.member), coordinates, indices)[..., self.columns]

    def standard_deviation(
        self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None
    ) -> np.ndarray:
        """Posterior standard deviation of the field and its derivatives, without sampling.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.

        Returns:
            `[n, M]`, float64, standardised units per unit coordinates, without the noise of a pixel.
        """
        found = []
        for part in chunks(coordinates):
            gradients = self.gradients(part, multi_indices)
            along = (gradients @ self.eigenvectors) ** 2
            outside = np.maximum((gradients**2).sum(axis=-1) - along.sum(axis=-1), 0)
            found.append(np.sqrt(along @ self.variances + outside / self.prior_precision))
        return np.concatenate(found)

    def draws(
        self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None, *, count: int, seed: int
    ) -> np.ndarray:
        """Draw fields from the linearised posterior; all derivatives of one draw are those of one field.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.
            count: Number of draws.
            seed: Non-negative integer; the same seed gives the same fields at other coordinates.

        Returns:
            `[count, n, M]`, float64, standardised units per unit coordinates.
        """
        mean = self.fit.subset(np.array([self.member])).evaluate(coordinates, multi_indices)
        deviations = self._deviations(count, seed)
        changes = [self.gradients(part, multi_indices) @ deviations.T for part in chunks(coordinates)]
        return mean + np.moveaxis(np.concatenate(changes), -1, 0)

    def _deviations(self, count: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(checked_seed(seed))
        size, rank = self.eigenvectors.shape
        along = rng.standard_normal((count, rank)) * np.sqrt(self.variances)
        free = rng.standard_normal((count, size))
        free -= (free @ self.eigenvectors) @ self.eigenvectors.T
        return along @ self.eigenvectors.T + free / math.sqrt(self.prior_precision)


def chunks(coordinates: np.ndarray) -> list[np.ndarray]:
    """Points in chunks whose gradients fit into memory."""
    points = np.asarray(coordinates, dtype=np.float64)
    return [points[k : k + CHUNK] for k in range(0, max(len(points), 1), CHUNK)]


def laplace(
    fit: NetworkFit,
    coordinates: np.ndarray,
    *,
    member: int = 0,
    config: LaplaceConfig | None = None,
    seed: int = 0,
) -> LaplacePosterior:
    """Approximate the posterior of the weights around one member of a fit by a normal density.

    The curvature is the generalised Gauss-Newton matrix of the squared error, decomposed exactly; predictions are
    linear in the weights [immer2021]. Prior and noise variance maximise the evidence [mackay1992] of that linear model,
    with its own weights in place of the network's [antoran2022], most of which the data do not determine. The
    total-variation term is not part of the curvature.

    Args:
        fit: Trained fields.
        coordinates: The pixels that `train` was given, `[n, d]`.
        member: Around which of them.
        config: Settings; defaults if absent.
        seed: Non-negative integer, for the choice of pixels.

    Returns:
        The posterior.

    Raises:
        ConfigError: If a named weight does not exist.
    """
    config = LaplaceConfig() if config is None else config
    columns = _columns(fit, config)
    trained = np.flatnonzero(~fit.held_out)
    rows = trained
    if len(trained) > config.pixels:
        rows = np.sort(np.random.default_rng(checked_seed(seed)).choice(trained, config.pixels, replace=False))
    network = fit.network(member)
    gradients = parameter_gradients(network, coordinates[rows], [(0,) * fit.dimensions])[:, 0, columns]
    left, values, right = _decompose(gradients)
    eigenvalues = values * len(trained) / len(rows)
    with torch.no_grad():
        weights = torch.cat([value.flatten() for value in network.parameters()]).numpy()[columns]
    square = len(trained) * float(fit.training_rmse[member]) ** 2
    precision, noise, effective = _evidence(eigenvalues, right.T @ weights, square, len(trained), fit, config)
    return LaplacePosterior(fit, member, columns, rows, left, right, eigenvalues, precision, noise, effective)


def _columns(fit: NetworkFit, config: LaplaceConfig) -> np.ndarray:
    """Positions of the named weights in the vector of all."""
    names = tuple(fit.parameters) if config.parameters is None else config.parameters
    unknown = set(names) - set(fit.parameters)
    if unknown:
        raise ConfigError(
            "The network has no such weights.",
            got=", ".join(sorted(unknown)),
            wanted="names among " + ", ".join(fit.parameters),
            fix="parameters=None",
        )
    owners = np.concatenate([np.full(value[0].numel(), name) for name, value in fit.parameters.items()])
    return np.flatnonzero(np.isin(owners, names))


def _decompose(gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular vectors `[k, r]` and `[p, r]` of gradients `[k, p]`, and squared singular values, from a Gram matrix."""
    tall = gradients.shape[0] >= gradients.shape[1]
    values, vectors = np.linalg.eigh(gradients.T @ gradients if tall else gradients @ gradients.T)
    kept = values > NEGLIGIBLE * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    others = (gradients @ vectors if tall else gradients.T @ vectors) / np.sqrt(values)
    return (others, values, vectors) if tall else (vectors, values, others)


def _evidence(
    eigenvalues: np.ndarray,
    weights: np.ndarray,
    residual_square: float,
    pixels: int,
    fit: NetworkFit,
    config: LaplaceConfig,
) -> tuple[float, float, float]:
    """Prior precision, noise scale and effective parameters, iterated to a fixed point of the evidence.

    `weights` are the network's along the eigenvectors; those of the linear model are shrunk.
    """
    precision, noise = fit.config.prior_scale**-2, fit.noise.scale

    def shares() -> np.ndarray:
        return eigenvalues / (eigenvalues + precision * noise**2)

    for _ in range(config.iterations):
        before, share = precision, shares()
        precision = float(share.sum() / np.sum((share * weights) ** 2))
        noise = math.sqrt(residual_square / max(pixels - share.sum(), 1.0))
        if abs(math.log(precision / before)) < CONVERGED:
            break
    return precision, noise, float(shares().sum())
