"""Equation + observed field -> a least-squares problem in coefficients, initial state and displacements of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, FitError
from bayespde.core.noise import NoiseModel
from bayespde.core.progress import Progress
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.resolution import Resolution
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.solve.time_stepping import evolve
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.frame_shift import displaced
from bayespde.trajectory.initial_state_basis import StateBasis
from bayespde.trajectory.linearised import Linearised, Slopes, normal_gradient, normal_matrix
from bayespde.trajectory.whitener import Whitener

# Step of a parameter in units of its scale. The integrator's error cancels, as all steps are shared, and so need not be
# small: slopes only lead to the mode, where the residual, from one accurate trajectory, decides. Where they lead astray
# they are made more accurate.
STEP, SLOPE_TOLERANCE, TIGHTER = 1e-5, 1e-4, 1e-2
# Values of a batch of trajectories in memory at a time.
MAXIMUM_VALUES = 20_000_000
MAXIMUM_SLOPES = 400_000_000


@dataclass(frozen=True, eq=False)
class TrajectoryProblem:
    """Standardised parameters: coefficients in units of `scale`, all others in units of prior deviations.

    Attributes:
        equation: With the coefficients where the search begins.
        resolution: Grid of the states, and how they map to pixels.
        window: Observed pixels per dimension: the first ones of the domain, or all.
        times: Of the frames.
        observed: `[time, pixels]`, 0 where missing.
        weight: One over the standard deviation of every pixel, 0 where missing, the same shape.
        whiten: Makes residuals in these units independent.
        basis: Of the initial state.
        scale: Of the coefficients, physical units.
        noise: Of the pixels, and jitter of the frames.
        method: How to integrate.
        slope_tolerance: Relative error per step of the trajectories that slopes are taken from.
        progress: How long the fit may take.
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
    noise: NoiseModel
    method: SolverConfig
    slope_tolerance: float = SLOPE_TOLERANCE
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def of(cls, equation: Equation, data: TrajectoryData, basis: StateBasis, method: SolverConfig) -> TrajectoryProblem:
        """Check that the parts fit, and join them.

        Raises:
            ConfigError: If the field is too large.
            FitError: If coefficients are zero or not finite, or the initial state has no waves.
        """
        field, noise, coefficients = data.field, data.noise, np.array(equation.coefficients)
        _check_size(coefficients, basis, frames=len(field))
        if not len(basis.deviation):
            raise FitError(
                "The initial state has no waves.",
                got=f"none larger than {noise.rms:.3g}, the noise of a pixel",
                wanted="a state that stands out of its noise",
                fix="begin at a later frame, field.isel(time=slice(5, None))",
            )
        window, seen = Grid.of(field.isel(time=0, drop=True).fillna(0.0)), ~np.isnan(field.values)
        domain = replace(window, points=basis.shape)
        weight = np.where(seen, 1.0 / np.broadcast_to(noise.sd, field.shape), 0.0).reshape(len(field), -1)
        return cls(
            equation=equation,
            resolution=Resolution.for_waves(domain, method.boundary, float(basis.wave.max())),
            window=field.shape[1:],
            times=field["time"].values,
            observed=np.where(seen, field.values, 0.0).reshape(len(field), -1),
            weight=weight,
            whiten=Whitener.of(noise, seen),
            basis=basis,
            scale=np.abs(coefficients),
            noise=noise,
            method=method,
        )

    @property
    def jitter(self) -> np.ndarray:
        """Of the frames, per axis; empty if they do not jitter."""
        return np.array(self.noise.jitter)

    @property
    def terms(self) -> int:
        """Number of parameters that are coefficients."""
        return len(self.scale)

    @property
    def shared(self) -> int:
        """Number of parameters that all frames share: coefficients and modes."""
        return self.terms + len(self.basis.deviation)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.shared + len(self.times) * len(self.jitter)

    @property
    def seen(self) -> np.ndarray:
        """Which pixels were observed, `[time, pixels]`."""
        return self.weight > 0

    @property
    def is_window(self) -> bool:
        """Whether only a part of the domain was observed."""
        return self.window != self.resolution.pixels.points

    @cached_property
    def modes(self) -> np.ndarray:
        """Of the initial state, at the points of the states, `[points, M]`."""
        modes = self.resolution.at_points(self.basis.modes.T.reshape(-1, *self.basis.shape))
        return modes.reshape(len(modes), -1).T

    def finer(self) -> TrajectoryProblem | None:
        """The same with states at more points, if there are more."""
        resolution = self.resolution.finer()
        return None if resolution is None else replace(self, resolution=resolution)

    def tighter(self) -> TrajectoryProblem | None:
        """The same with more accurate slopes, if the method allows them."""
        if self.slope_tolerance <= self.method.rtol:
            return None
        return replace(self, slope_tolerance=self.slope_tolerance * TIGHTER)

    def first_frames(self, count: int) -> TrajectoryProblem:
        """The same for the first `count` frames; its parameters are the first ones of these."""
        seen = self.seen[:count].reshape(-1, *self.window)
        return replace(
            self,
            times=self.times[:count],
            observed=self.observed[:count],
            weight=self.weight[:count],
            whiten=Whitener.of(self.noise, seen),
        )

    def whole_domain(self) -> TrajectoryProblem:
        """The same if all of the domain were observed, with the mean noise."""
        if not self.is_window:
            return self
        domain = self.resolution.pixels.points
        shape, noise = (len(self.times), math.prod(domain)), replace(self.noise, sd=self.noise.rms)
        return replace(
            self,
            window=domain,
            observed=np.zeros(shape),
            weight=np.full(shape, 1.0 / self.noise.rms),
            whiten=Whitener.of(noise, np.ones((len(self.times), *domain), dtype=bool)),
        )

    def continued(self, parameters: np.ndarray) -> np.ndarray:
        """Parameters of the first frames, and further frames without displacement."""
        return np.pad(parameters, (0, self.size - len(parameters)))

    def start(self, first_frame: np.ndarray) -> np.ndarray:
        """Parameters of the given coefficients and first frame, `[*domain]`, no frame displaced."""
        state = self.basis.coefficients(first_frame) / self.basis.deviation
        coefficients = np.array(self.equation.coefficients) / self.scale
        return self.continued(np.concatenate([coefficients, state]))

    def prior(self) -> np.ndarray:
        """Prior precision of every parameter: coefficients have a flat one."""
        return np.repeat([0.0, 1.0], [self.terms, self.size - self.terms])

    def first_state(self, parameters: np.ndarray) -> np.ndarray:
        """Initial state at the observed pixels, `[*pixels]`."""
        return self._in_window(self.resolution.at_pixels(self.initial_states(parameters[None])))[0]

    def displacements(self, parameters: np.ndarray) -> np.ndarray:
        """Of every frame, `[time, axis]`, physical lengths; no axis if frames do not jitter."""
        return parameters[self.shared :].reshape(len(self.times), -1) * self.jitter

    def residual(self, parameters: np.ndarray) -> np.ndarray:
        """Observed minus predicted pixels, in units of the noise, 0 where missing, `[time, pixels]`.

        Raises:
            BudgetError: If no CPU time is left.
        """
        self.progress.check()
        predicted = self._displaced(self.frames(parameters[None], self.method), parameters)[0]
        return (self.observed - predicted) * self.weight

    def objective(self, residual: np.ndarray, parameters: np.ndarray) -> float:
        """Minus the log posterior, up to a constant; not finite where a trajectory is about to diverge."""
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sum(self.whiten(residual) ** 2) + self.prior() @ parameters**2) / 2

    def linearised(self, parameters: np.ndarray, residual: np.ndarray) -> Linearised:
        """The problem around parameters and their residual, by `white_slopes`."""
        return self.with_slopes(self.white_slopes(parameters), parameters, residual)

    def with_slopes(self, white: Slopes, parameters: np.ndarray, residual: np.ndarray) -> Linearised:
        """The problem around parameters, by slopes that may be those of parameters nearby."""
        scores = normal_gradient(white.common, white.own, self.whiten(residual[..., None])[..., 0])
        return Linearised(white.curvature, scores - self.prior() * parameters, white.unwhitened)

    def white_slopes(self, parameters: np.ndarray) -> Slopes:
        """Slopes of white residuals; a `BudgetError` if no CPU time is left."""
        self.progress.check()
        common, own = self.slopes(parameters)
        white, white_own = self.whiten(common), self.whiten(own)
        curvature = normal_matrix(white, white_own)
        unwhitened = curvature if white is common else normal_matrix(common, own)
        return Slopes(white, white_own, curvature, unwhitened)

    def slopes(self, parameters: np.ndarray, wanted: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Slopes in shared parameters, `[time, pixels, k]`, and in displacements of a frame, `[time, pixels, a]`.

        `wanted` are those of the shared parameters; all by default.
        """
        places = np.arange(self.shared)[wanted]
        method = replace(self.method, rtol=max(self.method.rtol, self.slope_tolerance))
        most = max(1, MAXIMUM_VALUES // (4 * len(self.times) * math.prod(self.resolution.pixels.points)))
        found = np.empty((*self.observed.shape, len(places)))
        for first in range(0, len(places), most):
            some = places[first : first + most]
            batch = np.tile(parameters, (len(some) + 1, 1))
            batch[np.arange(len(some)), some] += STEP
            frames = self.frames(batch, method)
            found[..., first : first + most] = np.moveaxis(
                self._displaced(frames[:-1] - frames[-1], parameters) / STEP, 0, -1
            )
        found *= self.weight[..., None]
        last = frames[-1:]
        own = [self._displaced(last, parameters, axis)[0] * j * self.weight for axis, j in enumerate(self.jitter)]
        return found, np.stack(own, axis=-1) if own else np.zeros((*self.observed.shape, 0))

    def frames(self, parameters: np.ndarray, method: SolverConfig) -> np.ndarray:
        """Trajectories `[B, time, *pixels]` of parameters `[B, n]`, which share steps; no frame displaced."""
        return self.resolution.at_pixels(self.states(parameters, method))

    def states(self, parameters: np.ndarray, method: SolverConfig) -> np.ndarray:
        """The same at the points of the states, `[B, time, *points]`."""
        coefficients = torch.from_numpy(parameters[:, : self.terms] * self.scale)
        start = torch.from_numpy(self.initial_states(parameters))
        compiled = right_hand_side(self.equation, self.resolution.grid, method=method, coefficients=coefficients)
        with torch.no_grad():
            states = evolve(compiled, start, self.times, method=method)
        return np.asarray(states.movedim(1, 0).numpy())

    def initial_states(self, parameters: np.ndarray) -> np.ndarray:
        """Of parameters `[B, n]`, `[B, *points]`."""
        states = parameters[:, self.terms : self.shared] * self.basis.deviation @ self.modes.T
        return states.reshape(-1, *self.resolution.grid.points)

    def _displaced(self, frames: np.ndarray, parameters: np.ndarray, derivative: int | None = None) -> np.ndarray:
        """Frames where they were taken, `[B, time, pixels]`, or the slope in one axis of the displacement."""
        if len(self.jitter):
            moved = self.displacements(parameters)
            frames = displaced(frames, moved, self.resolution.pixels.steps, self.method.boundary, derivative)
        return self._in_window(frames).reshape(*frames.shape[:2], -1)

    def _in_window(self, frames: np.ndarray) -> np.ndarray:
        """The observed part of frames `[..., *domain]`, `[..., *pixels]`."""
        for axis, points in enumerate(self.window, start=frames.ndim - len(self.window)):
            frames = np.moveaxis(np.moveaxis(frames, axis, 0)[:points], 0, axis)
        return frames


def _check_size(coefficients: np.ndarray, basis: StateBasis, *, frames: int) -> None:
    if not (len(coefficients) and np.isfinite(coefficients).all() and coefficients.all()):
        raise FitError(
            "The trajectory has no coefficients to begin at.",
            got=f"coefficients {coefficients}",
            wanted="one or more finite coefficients other than 0",
            fix="take them from bayespde.equations(posterior)",
        )
    pixels = frames * math.prod(basis.shape)
    if pixels * (len(coefficients) + len(basis.deviation)) > MAXIMUM_SLOPES:
        raise ConfigError(
            "The field is too large for trajectories.",
            got=f"{pixels} pixels with the padding, and {len(basis.deviation)} modes of the initial state",
            wanted=f"at most {MAXIMUM_SLOPES:.0e} slopes, pixels times modes",
            fix="fewer frames or pixels, field.isel(...), less padding, or TrajectoryConfig(most_modes=...)",
        )
