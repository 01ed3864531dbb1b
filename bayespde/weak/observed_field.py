"""A raw field + its smoother -> how the noise of its pixels enters the moments of an equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.noise import NoiseModel
from bayespde.core.terms import derivative_name, first_orders
from bayespde.noise.estimate import estimate_noise
from bayespde.weak.integration_by_parts import Kernels, Orders, noise_kernels
from bayespde.weak.smoother import GaussianSmoother, noise_gain
from bayespde.weak.test_functions import TestFunctions

Values = Callable[[str], np.ndarray]
"""A derivative of a smoothed field on its grid, by name."""


@dataclass(frozen=True, eq=False)
class ObservedField:
    """A field of an equation: that of the target, or one coupled with it.

    Attributes:
        raw: Checked field on the common grid; NaN are missing.
        smooth: Its smoother.
        filler: Smoother from which missing pixels take their values, `smooth` if absent. It must not be conditioned on
            the equation: pixels that satisfy it by construction would be evidence for it.
        noise: Its noise model; estimated from the residuals if absent.
        jitter: Standard deviations of displacements of frames that registration has removed, per axis of space,
            physical lengths.
    """

    raw: xr.DataArray
    smooth: GaussianSmoother
    filler: GaussianSmoother | None = None
    noise: NoiseModel | None = None
    jitter: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Of the field, as in terms."""
        return str(self.raw.name)

    @property
    def missing(self) -> np.ndarray:
        """Which pixels are missing, field shape, bool."""
        return np.isnan(self.raw.values)

    def filled(self) -> np.ndarray:
        """Raw values, those of the filler where pixels are missing."""
        missing = self.missing
        if not missing.any():
            return self.raw.values
        return np.where(missing, (self.filler or self.smooth).evaluate((0,) * self.raw.ndim), self.raw.values)

    def noise_model(self, values: Values, kind: str) -> NoiseModel:
        """Its noise model, estimated if it is not known; `values` are derivatives of the smoothed fields by name."""
        if self.noise is not None:
            return self.noise
        dims = tuple(map(str, self.raw.dims))

        def evaluate(orders: Orders) -> np.ndarray:
            return values(derivative_name(self.name, orders, dims))

        return estimate_noise(self.raw.values, evaluate, self.smooth.noise_scale, kind=kind, jitter=self.jitter)


@dataclass(frozen=True, eq=False)
class NoiseTransfer:
    """How the noise of the pixels of one field enters the moments of every term.

    Attributes:
        noise: Noise model of the field.
        kernels: For each term, the kernels of its first variation in this field.
        slopes: Derivative of the smoothed field along each axis of space, which displacements of frames multiply; none
            where frames do not jitter.
        fill_gain: Share of the noise around missing pixels that the values filled in for them repeat.
    """

    noise: NoiseModel
    kernels: tuple[Kernels, ...] = ()
    slopes: tuple[np.ndarray, ...] = ()
    fill_gain: float = 1.0

    @classmethod
    def of(cls, field: ObservedField, library: Library, values: Values, kind: str) -> NoiseTransfer:
        """With noise model and kernels; the fill gain needs test functions."""
        noise, dims = field.noise_model(values, kind), tuple(map(str, field.raw.dims))
        orders = first_orders(len(dims))[1:] if noise.jitter else ()
        return cls(
            noise,
            kernels=tuple(noise_kernels(term, field.name, dims) for term in library),
            slopes=tuple(values(derivative_name(field.name, o, dims)) for o in orders),
        )

    def with_fill_gain(
        self, field: ObservedField, test_functions: tuple[TestFunctions, ...], order: Orders
    ) -> NoiseTransfer:
        """The same, its fill gain averaged over a derivative of the test functions."""
        if not field.missing.any():
            return self
        return replace(self, fill_gain=noise_gain(field.filler or field.smooth, test_functions, order))

    @property
    def orders(self) -> set[Orders]:
        """Derivatives on the test functions with which this field enters the terms."""
        return set[Orders]().union(*self.kernels)

    @property
    def effective_sd(self) -> float | np.ndarray:
        """Standard deviation of the pixels as if none were missing.

        A sum over n pixels, n s of them observed, has the noise of those plus what the n (1 - s) filled ones repeat of
        it: the variance of n s (1 + g (1 - s) / s)^2 pixels for a fill gain g. Filled from close by, g = 1, that is
        n / s: the information of n s.
        """
        noise = self.noise
        if noise.seen_share is None:
            return noise.sd
        return np.asarray(
            noise.sd * (noise.seen_share + self.fill_gain * (1 - noise.seen_share)) / np.sqrt(noise.seen_share)
        )

    def restricted(self, on: np.ndarray) -> NoiseTransfer:
        """For the terms that are on, `[K]`, bool."""
        return replace(self, kernels=tuple(k for k, keep in zip(self.kernels, on, strict=True) if keep))
