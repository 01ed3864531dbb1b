"""Equation + noisy field -> the coefficients and initial state whose trajectory passes through it, and their posterior.

The exact likelihood of the pixels: no rows, no smoothing, and with it no bias from noise in the terms. The state at the
first time is unknown and integrated along; Gauss-Newton with sensitivities from a batch of neighbouring trajectories,
which share their steps, so that differences between them are free of the integrator's choices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray as xr

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, IntegrationError
from bayespde.solve.derivatives import Grid
from bayespde.solve.integrate import evolve
from bayespde.solve.method import Method
from bayespde.solve.state_basis import StateBasis, state_basis
from bayespde.solve.stencils import right_hand_side

# Step of a parameter in units of its scale; the integrator's error cancels, as all steps are shared, and so need not be
# small: slopes only lead to the mode, where the residual, from one exact trajectory, decides.
STEP, SLOPE_TOLERANCE = 1e-5, 1e-4
# Values of a batch of trajectories in memory at a time.
MOST_VALUES = 20_000_000
MOST_SLOPES = 400_000_000
DAMPING, WEAKEST, STRONGEST = 1e-3, 1e-10, 1e8


@dataclass(frozen=True)
class TrajectoryConfig:
    """How a trajectory is fitted.

    Attributes:
        method: Space discretisation, boundary, tolerances.
        most_modes: Most modes of the initial state.
        iterations: Most Gauss-Newton steps.
        tolerance: Change of the objective, in nats, below which it has converged.
    """

    method: Method = field(default_factory=Method)
    most_modes: int = 300
    iterations: int = 30
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if self.most_modes < 1 or self.iterations < 1 or not self.tolerance > 0:
            raise ConfigError(
                "The settings of the trajectory are out of range.",
                got=self,
                wanted="most_modes >= 1, iterations >= 1, tolerance > 0",
                fix="TrajectoryConfig()",
            )


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Posterior of one equation given all pixels, normal around its mode.

    Attributes:
        equation: With the coefficients at the mode.
        covariance: Of the coefficients, `[k, k]`, physical units; initial state and noise integrated over.
        start: Initial state at the mode, dims of space.
        fitted: The trajectory at the mode, as the field.
        noise_scale: Standard deviation of a pixel, units of the field.
        freedom: Number of pixels less that of fitted parameters.
        log_likelihood: Of the pixels at the mode.
        log_evidence: With a unit-information prior on the coefficients; comparable between equations fitted to the
            same pixels with the same modes.
        converged: Whether the objective had stopped changing.
        steps: Gauss-Newton steps that were taken.
    """

    equation: Equation
    covariance: np.ndarray
    start: xr.DataArray
    fitted: xr.DataArray
    noise_scale: float
    freedom: float
    log_likelihood: float
    log_evidence: float
    converged: bool
    steps: int

    @property
    def sd(self) -> np.ndarray:
        """Standard deviations of the coefficients, `[k]`, physical units."""
        return np.sqrt(np.diag(self.covariance))


def fit_trajectory(
    equation: Equation,
    field: xr.DataArray,
    *,
    pilot: xr.DataArray,
    noise_scale: float,
    config: TrajectoryConfig | None = None,
) -> Trajectory:
    """Fit coefficients and initial state of an equation to all pixels of a field.

    Args:
        equation: Its coefficients are where the search begins.
        field: Checked field; NaN are missing. Noise is taken to be independent, of one standard deviation.
        pilot: Smooth estimate of the first frame, dims of space; where the search begins, and how rough it may be.
        noise_scale: Pilot estimate of the noise, units of the field.
        config: Settings.

    Returns:
        The posterior.

    Raises:
        ConfigError: If the equation, or the boundary, does not fit the field.
        IntegrationError: If the first trajectory does not exist: the equation blows up, or is ill-posed.
    """
    config = config or TrajectoryConfig()
    problem = _Problem.of(equation, field, pilot, noise_scale, config)
    found = _gauss_newton(problem, config)
    return _posterior(problem, found, field)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Standardised parameters: coefficients in units of `scale`, modes in units of their prior deviation."""

    equation: Equation
    grid: Grid
    times: np.ndarray
    observed: np.ndarray
    seen: np.ndarray
    basis: StateBasis
    scale: np.ndarray
    start: np.ndarray
    noise_scale: float
    method: Method

    @classmethod
    def of(
        cls,
        equation: Equation,
        field: xr.DataArray,
        pilot: xr.DataArray,
        noise_scale: float,
        config: TrajectoryConfig,
    ) -> _Problem:
        coefficients = np.array(equation.coefficients)
        is_usable = len(coefficients) and np.isfinite(coefficients).all() and coefficients.all()
        if not (is_usable and noise_scale > 0):
            raise ConfigError(
                "The trajectory has no place to begin.",
                got=f"coefficients {coefficients}, noise {noise_scale:g}",
                wanted="one or more finite coefficients other than 0, noise above 0",
                fix="take them from bayespde.equations(posterior) and smooth.noise_scale",
            )
        basis = state_basis(pilot.values, boundary=config.method.boundary, error=noise_scale, most=config.most_modes)
        scale = np.abs(coefficients)
        needed = field.size * (len(coefficients) + len(basis.deviation))
        if needed > MOST_SLOPES:
            raise ConfigError(
                "The field is too large for trajectories.",
                got=f"{field.size} pixels and {len(basis.deviation)} modes of the initial state",
                wanted=f"at most {MOST_SLOPES:.0e} slopes, pixels times modes",
                fix="fewer frames or pixels, field.isel(...), or TrajectoryConfig(most_modes=...)",
            )
        start = np.concatenate([coefficients / scale, basis.coefficients(pilot.values) / basis.deviation])
        observed, seen = field.values.reshape(len(field), -1), ~np.isnan(field.values).ravel()
        times = field["time"].values
        return cls(equation, Grid.of(pilot), times, observed, seen, basis, scale, start, noise_scale, config.method)

    @property
    def terms(self) -> int:
        return len(self.scale)

    def frames(self, parameters: np.ndarray, method: Method) -> np.ndarray:
        """Trajectories `[B, seen]` of parameters `[B, k + M]`, which share steps."""
        coefficients = torch.from_numpy(parameters[:, : self.terms] * self.scale)
        states = parameters[:, self.terms :] * self.basis.deviation @ self.basis.modes.T
        start = torch.from_numpy(states.reshape(-1, *self.basis.shape))
        compiled = right_hand_side(self.equation, self.grid, method=method, coefficients=coefficients)
        with torch.no_grad():
            frames = evolve(compiled, start, self.times, method=method)
        return frames.movedim(1, 0).reshape(len(parameters), -1).numpy()[:, self.seen]

    def residual(self, frames: np.ndarray) -> np.ndarray:
        """Observed minus trajectory in units of the noise, `[..., seen]`."""
        return (self.observed.ravel()[self.seen] - frames) / self.noise_scale

    def objective(self, residual: np.ndarray, parameters: np.ndarray) -> float:
        """Minus the log posterior, up to a constant: coefficients have a flat prior, modes a normal one."""
        return float(np.sum(residual**2) + np.sum(parameters[self.terms :] ** 2)) / 2

    def residual_at(self, parameters: np.ndarray) -> np.ndarray:
        """Residual `[seen]` of one trajectory."""
        return self.residual(self.frames(parameters[None], self.method)[0])

    def slopes(self, parameters: np.ndarray) -> np.ndarray:
        """Slopes of the trajectory in all parameters, in units of the noise: `[seen, k + M]`."""
        count, method = len(parameters), replace(self.method, rtol=max(self.method.rtol, SLOPE_TOLERANCE))
        most, found = max(1, MOST_VALUES // (4 * self.observed.size)), np.empty((int(self.seen.sum()), count))
        for first in range(0, count, most):
            some = np.arange(first, min(first + most, count))
            batch = np.tile(parameters, (len(some) + 1, 1))
            batch[np.arange(len(some)), some] += STEP
            frames = self.frames(batch, method)
            found[:, some] = (frames[:-1] - frames[-1]).T / (STEP * self.noise_scale)
        return found


@dataclass(frozen=True, eq=False)
class _Mode:
    parameters: np.ndarray
    residual: np.ndarray
    slopes: np.ndarray
    converged: bool
    steps: int


def _gauss_newton(problem: _Problem, config: TrajectoryConfig) -> _Mode:
    """Damped steps [levenberg1944] until an undamped one would gain next to nothing."""
    parameters, damping = problem.start, DAMPING
    prior = np.r_[np.zeros(problem.terms), np.ones(len(parameters) - problem.terms)]
    residual = problem.residual_at(parameters)
    for steps in range(config.iterations + 1):
        slopes = problem.slopes(parameters)
        curvature, gradient = slopes.T @ slopes + np.diag(prior), slopes.T @ residual - prior * parameters
        size = np.diag(curvature)
        if not (np.isfinite(size).all() and (size > 0).all()):
            raise ConfigError(
                "The trajectory does not depend on a coefficient.",
                got=", ".join(np.array(problem.equation.names)[~(size[: problem.terms] > 0)]),
                wanted="terms that are not zero along the trajectory",
                fix="leave the term out, or check the pilot",
            )
        converged = float(gradient @ np.linalg.solve(curvature, gradient)) < 2 * config.tolerance
        value = problem.objective(residual, parameters)
        following = None
        while not converged and steps < config.iterations and following is None and damping < STRONGEST:
            moved = parameters + np.linalg.solve(curvature + damping * np.diag(size), gradient)
            following = _lower(problem, moved, value)
            damping = damping * 10 if following is None else max(damping / 10, WEAKEST)
        if following is None:
            break
        parameters, residual = moved, following
    return _Mode(parameters, residual, slopes, converged, steps)


def _lower(problem: _Problem, parameters: np.ndarray, value: float) -> np.ndarray | None:
    """The residual, if there is a trajectory and its objective is below a value."""
    try:
        residual = problem.residual_at(parameters)
    except IntegrationError:
        return None
    return residual if problem.objective(residual, parameters) < value else None


def _posterior(problem: _Problem, mode: _Mode, data: xr.DataArray) -> Trajectory:
    """Laplace around the mode: state integrated over by the Schur complement, noise by its own estimate."""
    terms, slopes = problem.terms, mode.slopes
    curvature = slopes.T @ slopes
    inner = curvature[terms:, terms:] + np.eye(len(curvature) - terms)
    effective = float(np.trace(np.linalg.solve(inner, curvature[terms:, terms:]))) + terms
    pixels = len(mode.residual)
    freedom = pixels - effective
    variance = float(np.sum(mode.residual**2)) / freedom
    # All but the prior of the modes scales with the noise, which is now known better than the pilot knew it.
    inner = curvature[terms:, terms:] + variance * np.eye(len(inner))
    information = curvature[:terms, :terms] - curvature[:terms, terms:] @ np.linalg.solve(
        inner, curvature[terms:, :terms]
    )
    covariance = variance * np.linalg.inv(information) * np.outer(problem.scale, problem.scale)
    noise = problem.noise_scale * math.sqrt(variance)
    states = mode.parameters[terms:]
    likelihood = -pixels / 2 * math.log(2 * math.pi * noise**2) - float(np.sum(mode.residual**2)) / (2 * variance)
    _, volume = np.linalg.slogdet(inner / variance)
    evidence = likelihood - (float(states @ states) + volume + terms * math.log(pixels)) / 2
    coefficients = tuple(map(float, mode.parameters[:terms] * problem.scale))
    equation = Equation(problem.equation.terms, coefficients, problem.equation.target, problem.equation.variable)
    fitted = np.full(data.size, np.nan)
    fitted[problem.seen] = problem.observed.ravel()[problem.seen] - mode.residual * problem.noise_scale
    start = (problem.basis.modes @ (states * problem.basis.deviation)).reshape(problem.basis.shape)
    frame = data.isel(time=0, drop=True)
    return Trajectory(
        equation=equation,
        covariance=covariance,
        start=frame.copy(data=start),
        fitted=data.copy(data=fitted.reshape(data.shape)),
        noise_scale=noise,
        freedom=freedom,
        log_likelihood=likelihood,
        log_evidence=evidence,
        converged=mode.converged,
        steps=mode.steps,
    )
