"""LinearisationPoint equation -> moments over the smooth field that obeys it: what is formed anew in every round of the pilot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import xarray as xr

from bayespde.core.equation import Library
from bayespde.weak.condition import constrain
from bayespde.weak.moments import weak_problem
from bayespde.weak.problem import WeakProblem
from bayespde.weak.smoother import GaussianSmoother, influential_modes
from bayespde.weak.test_functions import TestFunctions, place

STEPS = 2
NEGLIGIBLE = 1e-4


@dataclass(frozen=True, eq=False)
class Assembler:
    """Forms moments at an equation.

    Attributes:
        library: The terms to form.
        field: The raw, checked field.
        smooth: The spline made from it.
        first: Moments over the spline itself; for settings and noise.
        windows: The test functions.
        bound: Whether the field is made to obey; if not, moments are over the spline itself.
        start: Fields that nearly obey, from which one step is enough, and the covariance of their moments.
    """

    library: Library
    field: xr.DataArray
    smooth: GaussianSmoother
    first: WeakProblem
    windows: tuple[TestFunctions, ...]
    bound: bool = True
    start: tuple[tuple[GaussianSmoother, ...], np.ndarray] | None = None

    def __call__(self, pilot: np.ndarray) -> WeakProblem:
        """Moments of the terms over the field that obeys the equation `pilot`, `[K]`, physical units."""
        return self._moments(self.library, self._obeying(pilot)[0] if self.bound else self._smooths)

    def restricted(self, on: np.ndarray) -> Assembler:
        """The same for the terms that are on, `[K]`, bool."""
        return replace(self, library=self.library.chosen(on))

    def thinned(self, rows: int) -> Assembler:
        """The same with at most so many test functions, as wide as they are."""
        shape, widths = self.field.shape, tuple(w.half_width for w in self.windows)
        centres = place(shape, widths, rows)
        windows = tuple(replace(w, centres=c) for w, c in zip(self.windows, centres, strict=True))
        return replace(self, windows=windows)

    def starting_at(self, pilot: np.ndarray) -> Assembler:
        """The same, each field one step from the one that obeys the equation `pilot`, `[K]`."""
        if not self.bound:
            return self
        return replace(self, start=self._obeying(pilot))

    def _obeying(self, pilot: np.ndarray) -> tuple[tuple[GaussianSmoother, ...], np.ndarray]:
        """The fields nearest to the splines whose moments obey an equation, and their covariance.

        Terms that contribute next to nothing are left out.
        """
        size = [np.linalg.norm(self.first.design[:, self.first.library.index(t.name)]) for t in self.library]
        weight = np.array(size) * np.abs(pilot)
        on = weight > NEGLIGIBLE * weight.max(initial=0.0) if weight.any() else np.ones(len(pilot), dtype=bool)
        few = self.library.chosen(on)
        if self.start is not None:
            near, noise = self.start
            return constrain(self._smooths, near, self._moments(few, near), pilot[on], noise, self._felt), noise
        moments, current = self._moments(few, self._smooths), self._smooths
        noise = moments.noise_covariance(pilot[on])
        # On nearly clean data the smoother takes its own error for noise, and that is what its posterior knows of.
        noise *= self.smooth.noise_scale**2 / max(float(np.mean(moments.noise.pixel**2)), 1e-300)
        for step in range(STEPS if weight.any() else 0):
            moments = self._moments(few, current) if step else moments
            current = constrain(self._smooths, current, moments, pilot[on], noise, self._felt)
        return current, noise

    @property
    def _smooths(self) -> tuple[GaussianSmoother, ...]:
        """The splines of all fields, that of the target first."""
        return (self.smooth, *(b.smooth for b in self.first.coupled_fields))

    @cached_property
    def _felt(self) -> tuple[np.ndarray, ...]:
        """Modes of the splines that may move, by the derivatives of all candidate terms."""
        orders = (self.first.orders, *(b.orders for b in self.first.coupled_fields))
        return tuple(influential_modes(s, self.windows, o) for s, o in zip(self._smooths, orders, strict=True))

    def _moments(self, library: Library, smooths: tuple[GaussianSmoother, ...]) -> WeakProblem:
        first = self.first
        moments = weak_problem(
            library,
            self.field,
            smooths[0],
            options=first.options,
            noise=first.noise,
            windows=self.windows,
            fill=self.smooth,
            coupled_fields=tuple(
                replace(b, smooth=s, fill=b.smooth) for b, s in zip(first.coupled_fields, smooths[1:], strict=True)
            ),
        )
        return replace(moments, capped=first.capped)
