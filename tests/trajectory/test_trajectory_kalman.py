"""Linear equations: the likelihood of a video, and the posterior of its first state, are those of a Kalman smoother."""

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import expm

import bayespde as bp
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory
from bayespde.trajectory.initial_state_basis import state_basis
from bayespde.trajectory.laplace import laplace

POINTS, FRAMES, NOISE, MODES = 32, 25, 0.1, 9
X, T = 2 * np.pi * np.arange(POINTS) / POINTS, np.linspace(0, 1, FRAMES)
# In units in which slopes are in double precision, and in usual ones, in which they are not.
EXACT = SolverConfig(rtol=1e-10, atol=1e-13, maximum_steps=10_000)


def propagator(coefficients, step):
    """Of point values over a step, by the exponential of the operator: a matrix of derivatives of Fourier series."""
    waves = 1j * np.fft.fftfreq(POINTS, 1 / POINTS)
    operator = coefficients["u"] + coefficients["u_x"] * waves + coefficients["u_xx"] * waves**2
    return expm(step * np.fft.ifft(operator[:, None] * np.fft.fft(np.eye(POINTS), axis=0), axis=0).real)


def kalman_smoother(video, forward, observe, prior, noise):
    """Log density of all frames, and mean and covariance of the first state [rauch1965]."""
    mean, covariance, log_density = np.zeros(len(prior)), prior, 0.0
    filtered = []
    for frame in video:
        spread = observe @ covariance @ observe.T + noise**2 * np.eye(len(frame))
        surprise = frame - observe @ mean
        gain = np.linalg.solve(spread, observe @ covariance).T
        log_density -= (
            surprise @ np.linalg.solve(spread, surprise)
            + np.linalg.slogdet(spread)[1]
            + len(frame) * math.log(2 * math.pi)
        ) / 2
        mean, covariance = mean + gain @ surprise, covariance - gain @ spread @ gain.T
        filtered.append((mean, covariance))
        mean, covariance = forward @ mean, forward @ covariance @ forward.T
    mean, covariance = filtered[-1]
    for known, spread in filtered[-2::-1]:
        predicted = forward @ spread @ forward.T
        back = np.linalg.solve(predicted, forward @ spread).T
        mean = known + back @ (mean - forward @ known)
        covariance = spread + back @ (covariance - predicted) @ back.T
    return log_density, mean, covariance


@pytest.mark.parametrize("size", [1.0, 1e-6])
def test_likelihood_and_state_are_those_of_a_kalman_smoother(seed, size):
    truth = {"u": -0.2, "u_x": 0.7, "u_xx": 0.1}
    rng = np.random.default_rng([3, seed])
    first = sum(a * np.sin(k * X + k) for k, a in ((1, 1.0), (2, 0.7), (3, 0.5), (4, 0.2)))
    states = [first]
    for _ in T[1:]:
        states.append(propagator(truth, T[1]) @ states[-1])
    video = size * (np.array(states) + NOISE * rng.standard_normal((FRAMES, POINTS)))
    frame = xr.DataArray(size * first, {"x": X}, name="u")
    basis = state_basis(frame.values, boundary="periodic", error=size * NOISE, most=MODES)
    data = TrajectoryData(bp.make_field(video, t=T, x=X), NoiseModel(size * NOISE), frame)
    config = TrajectoryConfig(method=EXACT, most_modes=MODES, tolerance=1e-12)
    found = fit_trajectory(bp.Equation.from_string("u_t = -0.2*u + 0.7*u_x + 0.1*u_xx"), data, config=config)

    whole = propagator(found.equation.as_dict(), T[1])
    forward = basis.modes.T @ whole @ basis.modes
    # The space of the modes is closed under the equation.
    np.testing.assert_allclose(basis.modes @ forward, whole @ basis.modes, atol=1e-12)
    prior = np.diag(basis.deviation**2)
    log_density, mean, spread = kalman_smoother(video, forward, basis.modes, prior, size * NOISE)
    # The fit is linearised within a standard deviation; this is linearised at the mode.
    mode = found.known_mode()
    problem, at = mode.problem, mode.parameters
    around = problem.with_slopes(problem.slopes(at), at, mode.residual)
    exact = laplace(replace(mode, around=around), data.field, config)
    # The evidence has a prior of the coefficients that is worth a pixel.
    terms = len(truth)
    for each, error in ((exact, 1e-6 * video.size), (found, 0.05)):
        assert each.log_evidence + terms * math.log(video.size) / 2 == pytest.approx(log_density, abs=error)
    # The search ended within a hundredth of a standard deviation; a last step to the optimum, given the coefficients.
    states = slice(terms, problem.shared)
    posterior = (around.curvature + np.diag(problem.prior()))[states, states]
    optimum = at[states] + np.linalg.solve(posterior, around.gradient[states])
    np.testing.assert_allclose(optimum * basis.deviation, mean, rtol=0, atol=1e-6 * size)
    error = 1e-2 * math.sqrt(np.max(np.diag(basis.modes @ spread @ basis.modes.T)))
    np.testing.assert_allclose(found.start.values, basis.modes @ mean, rtol=0, atol=error)
    # The covariance is that of the noise as it was estimated.
    for each, error in ((exact, 1e-6), (found, 1e-2)):
        *_, covariance = kalman_smoother(video, forward, basis.modes, prior, each.noise_scale)
        given = np.linalg.inv(each.state.precision[terms:, terms:]) * np.outer(basis.deviation, basis.deviation)
        np.testing.assert_allclose(given, covariance, rtol=0, atol=error * covariance.max())
