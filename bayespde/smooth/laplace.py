"""A trained neural field and its pixels -> standard deviations and draws of the field and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap

from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.smooth.jets import MultiIndex
from bayespde.smooth.network import derivatives
from bayespde.smooth.train import NetworkFit

CHUNK = 512
DRAW_CHUNK = 8192
NEGLIGIBLE = 1e-13
CONVERGED = 1e-6


@dataclass(frozen=True)
class LaplaceConfig:
    """How the posterior of the weights is approximated.

    Attributes:
        pixels: Most pixels whose gradients build the curvature, which is then scaled up to all.
        iterations: Most evidence iterations for prior and noise; 0 keeps the fit's prior and noise scale.
        parameters: Names of the uncertain weights, or None for all.
    """

    pixels: int = 5000
    iterations: int = 100
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
    """Normal posterior of the weights, through which the field is linearised.

    Directions outside the eigenvectors keep the prior variance.

    Attributes:
        fit: The trained field, its posterior mean.
        names: Names of the uncertain weights.
        eigenvectors: Of the curvature of the squared error, `[p, r]`, float64, orthonormal.
        eigenvalues: `[r]`, float64, positive, for all training pixels together.
        prior_precision: Inverse variance of the weights before the data are seen.
        noise_scale: Standard deviation of the noise, standardised units.
        effective_parameters: How many directions the data determine.
    """

    fit: NetworkFit
    names: tuple[str, ...]
    eigenvectors: Tensor
    eigenvalues: Tensor
    prior_precision: float
    noise_scale: float
    effective_parameters: float

    @property
    def variances(self) -> Tensor:
        """Posterior variance along every eigenvector, `[r]`."""
        return 1 / (self.eigenvalues / self.noise_scale**2 + self.prior_precision)

    def standard_deviation(
        self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None
    ) -> np.ndarray:
        """Posterior standard deviation of the field and its derivatives, without sampling.

        The cost per point and derivative is that of a product with the eigenvectors; for whole grids `draws` is
        cheaper.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.

        Returns:
            `[n, M]`, float64, standardised units per unit coordinates, without the noise of a pixel.
        """
        indices = [(0,) * self.fit.dimensions] if multi_indices is None else list(multi_indices)
        points = torch.as_tensor(np.asarray(coordinates, dtype=np.float64))
        columns = []
        for index in indices:
            gradient = _gradient_function(self.fit, self.names, index)
            columns.append(torch.cat([self._deviation(gradient(part)) for part in points.split(CHUNK)]))
        return torch.stack(columns, dim=1).numpy()

    def draws(
        self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None, *, count: int, seed: int
    ) -> np.ndarray:
        """Draw fields from the linearised posterior; derivatives of one draw belong to the same field.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.
            count: Number of draws.
            seed: Non-negative integer; the same seed gives the same fields at other coordinates.

        Returns:
            `[count, n, M]`, float64, standardised units per unit coordinates.
        """
        indices = [(0,) * self.fit.dimensions] if multi_indices is None else list(multi_indices)
        network = self.fit.network().requires_grad_(False)
        points = torch.as_tensor(np.asarray(coordinates, dtype=np.float64))
        mean = self.fit.evaluate(coordinates, indices)
        weights, fixed = _weights(self.fit, self.names)

        def evaluate(uncertain: Mapping[str, Tensor], part: Tensor) -> Tensor:
            return functional_call(network, {**fixed, **uncertain}, (part,))

        found = []
        for deviation in self._deviations(count, seed):
            tangent = _unflatten(deviation, weights)

            def change(part: Tensor, tangent: Mapping[str, Tensor] = tangent) -> Tensor:
                return jvp(lambda w: evaluate(w, part), (weights,), (tangent,))[1]

            parts = [derivatives(change, p, indices, create_graph=False) for p in points.split(DRAW_CHUNK)]
            found.append(mean + torch.cat(parts).numpy())
        return np.stack(found)

    def _deviation(self, gradients: Tensor) -> Tensor:
        along = (gradients @ self.eigenvectors).square()
        outside = (gradients.square().sum(dim=1) - along.sum(dim=1)).clamp(min=0)
        return torch.sqrt(along @ self.variances + outside / self.prior_precision)

    def _deviations(self, count: int, seed: int) -> Tensor:
        generator = torch_generator(seed)
        size, rank = self.eigenvectors.shape
        along = torch.randn(count, rank, generator=generator, dtype=torch.float64) * self.variances.sqrt()
        free = torch.randn(count, size, generator=generator, dtype=torch.float64)
        free = free - (free @ self.eigenvectors) @ self.eigenvectors.T
        return along @ self.eigenvectors.T + free / math.sqrt(self.prior_precision)


def laplace(
    fit: NetworkFit,
    coordinates: np.ndarray,
    values: np.ndarray,
    *,
    config: LaplaceConfig | None = None,
    seed: int = 0,
) -> LaplacePosterior:
    """Approximate the posterior of the weights around a fit by a normal density.

    The curvature is the generalised Gauss-Newton matrix of the squared error, decomposed exactly; prior and noise
    variance maximise the evidence [mackay1992]; predictions are linear in the weights [immer2021]. The
    total-variation term is left out of the curvature.

    Args:
        fit: A trained field.
        coordinates: The pixels that `train` was given, `[n, d]`.
        values: Their values, `[n]`, standardised.
        config: Settings; defaults if absent.
        seed: Non-negative integer, for the choice of pixels.

    Returns:
        The posterior.

    Raises:
        ConfigError: If a named weight does not exist.
    """
    config = LaplaceConfig() if config is None else config
    names = tuple(fit.parameters) if config.parameters is None else config.parameters
    unknown = set(names) - set(fit.parameters)
    if unknown:
        raise ConfigError(
            "The network has no such weights.",
            got=", ".join(sorted(unknown)),
            wanted="names among " + ", ".join(fit.parameters),
            fix="parameters=None",
        )
    seen = np.flatnonzero(~fit.held_out)
    rows = seen
    if len(seen) > config.pixels:
        rows = np.sort(np.random.default_rng(seed).choice(seen, config.pixels, replace=False))
    vectors, eigenvalues = _decompose(fit, names, coordinates[rows], scale=len(seen) / len(rows))
    residual_square = float(np.sum((values[seen] - fit.evaluate(coordinates[seen])[:, 0]) ** 2))
    weights = torch.cat([fit.parameters[name].double().reshape(-1) for name in names])
    precision, noise, effective = _evidence(eigenvalues, weights, residual_square, len(seen), fit, config)
    return LaplacePosterior(fit, names, vectors, eigenvalues, precision, noise, effective)


def _decompose(
    fit: NetworkFit, names: Sequence[str], coordinates: np.ndarray, *, scale: float
) -> tuple[Tensor, Tensor]:
    """Eigenvectors `[p, r]` and eigenvalues `[r]` of scale * J^T J, from the smaller of its two Gram matrices."""
    gradient = _gradient_function(fit, names, (0,) * fit.dimensions)
    points = torch.as_tensor(np.asarray(coordinates, dtype=np.float64))
    jacobian = torch.cat([gradient(part) for part in points.split(CHUNK)])
    tall = jacobian.shape[0] >= jacobian.shape[1]
    values, vectors = torch.linalg.eigh(jacobian.T @ jacobian if tall else jacobian @ jacobian.T)
    kept = values > NEGLIGIBLE * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    return (vectors if tall else jacobian.T @ vectors / values.sqrt()), scale * values


def _evidence(
    eigenvalues: Tensor,
    weights: Tensor,
    residual_square: float,
    pixels: int,
    fit: NetworkFit,
    config: LaplaceConfig,
) -> tuple[float, float, float]:
    """Prior precision, noise scale and effective parameters, iterated to a fixed point of the evidence."""
    precision, noise = fit.config.prior_scale**-2, fit.noise_scale
    for _ in range(config.iterations):
        before = precision
        effective = float((eigenvalues / (eigenvalues + precision * noise**2)).sum())
        precision = effective / float(weights.square().sum())
        noise = math.sqrt(residual_square / max(pixels - effective, 1.0))
        if abs(math.log(precision / before)) < CONVERGED:
            break
    return precision, noise, float((eigenvalues / (eigenvalues + precision * noise**2)).sum())


def _gradient_function(fit: NetworkFit, names: Sequence[str], index: MultiIndex) -> Callable[[Tensor], Tensor]:
    """A function from points `[n, d]` to gradients in the named weights, `[n, p]`, of one derivative."""
    network = fit.network().requires_grad_(False)
    weights, fixed = _weights(fit, names)

    def value(uncertain: Mapping[str, Tensor], point: Tensor) -> Tensor:
        return functional_call(network, {**fixed, **uncertain}, (point.unsqueeze(0),)).squeeze(0)

    function = value
    for axis, order in enumerate(index):
        for _ in range(order):
            function = _partial(function, axis)
    per_point = vmap(grad(function), in_dims=(None, 0))

    def gradients(points: Tensor) -> Tensor:
        return torch.cat([part.flatten(1) for part in per_point(weights, points).values()], dim=1)

    return gradients


def _partial(function: Callable[..., Tensor], axis: int) -> Callable[..., Tensor]:
    return lambda weights, point: grad(function, argnums=1)(weights, point)[axis]


def _weights(fit: NetworkFit, names: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    double = {name: value.double() for name, value in fit.parameters.items()}
    return {n: double[n] for n in names}, {n: v for n, v in double.items() if n not in names}


def _unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parts = vector.split([value.numel() for value in like.values()])
    return {name: part.view_as(like[name]) for name, part in zip(like, parts, strict=True)}
