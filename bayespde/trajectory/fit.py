"""Equation + noisy field -> the coefficients and initial state whose trajectory passes through it, and their posterior.

The exact likelihood of the pixels: no rows, no smoothing, and with it no bias from noise in the terms. The state at the
first time is unknown and integrated along, and so are the displacements of frames that jitter; all but the coefficients
is integrated over as in a linear model around the mode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr
from scipy.linalg import LinAlgError, eigvalsh

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, FitError
from bayespde.noise.observation_model import ObservationModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory.initial_state_basis import StateBasis, spectral_decay_prior, state_basis
from bayespde.trajectory.mode import Mode, check_slopes, find_mode
from bayespde.trajectory.padding import extend
from bayespde.trajectory.problem import TrajectoryProblem

AFFORDABLE = 2_000
# Share of the information free of noise below which nothing is known.
NOTHING = 1e-3
# Waves whose prior deviation, over that of their mean over all frames, is smaller are left out.
NEGLIGIBLE = 0.1
# Margin of a window, in windows.
WIDEST = 10.0


@dataclass(frozen=True)
class TrajectoryConfig:
    """How a trajectory is fitted.

    Attributes:
        method: Space discretisation, boundary, tolerances, and how many steps a trajectory may take: by default few, as
            hundreds of trajectories are integrated.
        padding: Of a window out of a larger field: points beyond the window, per point of it, whose state influences
            what is seen. The same law holds there, the first state is unknown, and the domain is periodic around all. 0
            for a field that is seen as a whole.
        most_modes: Most modes of the initial state.
        iterations: Most Gauss-Newton steps.
        tolerance: Change of the objective, in nats, below which it has converged.
    """

    method: SolverConfig = field(default_factory=lambda: SolverConfig(maximum_steps=AFFORDABLE))
    padding: float = 0.0
    most_modes: int = 300
    iterations: int = 30
    tolerance: float = 3e-3

    def __post_init__(self) -> None:
        if self.most_modes < 1 or self.iterations < 1 or not (self.tolerance > 0 and 0 <= self.padding <= WIDEST):
            raise ConfigError(
                "The settings of the trajectory are out of range.",
                got=self,
                wanted=f"most_modes >= 1, iterations >= 1, tolerance > 0, padding from 0 to {WIDEST:g}",
                fix="TrajectoryConfig()",
            )
        if self.padding and self.method.boundary != "periodic":
            raise ConfigError(
                "A window has no boundary of its own.",
                got=f"padding={self.padding}, boundary={self.method.boundary!r}",
                wanted="boundary='periodic', around window and padding",
                fix="TrajectoryConfig(padding=0.5), or padding=0",
            )

    @property
    def boundary(self) -> str:
        """Of the field: that of the method, or "open" for a window."""
        return "open" if self.padding else self.method.boundary


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Posterior of one equation given all pixels, normal around its mode.

    Attributes:
        equation: With the coefficients at the mode.
        covariance: Of the coefficients, `[k, k]`, physical units; initial state and noise integrated over.
        start: Initial state at the mode, dims of space.
        fitted: What pixels show of the trajectory at the mode, as the field.
        displacements: Of the frames, `[time, axis]`, physical lengths; no axis where frames stay.
        noise_scale: Standard deviation of a pixel, units of the field; root mean square where it varies.
        variance: Of the residuals, in units of what the observation says.
        freedom: Number of pixels less that of fitted parameters.
        log_likelihood: Of the pixels at the mode, the noise as the observation has it.
        log_evidence: The same, all integrated over, with a unit-information prior on the coefficients; comparable
            between equations fitted to the same pixels with the same pilot and observation.
        noise_share: Share of the information about coefficients that waves of the state would owe to their own noise;
            left out of the covariance. Where it is large the likelihood is a comb, and the mode one of its teeth.
        converged: Whether the objective had stopped changing.
        steps: Gauss-Newton steps that were taken.
        mode: Around which all this holds, for `trajectory_rows`.
    """

    equation: Equation
    covariance: np.ndarray
    start: xr.DataArray
    fitted: xr.DataArray
    displacements: np.ndarray
    noise_scale: float
    variance: float
    freedom: float
    log_likelihood: float
    log_evidence: float
    noise_share: float
    converged: bool
    steps: int
    mode: Mode

    @property
    def sd(self) -> np.ndarray:
        """Standard deviations of the coefficients, `[k]`, physical units."""
        return np.sqrt(np.diag(self.covariance))


def fit_trajectory(
    equation: Equation,
    field: xr.DataArray,
    *,
    pilot: xr.DataArray,
    observation: ObservationModel,
    draws: np.ndarray | None = None,
    near: Trajectory | None = None,
    config: TrajectoryConfig | None = None,
) -> Trajectory:
    """Fit coefficients and initial state of an equation to all pixels of a field.

    The state is one of smooth waves: those that the pilot cannot tell from its own scatter are at most as large as the
    decay of the others says.

    Args:
        equation: Its coefficients are where the search begins.
        field: Checked field; NaN are missing.
        pilot: Smooth estimate of the first frame, dims of space; where the search begins, and how rough it may be.
        draws: Of the first frame, from the pilot's posterior, `[n, *space]`; if absent, the pilot is sure of all waves.
        observation: Pilot of the noise, whose overall scale is estimated once more, and of the jitter of frames.
        near: Of another equation and all else the same: the search begins at its state, and not at the pilot.
        config: Settings.

    Returns:
        The posterior.

    Raises:
        ConfigError: If boundary or observation do not fit the field, or the trajectory nearby has another state.
        FitError: If the pixels say nothing about a coefficient, or it has no place to begin; if what enters a window
            cannot have been beyond it.
        IntegrationError: If there is no trajectory through all frames: the equation blows up, is ill-posed, or takes
            more steps than it may.
    """
    config = config or TrajectoryConfig()
    first = extend(pilot.values, config.padding, dims=pilot.ndim)
    scatter = None if draws is None else extend(draws - pilot.values, config.padding, dims=pilot.ndim)
    basis = basis_of(first, None if scatter is None else first + scatter, observation, len(field), config)
    problem = TrajectoryProblem.of(equation, field, basis, observation, config.method)
    start = problem.start(first)
    if near is not None:
        start = _with_state_of(near, start, problem)
        problem = replace(problem, resolution=near.mode.problem.resolution)
    mode = find_mode(problem, start, iterations=config.iterations, tolerance=config.tolerance, patient=near is None)
    return _posterior(mode, _quiet(mode), field)


def _with_state_of(near: Trajectory, start: np.ndarray, problem: TrajectoryProblem) -> np.ndarray:
    """Parameters with first state and displacements of another trajectory."""
    other = near.mode.problem
    is_same = (
        (other.window, other.basis.shape) == (problem.window, problem.basis.shape)
        and np.array_equal(other.basis.deviation, problem.basis.deviation)
        and np.array_equal(other.observed, problem.observed)
        and other.jitter.shape == problem.jitter.shape
        and other.method.boundary == problem.method.boundary
    )
    if not is_same:
        raise ConfigError(
            "The trajectory nearby has another state.",
            got=f"{len(other.basis.deviation)} waves over {other.basis.shape} points",
            wanted=f"{len(problem.basis.deviation)} over {problem.basis.shape}, as of this field, pilot, config",
            fix="fit both with the same arguments",
        )
    return np.concatenate([start[: problem.terms], near.mode.parameters[other.terms :]])


def basis_of(
    pilot: np.ndarray, draws: np.ndarray | None, observation: ObservationModel, frames: int, config: TrajectoryConfig
) -> StateBasis:
    """Waves that the first state may have, by a pilot `[*space]` of it and draws; as for `fit_trajectory`."""
    basis = state_basis(pilot, boundary=config.method.boundary, error=observation.size, most=config.most_modes)
    if draws is None:
        return basis
    return spectral_decay_prior(basis, pilot, draws, error=NEGLIGIBLE * observation.size / math.sqrt(frames))


def _quiet(mode: Mode) -> np.ndarray:
    """Curvature where no wave of the state is larger than it is without its noise, `[n, n]`."""
    with np.errstate(over="ignore", invalid="ignore"):
        curvature = mode.problem.linearised(mode.denoised_curvature, mode.residual).curvature
    check_slopes(mode.problem, curvature)
    return curvature


def _posterior(mode: Mode, denoised_curvature: np.ndarray, data: xr.DataArray) -> Trajectory:
    """Laplace around the mode: all but the coefficients integrated over by the Schur complement."""
    problem, curvature = mode.problem, mode.around.curvature
    terms, prior = problem.terms, np.diag(problem.prior())
    pixels = int(problem.seen.sum())
    # Each parameter takes a residual away; where noise hangs together, one that it is large in.
    freedom = pixels - float(np.trace(np.linalg.solve(curvature + prior, mode.around.spread)))
    variance = float(np.sum(mode.residual**2)) / freedom
    # All but the priors scales with the noise, which is now known better than the pilot knew it.
    information, noisy = (_information(c, variance * prior, terms) for c in (denoised_curvature, curvature))
    share = _least_share(information, noisy)
    covariance = variance * np.linalg.inv(information) * np.outer(problem.scale, problem.scale)
    # At the noise of the observation, which all equations share: one that is estimated anew with each of them would turn
    # an error in the correlations of the noise into evidence.
    likelihood = (
        np.log(problem.weight[problem.seen]).sum()
        + problem.whiten.log_volume
        - pixels / 2 * math.log(2 * math.pi)
        - float(np.sum(problem.whiten(mode.residual) ** 2)) / 2
    )
    others = mode.parameters[terms:]
    _, volume = np.linalg.slogdet((curvature + prior)[terms:, terms:])
    evidence = likelihood - (float(others @ others) + volume + terms * math.log(pixels)) / 2
    coefficients = tuple(map(float, mode.parameters[:terms] * problem.scale))
    size = np.sqrt(np.mean(1.0 / problem.weight[problem.seen] ** 2))
    shown = np.full(problem.observed.shape, np.nan)
    shown[problem.seen] = (problem.observed - mode.residual / np.where(problem.seen, problem.weight, 1.0))[problem.seen]
    return Trajectory(
        equation=Equation(problem.equation.terms, coefficients, problem.equation.target, problem.equation.variable),
        covariance=covariance,
        start=data.isel(time=0, drop=True).copy(data=problem.first_state(mode.parameters)),
        fitted=data.copy(data=shown.reshape(data.shape)),
        displacements=problem.displacements(mode.parameters),
        noise_scale=float(size) * math.sqrt(variance),
        variance=variance,
        freedom=freedom,
        log_likelihood=float(likelihood),
        log_evidence=float(evidence),
        noise_share=max(0.0, 1 - share),
        converged=mode.converged,
        steps=mode.steps,
        mode=mode,
    )


def _least_share(information: np.ndarray, noisy: np.ndarray) -> float:
    """Smallest share of the information, in any direction, that does not come from noise."""
    try:
        share = float(eigvalsh(information, noisy)[0])
    except LinAlgError:
        share = 0.0
    if not share > NOTHING:
        raise FitError(
            "The pixels say nothing about a coefficient.",
            got="no wave of the initial state is larger than its error, or terms that cannot be told apart",
            wanted="a field that stands out of its noise, and terms that differ along the trajectory",
            fix="fewer terms, or less noise",
        )
    return share


def _information(curvature: np.ndarray, prior: np.ndarray, terms: int) -> np.ndarray:
    """Of the coefficients, `[terms, terms]`, all else integrated over."""
    inner, mixed = (curvature + prior)[terms:, terms:], curvature[terms:, :terms]
    return np.asarray(curvature[:terms, :terms] - mixed.T @ np.linalg.solve(inner, mixed))
