"""Equation -> moments over the smoothed fields conditioned on it: formed anew at every linearisation point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayespde.core.equation import Library
from bayespde.weak.condition import condition_on_equation
from bayespde.weak.moments import weak_problem
from bayespde.weak.placement import place
from bayespde.weak.problem import WeakProblem
from bayespde.weak.smoother import GaussianSmoother, influential_modes
from bayespde.weak.test_functions import TestFunctions

STEPS = 2
NEGLIGIBLE = 1e-4


@dataclass(frozen=True, eq=False)
class Assembler:
    """Forms moments at an equation.

    Attributes:
        library: The terms to form.
        first: Moments of all terms over the smoothed fields themselves, which it takes fields, noise and settings from.
        test_functions: One per dimension, time first.
        conditioned: Whether the fields are conditioned on the equation; if not, moments are over the smoothed fields.
        start: Fields that nearly satisfy the equation, from which one step is enough, and the covariance of their
            moments.
    """

    library: Library
    first: WeakProblem
    test_functions: tuple[TestFunctions, ...]
    conditioned: bool = True
    start: tuple[tuple[GaussianSmoother, ...], np.ndarray] | None = None

    def __call__(self, point: np.ndarray) -> WeakProblem:
        """Moments of the terms over the fields conditioned on the equation `point`, `[K]`, physical units."""
        return self._moments(self.library, self.condition(point)[0] if self.conditioned else self._smooths)

    def restricted(self, on: np.ndarray) -> Assembler:
        """The same for the terms that are on, `[K]`, bool."""
        return replace(self, library=self.library.chosen(on))

    def thinned(self, rows: int) -> Assembler:
        """The same with at most `rows` test functions of the same support."""
        centres = place(self.first.shape, tuple(f.radius for f in self.test_functions), rows)
        fewer = tuple(replace(f, centres=c) for f, c in zip(self.test_functions, centres, strict=True))
        return replace(self, test_functions=fewer)

    def starting_at(self, point: np.ndarray) -> Assembler:
        """The same, fields one step from those that are conditioned on the equation `point`, `[K]`."""
        return replace(self, start=self.condition(point)) if self.conditioned else self

    def condition(self, point: np.ndarray) -> tuple[tuple[GaussianSmoother, ...], np.ndarray]:
        """The fields nearest to the smoothed ones whose moments satisfy an equation, and their covariance.

        Terms that contribute next to nothing are left out.
        """
        size = [np.linalg.norm(self.first.design[:, self.first.library.index(t.name)]) for t in self.library]
        weight = np.array(size) * np.abs(point)
        on = weight > NEGLIGIBLE * weight.max(initial=0.0) if weight.any() else np.ones(len(point), dtype=bool)
        few = self.library.chosen(on)
        if self.start is not None:
            near, noise = self.start
            moments = self._moments(few, near)
            return condition_on_equation(self._smooths, near, moments, point[on], noise, self._influential), noise
        moments, current = self._moments(few, self._smooths), self._smooths
        noise = moments.noise_covariance(point[on])
        # On nearly clean data the smoother takes its own error for noise, and so does its posterior.
        noise *= self._smooths[0].noise_scale ** 2 / max(float(np.mean(moments.noise.sd**2)), 1e-300)
        for step in range(STEPS if weight.any() else 0):
            moments = self._moments(few, current) if step else moments
            current = condition_on_equation(self._smooths, current, moments, point[on], noise, self._influential)
        return current, noise

    @property
    def _smooths(self) -> tuple[GaussianSmoother, ...]:
        """The smoothers of all fields, that of the target first."""
        return tuple(f.smooth for f in self.first.fields)

    @cached_property
    def _influential(self) -> tuple[np.ndarray, ...]:
        """Modes of the smoothers that may move, by the derivatives of all candidate terms."""
        return tuple(
            influential_modes(s, self.test_functions, self.first.orders(i)) for i, s in enumerate(self._smooths)
        )

    def _moments(self, library: Library, smooths: tuple[GaussianSmoother, ...]) -> WeakProblem:
        first = self.first
        fields = tuple(
            replace(f, smooth=s, filler=f.smooth, noise=t.noise)
            for f, s, t in zip(first.fields, smooths, first.transfers, strict=True)
        )
        moments = weak_problem(library, fields, options=first.options, test_functions=self.test_functions)
        return replace(moments, capped=first.capped)
