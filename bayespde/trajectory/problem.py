"""Equation + field + how it was recorded -> a least-squares problem in coefficients, first state and displacements."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, FitError
from bayespde.noise.observation_model import ObservationModel, Whitener
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.resolution import Resolution
from bayespde.solve.stencils import right_hand_side
from bayespde.solve.time_stepping import evolve
from bayespde.trajectory.frame_shift import displaced
from bayespde.trajectory.initial_state_basis import StateBasis

# Step of a parameter in units of its scale; the integrator's error cancels, as all steps are shared, and so need not be
# small: slopes only lead to the mode, where the residual, from one exact trajectory, decides. Where they lead astray
# they are made more exact.
STEP, SLOPE_TOLERANCE, TIGHTER = 1e-5, 1e-4, 1e-2
# Values of a batch of trajectories in memory at a time.
MOST_VALUES = 20_000_000
MOST_SLOPES = 400_000_000


class Linearised(NamedTuple):
    """The problem around parameters `[n]`: coefficients first, then modes of the state, then displacements.

    Attributes:
        curvature: Of half the squared white residual, `[n, n]`.
        gradient: Its negative slope, `[n]`.
        spread: What residuals that are not white would have for a curvature, `[n, n]`.
    """

    curvature: np.ndarray
    gradient: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True, eq=False)
class TrajectoryProblem:
    """Standardised parameters: coefficients in units of `scale`, all else in units of prior deviations.

    Attributes:
        equation: With the coefficients where the search begins.
        resolution: Grid of the states, and how pixels see them.
        window: Pixels per dimension that were looked at: the first ones of the domain, or all.
        times: Of the frames.
        observed: `[time, pixels]`, 0 where missing.
        weight: One over the standard deviation of every pixel, 0 where missing, the same shape.
        whiten: Makes residuals in these units independent.
        basis: Of the first state.
        scale: Of the coefficients, physical units.
        observation: Noise of the pixels, and jitter of the frames.
        method: How to integrate.
        slope_tolerance: Relative error per step of the trajectories that slopes are taken from.
    """

    equation: Equation
    resolution: Resolution
    window: tuple[int, ...]
    times: np.ndarray
    observed: np.ndarray
    weight: np.ndarray
    whiten: Whitener
    basis: StateBasis
    scale: np.ndarray
    observation: ObservationModel
    method: SolverConfig
    slope_tolerance: float = SLOPE_TOLERANCE

    @classmethod
    def of(
        cls,
        equation: Equation,
        field: xr.DataArray,
        basis: StateBasis,
        observation: ObservationModel,
        method: SolverConfig,
    ) -> TrajectoryProblem:
        """Check that the parts fit, and join them; arguments as for `fit_trajectory`.

        Raises:
            ConfigError: If the field is too large.
            FitError: If coefficients are zero or not finite, or the first state has no waves.
        """
        coefficients = np.array(equation.coefficients)
        if not (len(coefficients) and np.isfinite(coefficients).all() and coefficients.all()):
            raise FitError(
                "The trajectory has no place to begin.",
                got=f"coefficients {coefficients}",
                wanted="one or more finite coefficients other than 0",
                fix="take them from bayespde.equations(posterior)",
            )
        pixels = len(field) * math.prod(basis.shape)
        if pixels * (len(coefficients) + len(basis.deviation)) > MOST_SLOPES:
            raise ConfigError(
                "The field is too large for trajectories.",
                got=f"{pixels} pixels with what is beyond, and {len(basis.deviation)} modes of the initial state",
                wanted=f"at most {MOST_SLOPES:.0e} slopes, pixels times modes",
                fix="fewer frames or pixels, field.isel(...), a narrower padding, or TrajectoryConfig(most_modes=...)",
            )
        if not len(basis.deviation):
            raise FitError(
                "The first state has no waves.",
                got=f"none larger than {observation.size:.3g}, the noise of a pixel",
                wanted="a state that stands out of its noise",
                fix="begin at a later frame, field.isel(time=slice(5, None))",
            )
        window, seen = Grid.of(field.isel(time=0, drop=True).fillna(0.0)), ~np.isnan(field.values)
        domain = replace(window, points=basis.shape)
        weight = np.where(seen, 1.0 / np.broadcast_to(observation.scale, field.shape), 0.0).reshape(len(field), -1)
        return cls(
            equation=equation,
            resolution=Resolution.for_waves(domain, method.boundary, float(basis.wave.max())),
            window=field.shape[1:],
            times=field["time"].values,
            observed=np.where(seen, field.values, 0.0).reshape(len(field), -1),
            weight=weight,
            whiten=Whitener.of(observation, seen),
            basis=basis,
            scale=np.abs(coefficients),
            observation=observation,
            method=method,
        )

    @property
    def jitter(self) -> np.ndarray:
        """Of the frames, per axis; empty if they stay."""
        return np.array(self.observation.jitter)

    @property
    def terms(self) -> int:
        """How many parameters are coefficients."""
        return len(self.scale)

    @property
    def shared(self) -> int:
        """How many parameters all frames share: coefficients and modes."""
        return self.terms + len(self.basis.deviation)

    @property
    def seen(self) -> np.ndarray:
        """Which pixels were observed, `[time, pixels]`."""
        return self.weight > 0

    @cached_property
    def modes(self) -> np.ndarray:
        """Of the first state, at the points of the states, `[points, M]`."""
        modes = self.resolution.at_points(self.basis.modes.T.reshape(-1, *self.basis.shape))
        return modes.reshape(len(modes), -1).T

    def finer(self) -> TrajectoryProblem | None:
        """The same with states at more points, if there are more."""
        resolution = self.resolution.finer()
        return None if resolution is None else replace(self, resolution=resolution)

    def tighter(self) -> TrajectoryProblem | None:
        """The same with more exact slopes, if they can be."""
        if self.slope_tolerance <= self.method.rtol:
            return None
        return replace(self, slope_tolerance=self.slope_tolerance * TIGHTER)

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return self.shared + len(self.times) * len(self.jitter)

    def until(self, count: int) -> TrajectoryProblem:
        """The same for the first so many frames; its parameters are the first ones of these."""
        seen = self.seen[:count].reshape(-1, *self.window)
        return replace(
            self,
            times=self.times[:count],
            observed=self.observed[:count],
            weight=self.weight[:count],
            whiten=Whitener.of(self.observation, seen),
        )

    @property
    def is_window(self) -> bool:
        """Whether there is more to the domain than was looked at."""
        return self.window != self.resolution.pixels.points

    def everywhere(self) -> TrajectoryProblem:
        """The same if all of the domain were looked at, with the mean noise."""
        if not self.is_window:
            return self
        domain = self.resolution.pixels.points
        shape = (len(self.times), math.prod(domain))
        observation = replace(self.observation, scale=self.observation.size)
        return replace(
            self,
            window=domain,
            observed=np.zeros(shape),
            weight=np.full(shape, 1.0 / self.observation.size),
            whiten=Whitener.of(observation, np.ones((len(self.times), *domain), dtype=bool)),
        )

    def continued(self, parameters: np.ndarray) -> np.ndarray:
        """Parameters of the first frames, and further frames at rest."""
        return np.pad(parameters, (0, self.size - len(parameters)))

    def start(self, pilot: np.ndarray) -> np.ndarray:
        """Parameters of the given coefficients and first frame, `[*domain]`, no frame displaced."""
        state = self.basis.coefficients(pilot) / self.basis.deviation
        coefficients = np.array(self.equation.coefficients) / self.scale
        return self.continued(np.concatenate([coefficients, state]))

    def prior(self) -> np.ndarray:
        """Prior precision of every parameter: coefficients have a flat one."""
        return np.repeat([0.0, 1.0], [self.terms, self.size - self.terms])

    def first_state(self, parameters: np.ndarray) -> np.ndarray:
        """State at the first time, at the pixels, `[*pixels]`."""
        return self._looked_at(self.resolution.at_pixels(self._starts(parameters[None])))[0]

    def displacements(self, parameters: np.ndarray) -> np.ndarray:
        """Of every frame, `[time, axis]`, physical lengths; no axis if frames stay."""
        return parameters[self.shared :].reshape(len(self.times), -1) * self.jitter

    def residual(self, parameters: np.ndarray) -> np.ndarray:
        """Observed minus shown, in units of the noise, 0 where missing, `[time, pixels]`."""
        shown = self._moved(self.frames(parameters[None], self.method), parameters)[0]
        return (self.observed - shown) * self.weight

    def objective(self, residual: np.ndarray, parameters: np.ndarray) -> float:
        """Minus the log posterior, up to a constant; not finite where a trajectory is about to run away."""
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sum(self.whiten(residual) ** 2) + self.prior() @ parameters**2) / 2

    def linearised(self, parameters: np.ndarray, residual: np.ndarray) -> Linearised:
        """The problem around parameters and their residual."""
        common, own = self.slopes(parameters)
        white = [self.whiten(s) for s in (residual[..., None], common, own)]
        gradient = np.concatenate(
            [
                np.einsum("tpk,tp->k", white[1], white[0][..., 0]),
                np.einsum("tpk,tp->tk", white[2], white[0][..., 0]).ravel(),
            ]
        )
        curvature = _normal(white[1], white[2])
        spread = curvature if white[1] is common else _normal(common, own)
        return Linearised(curvature, gradient - self.prior() * parameters, spread)

    def slopes(self, parameters: np.ndarray, wanted: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Slopes in what frames share, `[time, pixels, k]`, and in displacements of their own, `[time, pixels, a]`.

        `wanted` are those of the shared parameters; all by default.
        """
        places = np.arange(self.shared)[wanted]
        method = replace(self.method, rtol=max(self.method.rtol, self.slope_tolerance))
        most = max(1, MOST_VALUES // (4 * len(self.times) * math.prod(self.resolution.pixels.points)))
        found = np.empty((*self.observed.shape, len(places)))
        for first in range(0, len(places), most):
            some = places[first : first + most]
            batch = np.tile(parameters, (len(some) + 1, 1))
            batch[np.arange(len(some)), some] += STEP
            frames = self.frames(batch, method)
            found[..., first : first + most] = np.moveaxis(
                self._moved(frames[:-1] - frames[-1], parameters) / STEP, 0, -1
            )
        found *= self.weight[..., None]
        last = frames[-1:]
        own = [self._moved(last, parameters, axis)[0] * j * self.weight for axis, j in enumerate(self.jitter)]
        return found, np.stack(own, axis=-1) if own else np.zeros((*self.observed.shape, 0))

    def frames(self, parameters: np.ndarray, method: SolverConfig) -> np.ndarray:
        """Trajectories `[B, time, *pixels]` of parameters `[B, n]`, which share steps; no frame displaced."""
        return self.resolution.at_pixels(self.states(parameters, method))

    def states(self, parameters: np.ndarray, method: SolverConfig) -> np.ndarray:
        """The same at the points of the states, `[B, time, *points]`."""
        coefficients = torch.from_numpy(parameters[:, : self.terms] * self.scale)
        start = torch.from_numpy(self._starts(parameters))
        compiled = right_hand_side(self.equation, self.resolution.grid, method=method, coefficients=coefficients)
        with torch.no_grad():
            states = evolve(compiled, start, self.times, method=method)
        return np.asarray(states.movedim(1, 0).numpy())

    def _starts(self, parameters: np.ndarray) -> np.ndarray:
        """First states of parameters `[B, n]`, `[B, *points]`."""
        states = parameters[:, self.terms : self.shared] * self.basis.deviation @ self.modes.T
        return states.reshape(-1, *self.resolution.grid.points)

    def _moved(self, frames: np.ndarray, parameters: np.ndarray, derivative: int | None = None) -> np.ndarray:
        """Frames where they were taken, `[B, time, pixels]`, or the slope in one axis of the displacement."""
        if len(self.jitter):
            moved = self.displacements(parameters)
            frames = displaced(frames, moved, self.resolution.pixels.steps, self.method.boundary, derivative)
        return self._looked_at(frames).reshape(*frames.shape[:2], -1)

    def _looked_at(self, frames: np.ndarray) -> np.ndarray:
        """Of frames `[..., *domain]` the window, `[..., *pixels]`."""
        for axis, points in enumerate(self.window, start=frames.ndim - len(self.window)):
            frames = np.moveaxis(np.moveaxis(frames, axis, 0)[:points], 0, axis)
        return frames


def _normal(common: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Products of slopes in `common` parameters, `[time, pixels, k]`, and in those of a frame, `[time, pixels, a]`."""
    flat, (frames, _, axes) = common.reshape(-1, common.shape[-1]), own.shape
    shared, count = flat.shape[1], flat.shape[1] + frames * axes
    total = np.zeros((count, count))
    total[:shared, :shared] = flat.T @ flat
    if axes:
        mixed = np.einsum("tpk,tpa->kta", common, own).reshape(shared, -1)
        total[:shared, shared:], total[shared:, :shared] = mixed, mixed.T
        for t, block in enumerate(np.einsum("tpa,tpb->tab", own, own)):
            here = slice(shared + t * axes, shared + (t + 1) * axes)
            total[here, here] = block
    return total
