"""NETWORK FITS -> MEAN OF NETWORKS, and its posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayespde.core.random import checked_seed
from bayespde.noise.pixel_noise import PixelNoise
from bayespde.smooth.network.fitted import NetworkFit
from bayespde.smooth.network.jets import MultiIndex
from bayespde.smooth.network.laplace import PIXELS, LaplacePosterior, chunks, laplace


@dataclass(frozen=True, eq=False)
class NetworkEnsemble:
    """Networks of several architectures and initial weights, trained on the same pixels, with equal weights.

    Attributes:
        fits: One per architecture, with the same pixels held out.
    """

    fits: tuple[NetworkFit, ...]

    @property
    def members(self) -> int:
        """Number of networks."""
        return sum(fit.members for fit in self.fits)

    @property
    def noise(self) -> PixelNoise:
        """Of the pixels, standardised units."""
        return self.fits[0].noise

    def with_noise(self, noise: PixelNoise) -> NetworkEnsemble:
        """The same networks under another noise."""
        return NetworkEnsemble(tuple(replace(fit, noise=noise) for fit in self.fits))

    @property
    def held_out(self) -> np.ndarray:
        """Which of the given pixels were held out and scored, `[n]`, bool."""
        return self.fits[0].held_out

    @property
    def residuals(self) -> np.ndarray:
        """Observed minus mean at those pixels, in their order, float64."""
        return np.concatenate([fit.residuals for fit in self.fits]).mean(axis=0)

    @property
    def held_out_rmse(self) -> float:
        """Root mean misfit of these; their root mean square where noise is normal."""
        return float(np.sqrt(np.mean(self.noise.misfit(self.residuals))))

    def each(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None) -> np.ndarray:
        """Evaluate all networks and their derivatives, as `NetworkFit.each`: `[E, n, M]`."""
        return np.concatenate([fit.each(coordinates, multi_indices) for fit in self.fits])

    def evaluate(self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None) -> np.ndarray:
        """Evaluate the mean of the networks and its derivatives: `[n, M]`, standardised units per unit coordinates."""
        return sum(fit.each(coordinates, multi_indices).sum(axis=0) for fit in self.fits) / self.members


@dataclass(frozen=True, eq=False)
class EnsemblePosterior:
    """The error of the mean of all networks, which have the noise of the pixels in common.

    Every network is linearised: it is a smoother S of the pixels. The mean of the networks has the mean of their
    smoothers and the covariance noise^2 S S', or S V S' where pixels have variances V of their own. The response of a
    single network to noise is averaged, as in the field itself. The prior variance in the posterior of one network
    (`parts`) is not included.

    Attributes:
        ensemble: The networks.
        parts: One posterior per architecture, around its first member, all from the same pixels.
        shrinkage: Factor on the prior precisions of all parts. With 1, the maximum of the evidence, S follows noise
            that early stopping keeps the networks from following; `calibrate.calibrated_shrinkage` finds the factor.
    """

    ensemble: NetworkEnsemble
    parts: tuple[LaplacePosterior, ...]
    shrinkage: float = 1.0

    def standard_deviation(
        self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None
    ) -> np.ndarray:
        """Standard deviation of the field and its derivatives, without sampling.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.

        Returns:
            `[n, M]`, float64, standardised units per unit coordinates, without the noise of a pixel.
        """
        changes = self.response_along()
        moved = (_applied(self.along(part, multi_indices), changes) for part in chunks(coordinates))
        return np.concatenate([np.linalg.norm(part, axis=-1) for part in moved])

    def draws(
        self, coordinates: np.ndarray, multi_indices: Sequence[MultiIndex] | None = None, *, count: int, seed: int
    ) -> np.ndarray:
        """Draw fields; all derivatives of one draw are those of one field.

        Args:
            coordinates: `[n, d]`, in [-1, 1].
            multi_indices: Orders per axis of each derivative; the value alone if absent.
            count: Number of draws.
            seed: Non-negative integer; the same seed gives the same fields at other coordinates.

        Returns:
            `[count, n, M]`, float64, standardised units per unit coordinates.
        """
        noise = np.random.default_rng(checked_seed(seed)).standard_normal((len(self.parts[0].rows), count))
        changes = self.response_along(noise)
        parts = [_applied(self.along(part, multi_indices), changes) for part in chunks(coordinates)]
        return self.ensemble.evaluate(coordinates, multi_indices) + np.moveaxis(np.concatenate(parts), -1, 0)

    def along(self, points: np.ndarray, multi_indices: Sequence[MultiIndex] | None) -> list[np.ndarray]:
        """Gradients of the derivatives along the eigenvectors of every part, `[n, M, r]`, whatever the shrinkage."""
        return [part.gradients(points, multi_indices) @ part.eigenvectors for part in self.parts]

    def spread(self, along: list[np.ndarray]) -> np.ndarray:
        """Standard deviations `[n, M]` from these."""
        return np.asarray(np.linalg.norm(_applied(along, self.response_along()), axis=-1))

    def response_along(self, noise: np.ndarray | None = None) -> list[np.ndarray]:
        """The response of the weights of every part to noise, along its eigenvectors: `[r, count]`.

        The eigenvalues are those of all pixels, so that each of the k represents its share of them. Where pixels differ
        in their noise, the unit of noise differs as well.

        Args:
            noise: Standard noise at the k pixels `rows`, `[k, count]`; one unit at each in turn if absent.
        """
        deviation, found = self.ensemble.noise.deviation, []
        for fit, part in zip(self.ensemble.fits, self.parts, strict=True):
            precision = part.eigenvalues / part.noise_scale**2 + self.shrinkage * part.prior_precision
            gain = np.sqrt(part.eigenvalues) / part.noise_scale / precision * (fit.members / self.ensemble.members)
            given = part.pixel_vectors.T * (1.0 if deviation is None else deviation[part.rows])
            found.append(gain[:, None] * (given if noise is None else given @ noise))
        return found


def _applied(along: list[np.ndarray], changes: list[np.ndarray]) -> np.ndarray:
    """The change of the mean by changes of the weights along the eigenvectors of every part: `[n, M, count]`."""
    return np.asarray(sum(gradients @ change for gradients, change in zip(along, changes, strict=True)))


def ensemble_posterior(
    ensemble: NetworkEnsemble, coordinates: np.ndarray, *, pixels: int = PIXELS, seed: int = 0
) -> EnsemblePosterior:
    """Linearise every architecture around its first member; arguments as for `laplace`."""
    parts = [laplace(fit, coordinates, pixels=pixels, seed=seed) for fit in ensemble.fits]
    return EnsemblePosterior(ensemble, tuple(parts))
