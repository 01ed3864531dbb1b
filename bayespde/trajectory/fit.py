"""Equation + noisy field -> the coefficients and initial state whose trajectory passes through it, and their posterior.

The exact likelihood of the pixels: no weak form, no smoothing, and with it no bias from noise in the terms. The initial
state is unknown and fitted along, and so are the displacements of frames that jitter; all but the coefficients is
integrated over as in a linear model around the mode.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.progress import Progress
from bayespde.solve.ensemble_problem import EnsembleProblem
from bayespde.solve.well_posed import check_well_posed
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.cycle_skipping import check_foreseen_share
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.find_mode import find_mode, resolved
from bayespde.trajectory.gauss_newton import Stop
from bayespde.trajectory.initial_state_basis import StateBasis, spectral_decay_prior, state_basis
from bayespde.trajectory.laplace import laplace
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.padding import extend
from bayespde.trajectory.problem import TrajectoryProblem
from bayespde.trajectory.trajectory import Trajectory

# Waves whose prior deviation, over the error of their mean over all frames, is smaller are left out: of a whole domain,
# and of one of which only a window is observed.
NEGLIGIBLE, NEGLIGIBLE_IN_WINDOW = 0.1, 1.0


def fit_trajectory(
    equation: Equation,
    data: TrajectoryData,
    *,
    config: TrajectoryConfig | None = None,
    near: Trajectory | None = None,
    progress: Progress | None = None,
    leading: Trajectory | None = None,
) -> Trajectory:
    """Fit coefficients and initial state of an equation to all pixels of a field.

    The state is one of smooth waves: those that are below the error of the first frame are at most as large as the
    decay of the others allows.

    Args:
        equation: Its coefficients are where the search begins.
        data: The field, its noise model and first frame.
        config: Settings.
        near: Of another equation and the same data and settings: the search begins at its state, and not at the first
            frame.
        progress: How long it may take.
        leading: Of another equation and the same data: the search ends where it cannot come near its objective.

    Returns:
        The posterior.

    Raises:
        BudgetError: If the CPU time is spent before the search ends.
        ConfigError: If boundary or noise model do not fit the field, or the trajectory nearby has another state.
        FitError: If the pixels do not determine a coefficient, or the search has no coefficients to begin at; if the
            leading one explains the pixels better.
        IntegrationError: If there is no trajectory through all frames: the equation blows up, is ill-posed, or takes
            more steps than it may.
    """
    config = config or TrajectoryConfig()
    first, basis = initial_state(data, config)
    problem = replace(
        TrajectoryProblem.of(equation, data, basis, config.method),
        progress=progress or Progress(),
        hopeless=math.inf if leading is None else _hopeless(leading.known_mode()),
    )
    start = problem.start(first)
    _check_well_posed(problem, start)
    if near is not None:
        start = _with_state_of(near, start, problem)
        there = near.known_mode().problem
        problem = replace(
            problem, resolution=there.resolution, coarse=there.coarse, slope_tolerance=there.slope_tolerance
        )
    problem = resolved(problem, start)
    if near is None and data.draws is not None and data.field.ndim == 2 and not config.padding:
        # In the plane slopes take longer, and the first fit tells; what is beyond a window the first frame does not.
        check_foreseen_share(problem, start, _extended(data, config)[1:])
    mode = find_mode(problem, start, Stop(config.iterations, config.tolerance), retry=near is None)
    return laplace(mode, data.field, config)


def _hopeless(leading: Mode) -> float:
    """Objective at which another equation has less evidence: determinants differ by a nat per parameter at most."""
    return leading.problem.objective(leading.residual, leading.parameters) + leading.problem.size


def _check_well_posed(problem: TrajectoryProblem, start: np.ndarray) -> None:
    """Refuse an equation whose shortest waves would grow beyond all others before the last frame."""
    coefficients = np.array([problem.equation.coefficients])
    states = problem.initial_state(start, problem.resolution)[None]
    ensemble = EnsembleProblem(problem.equation, problem.resolution.grid, coefficients, states)
    check_well_posed(ensemble, problem.times, problem.method)


def initial_state(data: TrajectoryData, config: TrajectoryConfig) -> tuple[np.ndarray, StateBasis]:
    """The first frame over the whole domain, `[*domain]`, and the waves that the initial state may have."""
    noise, (first, *draws) = data.noise.rms, _extended(data, config)
    basis = state_basis(first, boundary=config.method.boundary, error=noise, most=config.most_modes)
    if not draws:
        return first, basis
    least = NEGLIGIBLE_IN_WINDOW if config.padding else NEGLIGIBLE
    error = least * noise / math.sqrt(len(data.field))
    return first, spectral_decay_prior(basis, first, np.stack(draws), error=error)


def _extended(data: TrajectoryData, config: TrajectoryConfig) -> np.ndarray:
    """The first frame and its draws over the whole domain, `[1 + draws, *domain]`."""
    frames = data.first_frame.values[None]
    frames = frames if data.draws is None else np.concatenate([frames, data.draws])
    return extend(frames, config.padding, dims=data.first_frame.ndim)


def _with_state_of(near: Trajectory, start: np.ndarray, problem: TrajectoryProblem) -> np.ndarray:
    """Parameters with initial state and displacements of another trajectory."""
    other, parameters = near.known_mode().problem, near.known_mode().parameters
    is_same = (
        (other.observation.window, other.basis.shape) == (problem.observation.window, problem.basis.shape)
        and np.array_equal(other.basis.deviation, problem.basis.deviation)
        and np.array_equal(other.observed, problem.observed)
        and len(other.observation.jitter) == len(problem.observation.jitter)
        and other.method.boundary == problem.method.boundary
    )
    if not is_same:
        raise ConfigError(
            "The trajectory nearby has another state.",
            got=f"{len(other.basis.deviation)} waves over {other.basis.shape} points",
            wanted=f"{len(problem.basis.deviation)} over {problem.basis.shape}, as of these data and settings",
            fix="fit both with the same arguments",
        )
    return np.concatenate([start[: problem.terms], parameters[other.terms :]])
