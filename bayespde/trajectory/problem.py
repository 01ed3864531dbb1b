"""Equation + observed field -> a least-squares problem in coefficients, initial state and displacements of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, FitError
from bayespde.core.noise import NoiseModel
from bayespde.core.progress import Progress
from bayespde.core.terms import Term
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.resolution import Resolution
from bayespde.solve.tangent import TangentModel
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.initial_state_basis import StateBasis
from bayespde.trajectory.linearised import Linearised, Slopes, normal_gradient, normal_matrix
from bayespde.trajectory.observation import Observation
from bayespde.trajectory.whitener import Whitener

# Relative error per step of the trajectory along which slopes are taken, and the factor by which it falls where they
# lead astray: they only lead to the mode, where the residual, from one accurate trajectory, decides.
SLOPE_TOLERANCE, TIGHTER = 1e-4, 1e-2
MAXIMUM_SLOPES = 400_000_000


@dataclass(frozen=True, eq=False)
class TrajectoryProblem:
    """Standardised parameters: coefficients in units of `scale`, all others in units of prior deviations.

    Attributes:
        equation: With the coefficients where the search begins.
        resolution: Grid of the states.
        coarse: Grid of the states along which slopes are taken.
        times: Of the frames.
        observed: `[time, pixels]`, 0 where missing.
        observation: How states become white pixels.
        basis: Of the initial state.
        scale: Of the coefficients, physical units.
        noise: Of the pixels, and jitter of the frames.
        method: How to integrate.
        slope_tolerance: Relative error per step of the trajectories that slopes are taken from.
        progress: How long the fit may take.
        hopeless: Objective that a fit has to come below to be of use.
    """

    equation: Equation
    resolution: Resolution
    coarse: Resolution
    times: np.ndarray
    observed: np.ndarray
    observation: Observation
    basis: StateBasis
    scale: np.ndarray
    noise: NoiseModel
    method: SolverConfig
    slope_tolerance: float = SLOPE_TOLERANCE
    progress: Progress = field(default_factory=Progress)
    hopeless: float = math.inf

    @classmethod
    def of(cls, equation: Equation, data: TrajectoryData, basis: StateBasis, method: SolverConfig) -> TrajectoryProblem:
        """Check that the parts fit, and join them.

        Raises:
            ConfigError: If the field is too large.
            FitError: If coefficients are zero or not finite, or the initial state has no waves.
        """
        field, noise, coefficients = data.field, data.noise, np.array(equation.coefficients)
        if not len(basis.deviation):
            raise FitError(
                "The initial state has no waves.",
                got=f"none larger than {noise.rms:.3g}, the noise of a pixel",
                wanted="a state that stands out of its noise",
                fix="begin at a later frame, field.isel(time=slice(5, None))",
            )
        window, seen = Grid.of(field.isel(time=0, drop=True).fillna(0.0)), ~np.isnan(field.values)
        domain = replace(window, points=basis.shape)
        resolution = Resolution.for_waves(domain, method.boundary, float(basis.wave.max()))
        _check_size(coefficients, basis, len(field) * math.prod(resolution.grid.points))
        weight = np.where(seen, 1.0 / np.broadcast_to(noise.sd, field.shape), 0.0).reshape(len(field), -1)
        whiten = Whitener.of(noise, seen)
        return cls(
            equation=equation,
            resolution=resolution,
            coarse=resolution,
            times=field["time"].values,
            observed=np.where(seen, field.values, 0.0).reshape(len(field), -1),
            observation=Observation(domain, method.boundary, field.shape[1:], weight, whiten, tuple(noise.jitter)),
            basis=basis,
            scale=np.abs(coefficients),
            noise=noise,
            method=method,
        )

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
        return self.shared + len(self.times) * len(self.observation.jitter)

    @property
    def seen(self) -> np.ndarray:
        """Which pixels were observed, `[time, pixels]`."""
        return self.observation.weight > 0

    def finer(self) -> TrajectoryProblem | None:
        """The same with states at more points, if there are more."""
        resolution = self.resolution.finer()
        return None if resolution is None else replace(self, resolution=resolution)

    def beyond_pixels(self) -> TrajectoryProblem:
        """The same with states at more points than there are pixels."""
        return replace(self, resolution=self.resolution.beyond_pixels())

    @property
    def is_affordable(self) -> bool:
        """Whether slopes along states at all of their points fit into memory."""
        return math.prod(self.resolution.grid.points) * len(self.times) * self.shared <= MAXIMUM_SLOPES

    def with_own_slopes(self) -> TrajectoryProblem:
        """The same with slopes along states at all of their points."""
        return replace(self, coarse=self.resolution)

    def tighter(self) -> TrajectoryProblem | None:
        """The same with more accurate slopes, if there are any."""
        if self.coarse != self.resolution:
            finer = self.coarse.finer()
            return self.with_own_slopes() if finer is None else replace(self, coarse=finer)
        if self.slope_tolerance <= self.method.rtol:
            return None
        return replace(self, slope_tolerance=self.slope_tolerance * TIGHTER)

    def first_frames(self, count: int) -> TrajectoryProblem:
        """The same for the first `count` frames; its parameters are the first ones of these."""
        observation, seen = self.observation, self.seen[:count].reshape(-1, *self.observation.window)
        part = replace(observation, weight=observation.weight[:count], whiten=Whitener.of(self.noise, seen))
        return replace(self, times=self.times[:count], observed=self.observed[:count], observation=part)

    def whole_domain(self) -> TrajectoryProblem:
        """The same if all of the domain were observed, with the mean noise."""
        if not self.observation.is_window:
            return self
        domain = self.observation.pixels.points
        shape, noise = (len(self.times), math.prod(domain)), replace(self.noise, sd=self.noise.rms)
        whiten = Whitener.of(noise, np.ones((len(self.times), *domain), dtype=bool))
        weight = np.full(shape, 1.0 / self.noise.rms)
        everything = replace(self.observation, window=domain, weight=weight, whiten=whiten)
        return replace(self, observed=np.zeros(shape), observation=everything)

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
        window = tuple(slice(n) for n in self.observation.window)
        return self.resolution.at_pixels(self.initial_state(parameters, self.resolution))[window]

    def displacements(self, parameters: np.ndarray) -> np.ndarray:
        """Of every frame, `[time, axis]`, physical lengths; no axis if frames do not jitter."""
        return parameters[self.shared :].reshape(len(self.times), -1) * np.array(self.observation.jitter)

    def residual(self, parameters: np.ndarray) -> np.ndarray:
        """Observed minus predicted pixels, in units of the noise, 0 where missing, `[time, pixels]`.

        Raises:
            BudgetError: If no CPU time is left.
        """
        self.progress.check()
        model = self._along(parameters, self.resolution, self.method.rtol)
        predicted = self.observation.predicted(model.states(), self.displacements(parameters))
        return (self.observed - predicted) * self.observation.weight

    def objective(self, residual: np.ndarray, parameters: np.ndarray) -> float:
        """Minus the log posterior, up to a constant; not finite where a trajectory is about to diverge."""
        with np.errstate(over="ignore", invalid="ignore"):
            white = self.observation.whiten(residual)
            return float(np.sum(white**2) + self.prior() @ parameters**2) / 2

    def with_slopes(self, slopes: Slopes, parameters: np.ndarray, residual: np.ndarray) -> Linearised:
        """The problem around parameters, by slopes that may be those of parameters nearby."""
        points = slopes.common.shape[2:]
        # Of a trajectory that is about to diverge the residual may be too large for single precision.
        with np.errstate(over="ignore", invalid="ignore"):
            white = self.observation.whiten(residual)
            transposed = self.observation.transposed(white, self.displacements(parameters), points)
            scores = normal_gradient(slopes, white, transposed)
        return Linearised(slopes.curvature, scores - self.prior() * parameters, slopes.unwhitened)

    def slopes(self, parameters: np.ndarray) -> Slopes:
        """Slopes in all parameters, along states at the coarse points; a `BudgetError` if no CPU time is left."""
        self.progress.check()
        tangent = self.tangent(parameters)
        common = tangent.slopes(self.modes(self.coarse))
        common[:, : self.terms] *= self.scale.astype(common.dtype).reshape(-1, *(1,) * len(self.basis.shape))
        own, moved = self.frame_slopes(tangent, parameters), self.displacements(parameters)
        curvature = unwhitened = normal_matrix(self.observation, common, own, moved)
        if not self.observation.whiten.is_identity:
            plain = self.observation.without_whitening()
            own_plain = replace(self, observation=plain).frame_slopes(tangent, parameters)
            unwhitened = normal_matrix(plain, common, own_plain, moved)
        return Slopes(common, own, curvature, unwhitened)

    def frame_slopes(self, tangent: TangentModel, parameters: np.ndarray) -> np.ndarray:
        """Slopes of white pixels in the displacements of their frame, `[time, a, pixels]`."""
        moved, seen = self.displacements(parameters), self.observation
        if not seen.jitter:
            return np.zeros((len(self.times), 0, self.observed.shape[1]))
        states = tangent.states()
        return np.stack(
            [seen.white(j * seen.predicted(states, moved, axis)) for axis, j in enumerate(seen.jitter)], axis=1
        )

    def tangent(self, parameters: np.ndarray, forced: Sequence[Term] | None = None) -> TangentModel:
        """The equation linearised along the trajectory of parameters; `forced` terms are its own by default."""
        forced = self.equation.terms if forced is None else forced
        return self._along(parameters, self.coarse, max(self.method.rtol, self.slope_tolerance), forced)

    def initial_state(self, parameters: np.ndarray, resolution: Resolution) -> np.ndarray:
        """Of parameters `[n]`, `[*points]`."""
        frame = self.basis.modes @ (self.basis.deviation * parameters[self.terms : self.shared])
        return resolution.at_points(frame.reshape(self.basis.shape))

    def _along(
        self, parameters: np.ndarray, resolution: Resolution, rtol: float, forced: Sequence[Term] = ()
    ) -> TangentModel:
        return TangentModel(
            equation=replace(self.equation, coefficients=tuple(map(float, parameters[: self.terms] * self.scale))),
            grid=resolution.grid,
            method=replace(self.method, rtol=rtol),
            times=self.times,
            start=self.initial_state(parameters, resolution),
            forced=forced,
        )

    def denoised(self, parameters: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Parameters with waves as large as they are without the given variance of their modes `[M]`: `[n]`."""
        modes = slice(self.terms, self.shared)
        _, wave = np.unique(self.basis.wave, return_inverse=True)
        noise, square = np.bincount(wave, variance), np.bincount(wave, parameters[modes] ** 2)
        found = parameters.copy()
        found[modes] *= np.sqrt(np.maximum(1 - noise / np.maximum(square, 1e-300), 0.0))[wave]
        return found

    def modes(self, resolution: Resolution) -> np.ndarray:
        """Of the initial state, times their prior deviations, `[M, *points]`."""
        return resolution.at_points((self.basis.modes * self.basis.deviation).T.reshape(-1, *self.basis.shape))


def _check_size(coefficients: np.ndarray, basis: StateBasis, points: int) -> None:
    if not (len(coefficients) and np.isfinite(coefficients).all() and coefficients.all()):
        raise FitError(
            "The trajectory has no coefficients to begin at.",
            got=f"coefficients {coefficients}",
            wanted="one or more finite coefficients other than 0",
            fix="take them from bayespde.equations(posterior)",
        )
    if points * (len(coefficients) + len(basis.deviation)) > MAXIMUM_SLOPES:
        raise ConfigError(
            "The field is too large for trajectories.",
            got=f"{points} points of all frames, with the padding, and {len(basis.deviation)} modes of the state",
            wanted=f"at most {MAXIMUM_SLOPES:.0e} slopes, points times modes",
            fix="fewer frames or pixels, field.isel(...), less padding, or TrajectoryConfig(most_modes=...)",
        )
