"""Noise model + observed pixels -> the linear map that makes residuals of a trajectory independent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from scipy.linalg import eigh, solve_triangular, toeplitz

from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel
from bayespde.solve.resolution import along_each

# Spectral densities of correlated noise below this share of the largest are raised to it: measured correlations do not
# determine smaller ones, and a fit must not depend on them.
SMALLEST_DENSITY = 0.01
# Pixels of a frame with gaps up to which their covariance is formed.
MAXIMUM_PIXELS = 2_000


@dataclass(frozen=True, eq=False)
class Whitener:
    """Residuals in units of their standard deviations, zero where nothing was observed -> independent ones.

    Attributes:
        shape: Points per dimension of space.
        roots: Inverse square root of the correlation along each axis, `[points, points]`; None where independent.
        masked: Frames with gaps, by observed pixels: indices of frames and of pixels, and the inverse factor.
        log_volume: Logarithm of the determinant of the whole map.
    """

    shape: tuple[int, ...]
    roots: tuple[np.ndarray | None, ...]
    masked: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...] = ()
    log_volume: float = 0.0

    @classmethod
    def of(cls, noise: NoiseModel, seen: np.ndarray) -> Whitener:
        """For frames of which `seen`, `[time, *space]`, bool, was observed.

        Raises:
            ConfigError: If correlations do not fit the dimensions, or large frames with gaps have correlated noise.
        """
        shape = seen.shape[1:]
        lags = noise.correlation or (np.ones(1),) * len(shape)
        if len(lags) != len(shape):
            raise ConfigError(
                "Correlations are given per dimension of space.",
                got=f"{len(lags)} for {len(shape)} dimensions",
                wanted="one array of correlations from lag 0 for each",
                fix="NoiseModel(sd, correlation=(along_y, along_x))",
            )
        covariances = [_covariance(c, n) for c, n in zip(lags, shape, strict=True)]
        if all(c is None for c in covariances):
            return cls(shape, (None,) * len(shape))
        roots = tuple(None if c is None else _inverse_root(c) for c in covariances)
        volume = sum(np.linalg.slogdet(r)[1] * np.prod(shape) / len(r) for r in roots if r is not None)
        flat = seen.reshape(len(seen), -1)
        gappy = np.flatnonzero(~flat.all(axis=1))
        known = [np.eye(n) if c is None else c for c, n in zip(covariances, shape, strict=True)]
        masked = tuple(_masked(known, flat, gappy))
        volume *= len(seen) - len(gappy)
        volume += sum(len(frames) * float(np.log(np.diag(root)).sum()) for frames, _, root in masked)
        return cls(shape, roots, masked, float(volume))

    def __call__(self, values: np.ndarray, *, transpose: bool = False) -> np.ndarray:
        """White values, `[time, ..., pixels]`, as given; or the transposed map of white ones."""
        if self.is_identity:
            return values
        # Roots along the axes are symmetric.
        white = along_each(values.reshape(*values.shape[:-1], *self.shape), self.roots).reshape(values.shape)
        for frames, pixels, root in self.masked:
            seen = np.zeros_like(white[frames])
            seen[..., pixels] = values[frames][..., pixels] @ (root if transpose else root.T)
            white[frames] = seen
        return white

    @property
    def is_identity(self) -> bool:
        """Whether residuals are independent as they are."""
        return all(r is None for r in self.roots)

    def of_frames(self, frames: slice) -> Whitener:
        """That of some consecutive frames; its volume remains that of all."""
        if not self.masked:
            return self
        first, last = frames.start, frames.stop
        kept = [(g[(first <= g) & (g < last)] - first, p, r) for g, p, r in self.masked]
        return replace(self, masked=tuple(m for m in kept if len(m[0])))


def _covariance(lags: np.ndarray, points: int) -> np.ndarray | None:
    """Correlations of all pairs along an axis, `[points, points]`, without densities too small to be measured."""
    if len(lags) < 2:
        return None
    values, vectors = eigh(toeplitz(np.pad(lags, (0, max(points - len(lags), 0)))[:points]))
    return (vectors * np.maximum(values, SMALLEST_DENSITY * values[-1])) @ vectors.T


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = eigh(covariance)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _masked(
    covariances: Sequence[np.ndarray], seen: np.ndarray, gappy: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Frames that lack the same pixels, the pixels they have, and the inverse Cholesky factor of these."""
    if not len(gappy):
        return
    if seen.shape[1] > MAXIMUM_PIXELS:
        raise ConfigError(
            "Frames with gaps and correlated noise are too large for trajectories.",
            got=f"{seen.shape[1]} pixels per frame",
            wanted=f"at most {MAXIMUM_PIXELS}, or no gaps",
            fix="cut the field, field.isel(...), or fill the gaps",
        )
    whole = reduce(np.kron, covariances)
    patterns, group = np.unique(seen[gappy], axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        pixels = np.flatnonzero(pattern)
        factor = np.linalg.cholesky(whole[np.ix_(pixels, pixels)])
        inverse = solve_triangular(factor, np.eye(len(pixels)), lower=True)
        yield gappy[group.ravel() == number], pixels, inverse
