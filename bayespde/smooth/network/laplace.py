"""NETWORK FIT + PIXELS -> LAPLACE POSTERIOR of its weights, by which the field is linear in the pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bayespde.core.random import checked_seed
from bayespde.smooth.network.evaluate_numba import parameter_gradients
from bayespde.smooth.network.fitted import NetworkFit
from bayespde.smooth.network.jets import MultiIndex

CHUNK = 256
# Most pixels that build the curvature, and most iterations of prior and noise.
PIXELS, ITERATIONS = 3000, 300
# Eigenvectors of smaller eigenvalues, relative to the largest, lose orthogonality by rounding; there the prior
# dominates.
NEGLIGIBLE = 1e-11
CONVERGED = 1e-6


@dataclass(frozen=True, eq=False)
class LaplacePosterior:
    """Normal posterior of the weights of one network, through which the field is linearised.

    Directions outside the eigenvectors keep the prior variance, with which intervals of derivatives are too wide: those
    of `EnsemblePosterior` are of the noise alone.

    Attributes:
        fit: The trained fields; the mean is the first of them.
        rows: The pixels whose gradients built the curvature, `[k]`.
        pixel_vectors: Left singular vectors of their gradients, `[k, r]`, orthonormal.
        eigenvectors: Of the curvature of the squared error, `[p, r]`, float64, orthonormal.
        eigenvalues: `[r]`, float64, positive, for all training pixels together.
        prior_precision: Inverse prior variance of the weights.
        noise_scale: Standard deviation of the noise, standardised units.
        effective_parameters: Number of directions that the data determine.
    """

    fit: NetworkFit
    rows: np.ndarray
    pixel_vectors: np.ndarray
    eigenvectors: np.ndarray
    eigenvalues: np.ndarray
    prior_precision: float
    noise_scale: float
    effective_parameters: float

    def gradients(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None) -> np.ndarray:
        """Gradients of the field, or of its derivatives, in the weights: `[n, M, p]`."""
        indices = [(0,) * self.fit.dimensions] if multi_indices is None else list(multi_indices)
        return parameter_gradients(self.fit.network(0), coordinates, indices)


def chunks(coordinates: np.ndarray) -> list[np.ndarray]:
    """Points in chunks whose gradients fit into memory."""
    points = np.asarray(coordinates, dtype=np.float64)
    return [points[k : k + CHUNK] for k in range(0, max(len(points), 1), CHUNK)]


def laplace(
    fit: NetworkFit,
    coordinates: np.ndarray,
    *,
    pixels: int = PIXELS,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> LaplacePosterior:
    """Approximate the posterior of the weights around the first member of a fit by a normal density.

    The curvature is the generalised Gauss-Newton matrix of the squared error, decomposed exactly; predictions are
    linear in the weights [immer2021]. Prior and noise variance maximise the evidence [mackay1992] of that linear model,
    with its own weights in place of the network's [antoran2022], most of which the data do not determine. The
    total-variation term is not part of the curvature.

    Args:
        fit: Trained fields.
        coordinates: The pixels that `train` was given, `[n, d]`.
        pixels: Most pixels whose gradients build the curvature, which is then scaled up to all.
        iterations: Most evidence iterations for prior and noise; 0 keeps the fit's prior and noise scale.
        seed: Non-negative integer, for the choice of pixels.

    Returns:
        The posterior.
    """
    trained = np.flatnonzero(~fit.held_out)
    rows = trained
    if len(trained) > pixels:
        rows = np.sort(np.random.default_rng(checked_seed(seed)).choice(trained, pixels, replace=False))
    network = fit.network(0)
    gradients = parameter_gradients(network, coordinates[rows], [(0,) * fit.dimensions])[:, 0]
    left, values, right = _decompose(gradients)
    eigenvalues = values * len(trained) / len(rows)
    with torch.no_grad():
        weights = torch.cat([value.flatten() for value in network.parameters()]).numpy()
    square = len(trained) * float(fit.training_rmse[0]) ** 2
    precision, noise, effective = _evidence(eigenvalues, right.T @ weights, square, fit, iterations)
    return LaplacePosterior(fit, rows, left, right, eigenvalues, precision, noise, effective)


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
    fit: NetworkFit,
    iterations: int,
) -> tuple[float, float, float]:
    """Prior precision, noise scale and effective parameters, iterated to a fixed point of the evidence.

    `weights` are the network's along the eigenvectors; those of the linear model are shrunk.
    """
    precision, noise, pixels = fit.config.prior_scale**-2, fit.noise.scale, int((~fit.held_out).sum())

    def shares() -> np.ndarray:
        return eigenvalues / (eigenvalues + precision * noise**2)

    for _ in range(iterations):
        before, share = precision, shares()
        precision = float(share.sum() / np.sum((share * weights) ** 2))
        noise = math.sqrt(residual_square / max(pixels - share.sum(), 1.0))
        if abs(math.log(precision / before)) < CONVERGED:
            break
    return precision, noise, float(shares().sum())
