"""Equation + noisy field -> the coefficients and initial state whose trajectory passes through it, and their posterior.

The exact likelihood of the pixels: no rows, no smoothing, and with it no bias from noise in the terms. The state at the
first time is unknown and integrated along, and so are the displacements of frames that jitter; Gauss-Newton with
sensitivities from a batch of neighbouring trajectories, which share their steps, so that differences between them are
free of the integrator's choices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr
from scipy.stats import chi2

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, IntegrationError
from bayespde.solve.method import Method
from bayespde.solve.recording import Recording
from bayespde.solve.state_basis import StateBasis, clearly_there, state_basis
from bayespde.solve.trajectory_problem import Linearised, TrajectoryProblem

# Chance at which a wave that is not there is taken in.
BY_CHANCE = 1e-3
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
        fitted: What pixels show of the trajectory at the mode, as the field.
        displacements: Of the frames, `[time, axis]`, physical lengths; no axis where frames stay.
        noise_scale: Standard deviation of a pixel, units of the field; root mean square where it varies.
        freedom: Number of pixels less that of fitted parameters.
        log_likelihood: Of the pixels at the mode.
        log_evidence: With a unit-information prior on the coefficients; comparable between equations fitted to the
            same pixels with the same modes and the same recording.
        converged: Whether the objective had stopped changing.
        steps: Gauss-Newton steps that were taken.
    """

    equation: Equation
    covariance: np.ndarray
    start: xr.DataArray
    fitted: xr.DataArray
    displacements: np.ndarray
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
    recording: Recording,
    draws: np.ndarray | None = None,
    config: TrajectoryConfig | None = None,
) -> Trajectory:
    """Fit coefficients and initial state of an equation to all pixels of a field.

    Waves that the pilot cannot tell from its own scatter are left out of the state until the trajectory has found the
    rest, and then come in as far as what it leaves shows them: a wave that is not there has no phase, and many such
    fit noise at any speed.

    Args:
        equation: Its coefficients are where the search begins.
        field: Checked field; NaN are missing.
        pilot: Smooth estimate of the first frame, dims of space; where the search begins, and how rough it may be.
        draws: Of the first frame, from the pilot's posterior, `[n, *space]`; if absent, the pilot is sure of all waves.
        recording: Pilot of the noise, whose overall scale is estimated once more, and of the jitter of frames.
        config: Settings.

    Returns:
        The posterior.

    Raises:
        ConfigError: If the equation, the boundary or the recording does not fit the field.
        IntegrationError: If the first trajectory does not exist: the equation blows up, or is ill-posed.
    """
    config = config or TrajectoryConfig()
    boundary, most = config.method.boundary, config.most_modes
    basis = state_basis(pilot.values, boundary=boundary, error=recording.size, most=most)
    used = len(basis) if draws is None else clearly_there(basis, pilot.values, draws)
    problem = TrajectoryProblem.of(equation, field, basis[:used], recording, config.method)
    mode = _gauss_newton(problem, problem.start(pilot.values), config)
    while used < len(basis):
        more = used + _shown(problem, mode, basis[used : 2 * used])
        if more == used:
            break
        parameters = np.insert(mode.parameters, [problem.shared] * (more - used), 0.0)
        problem, used = replace(problem, basis=basis[:more]), more
        mode = _gauss_newton(problem, parameters, config)
    return _posterior(problem, mode, field)


def _shown(problem: TrajectoryProblem, mode: _Mode, further: StateBasis) -> int:
    """How many of some further modes what a trajectory leaves asks for: up to the last wave with a large score.

    Rao's score test [rao1948]: where a wave is not there, its squared scores are chi-squared.
    """
    gradient, spread, mixed = problem.scores(mode.parameters, mode.residual, further)
    variance = float(np.sum(mode.residual**2)) / problem.seen.sum()
    left = spread - np.sum(mixed * np.linalg.solve(mode.around.curvature + np.diag(problem.prior()), mixed), axis=0)
    first, counts = np.unique(further.wave, return_index=True, return_counts=True)[1:]
    score = np.add.reduceat(gradient**2 / np.maximum(left * variance, 1e-300), first)
    large = np.flatnonzero(score > chi2.isf(BY_CHANCE / len(counts), counts))
    return int(first[large[-1]] + counts[large[-1]]) if len(large) else 0


@dataclass(frozen=True, eq=False)
class _Mode:
    parameters: np.ndarray
    residual: np.ndarray
    around: Linearised
    converged: bool
    steps: int


def _gauss_newton(problem: TrajectoryProblem, parameters: np.ndarray, config: TrajectoryConfig) -> _Mode:
    """Damped steps [levenberg1944] until an undamped one would gain next to nothing."""
    damping, prior, residual = DAMPING, np.diag(problem.prior()), problem.residual(parameters)
    for steps in range(config.iterations + 1):
        around = problem.linearised(parameters, residual)
        curvature, gradient = around.curvature + prior, around.gradient
        _check_slopes(problem, np.diag(curvature))
        converged = float(gradient @ np.linalg.solve(curvature, gradient)) < 2 * config.tolerance
        value, following = problem.objective(residual, parameters), None
        while not converged and steps < config.iterations and following is None and damping < STRONGEST:
            damped = curvature + damping * np.diag(np.diag(curvature))
            moved = parameters + np.linalg.solve(damped, gradient)
            following = _lower(problem, moved, value)
            damping = damping * 10 if following is None else max(damping / 10, WEAKEST)
        if following is not None:
            parameters, residual = moved, following
        elif not converged and steps < config.iterations and (tighter := problem.tighter()) is not None:
            problem, damping = tighter, DAMPING
        else:
            break
    return _Mode(parameters, residual, around, converged, steps)


def _check_slopes(problem: TrajectoryProblem, size: np.ndarray) -> None:
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise ConfigError(
            "The trajectory does not depend on a coefficient.",
            got=", ".join(np.array(problem.equation.names)[~(size[: problem.terms] > 0)]),
            wanted="terms that are not zero along the trajectory",
            fix="leave the term out, or check the pilot",
        )


def _lower(problem: TrajectoryProblem, parameters: np.ndarray, value: float) -> np.ndarray | None:
    """The residual, if there is a trajectory and its objective is below a value."""
    try:
        residual = problem.residual(parameters)
    except IntegrationError:
        return None
    return residual if problem.objective(residual, parameters) < value else None


def _posterior(problem: TrajectoryProblem, mode: _Mode, data: xr.DataArray) -> Trajectory:
    """Laplace around the mode: all but the coefficients integrated over by the Schur complement."""
    terms, curvature, prior = problem.terms, mode.around.curvature, np.diag(problem.prior())
    pixels = int(problem.seen.sum())
    # Each parameter takes a residual away; where noise hangs together, one that it is large in.
    freedom = pixels - float(np.trace(np.linalg.solve(curvature + prior, mode.around.spread)))
    variance = float(np.sum(mode.residual**2)) / freedom
    # All but the priors scales with the noise, which is now known better than the pilot knew it.
    inner = (curvature + variance * prior)[terms:, terms:]
    mixed = curvature[terms:, :terms]
    information = curvature[:terms, :terms] - mixed.T @ np.linalg.solve(inner, mixed)
    covariance = variance * np.linalg.inv(information) * np.outer(problem.scale, problem.scale)
    likelihood = (
        np.log(problem.weight[problem.seen]).sum()
        + problem.whiten.log_volume
        - pixels / 2 * math.log(2 * math.pi * variance)
        - float(np.sum(problem.whiten(mode.residual) ** 2)) / (2 * variance)
    )
    others = mode.parameters[terms:]
    _, volume = np.linalg.slogdet(inner / variance)
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
        freedom=freedom,
        log_likelihood=float(likelihood),
        log_evidence=float(evidence),
        converged=mode.converged,
        steps=mode.steps,
    )
