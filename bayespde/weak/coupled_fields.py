"""Another field of a system -> how it, and the noise of its pixels, enter the moments of one equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import sympy
import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.terms import derivative_name
from bayespde.noise.covariance import NoiseCovariance, noise_of
from bayespde.weak.integration_by_parts import Orders, noise_kernels
from bayespde.weak.smoother import GaussianSmoother, noise_gain
from bayespde.weak.test_functions import TestFunctions


@dataclass(frozen=True, eq=False)
class CoupledField:
    """A field that terms may name, but whose time derivative is not the target.

    Attributes:
        field: Raw and checked, on the grid of the target's field.
        smooth: The smooth field made from it.
        fill: That from which missing pixels take their values, `smooth` if absent.
        noise: What its noise is made of; estimated if absent.
        kernels: For each term, the kernels of its first variation in this field by order on the test function.
    """

    field: xr.DataArray
    smooth: GaussianSmoother
    fill: GaussianSmoother | None = None
    noise: NoiseCovariance | None = None
    kernels: tuple[dict[Orders, sympy.Expr], ...] = ()

    @property
    def name(self) -> str:
        """Of the field, as in terms."""
        return str(self.field.name)

    @property
    def known_noise(self) -> NoiseCovariance:
        """The noise of a field that was prepared."""
        assert self.noise is not None
        return self.noise

    @property
    def orders(self) -> set[Orders]:
        """Derivatives that stand on the test functions where this field enters."""
        return set[Orders]().union(*self.kernels)

    def prepared(self, library: Library, values: Callable[[str], np.ndarray], kind: str) -> CoupledField:
        """With the noise and the kernels of a library; `values` are derivatives of smooth fields by name."""
        dims = tuple(map(str, self.field.dims))
        noise = self.noise or noise_seen(self.field, values, self.smooth.noise_scale, kind)
        return replace(self, noise=noise, kernels=tuple(noise_kernels(t, self.name, dims) for t in library))

    def seen_through(self, windows: tuple[TestFunctions, ...]) -> CoupledField:
        """With the share of its noise that values filled in for missing pixels repeat."""
        if not np.isnan(self.field.values).any():
            return self
        kept = noise_gain(self.fill or self.smooth, windows, (0,) * self.field.ndim)
        return replace(self, noise=replace(self.known_noise, kept=kept))

    def restricted(self, on: np.ndarray) -> CoupledField:
        """For the terms that are on, `[K]`, bool."""
        return replace(self, kernels=tuple(k for k, keep in zip(self.kernels, on, strict=True) if keep))


def noise_seen(
    field: xr.DataArray,
    values: Callable[[str], np.ndarray],
    noise_scale: float,
    kind: str,
    jitter: tuple[float, ...] = (),
) -> NoiseCovariance:
    """What the noise of a field is made of, by what its smooth one leaves; arguments as of `noise_of`."""
    name, dims = str(field.name), tuple(map(str, field.dims))
    return noise_of(field.values, lambda o: values(derivative_name(name, o, dims)), noise_scale, kind, jitter)


def filled(field: xr.DataArray, smooth: GaussianSmoother) -> np.ndarray:
    """Values of a field, those of the smooth one where pixels are missing."""
    missing = np.isnan(field.values)
    return np.where(missing, smooth.evaluate((0,) * field.ndim), field.values) if missing.any() else field.values
