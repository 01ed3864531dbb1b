"""The mode of a trajectory -> its `Trajectory`: a Laplace approximation, all but the coefficients integrated over."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from bayespde.core.equation import Equation
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.cycle_skipping import information, least_share
from bayespde.trajectory.gauss_newton import check_slopes
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.state_posterior import StatePosterior
from bayespde.trajectory.trajectory import Trajectory


def laplace(mode: Mode, field: xr.DataArray, config: TrajectoryConfig) -> Trajectory:
    """The posterior around a mode.

    Args:
        mode: Of a problem over the field.
        field: Checked; for dims and coordinates.
        config: How the mode was found.

    Raises:
        FitError: If the pixels do not determine a coefficient.
    """
    problem, terms = mode.problem, mode.problem.terms
    freedom, variance = _residual_variance(mode)
    state, share = _state_posterior(mode, variance)
    likelihood, evidence = _likelihood_and_evidence(mode)
    size = np.sqrt(np.mean(1.0 / problem.observation.weight[problem.seen] ** 2))
    predicted = np.full(problem.observed.shape, np.nan)
    shown = problem.observed - mode.residual / np.where(problem.seen, problem.observation.weight, 1.0)
    predicted[problem.seen] = shown[problem.seen]
    equation = problem.equation
    coefficients = tuple(map(float, mode.parameters[:terms] * problem.scale))
    return Trajectory(
        equation=Equation(equation.terms, coefficients, equation.target, equation.variable),
        state=state,
        start=field.isel(time=0, drop=True).copy(data=problem.first_state(mode.parameters)),
        fitted=field.copy(data=predicted.reshape(field.shape)),
        displacements=problem.displacements(mode.parameters),
        noise_scale=float(size) * math.sqrt(variance),
        variance=variance,
        freedom=freedom,
        log_likelihood=likelihood,
        log_evidence=evidence,
        cycle_skipping=max(0.0, 1 - share),
        converged=mode.converged,
        steps=mode.steps,
        config=config,
        mode=mode,
    )


def _residual_variance(mode: Mode) -> tuple[float, float]:
    """Degrees of freedom of the residuals, and their variance in units of the noise model's."""
    problem = mode.problem
    posterior = mode.around.curvature + np.diag(problem.prior())
    # Each parameter removes a residual; where noise is correlated, one in which its variance is large.
    parameters = float(np.trace(np.linalg.solve(posterior, mode.around.unwhitened)))
    freedom = int(problem.seen.sum()) - parameters
    return freedom, float(np.sum(mode.residual**2)) / freedom


def _state_posterior(mode: Mode, variance: float) -> tuple[StatePosterior, float]:
    """Posterior of coefficients and state, and the share of the information that is not from noise of waves."""
    problem, curvature = mode.problem, mode.around.curvature
    terms, prior = problem.terms, np.diag(problem.prior())
    # All but the priors scales with the noise, which is now known better than before the fit.
    denoised, noisy = (information(c, variance * prior, terms) for c in (_denoised_curvature(mode), curvature))
    share = least_share(denoised, noisy)
    state = StatePosterior(
        parameters=mode.parameters,
        scale=problem.scale,
        covariance=variance * np.linalg.inv(denoised) * np.outer(problem.scale, problem.scale),
        precision=curvature / variance + prior,
        modes=problem.basis.modes * problem.basis.deviation,
        shape=problem.basis.shape,
    )
    return state, share


def _likelihood_and_evidence(mode: Mode) -> tuple[float, float]:
    """Logarithms, at the noise model, which all equations share.

    Noise that is estimated anew with each equation would turn an error in its correlations into evidence.
    """
    problem, terms, pixels = mode.problem, mode.problem.terms, int(mode.problem.seen.sum())
    likelihood = (
        np.log(problem.observation.weight[problem.seen]).sum()
        + problem.observation.whiten.log_volume
        - pixels / 2 * math.log(2 * math.pi)
        - float(np.sum(problem.observation.whiten(mode.residual) ** 2)) / 2
    )
    others = mode.parameters[terms:]
    _, volume = np.linalg.slogdet((mode.around.curvature + np.diag(problem.prior()))[terms:, terms:])
    evidence = likelihood - (float(others @ others) + volume + terms * math.log(pixels)) / 2
    return float(likelihood), float(evidence)


def _denoised_curvature(mode: Mode) -> np.ndarray:
    """Curvature with waves of the state as large as they are without their noise, `[n, n]`."""
    with np.errstate(over="ignore", invalid="ignore"):
        curvature = mode.problem.slopes(mode.denoised_parameters).curvature
    check_slopes(mode.problem, curvature)
    return curvature
