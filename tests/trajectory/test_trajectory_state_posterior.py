"""Draws of coefficients and initial state have the posterior of the trajectory."""

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.noise import NoiseModel
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory
from bayespde.trajectory.state_posterior import StatePosterior


@pytest.fixture(scope="module")
def trajectory():
    """Advection and diffusion, whose solution is linear in the state: 40 x 48 pixels, 20 % noise."""
    x, t = 2 * np.pi * np.arange(48) / 48, np.linspace(0, 1.5, 40)
    waves = ((1, 1.0), (2, 0.6), (3, 0.3))
    values = sum(a * np.exp(-0.2 * k**2 * t[:, None]) * np.sin(k * (x - 0.7 * t[:, None]) + k) for k, a in waves)
    clean = bp.make_field(values, t=t, x=x)
    noise = NoiseModel(0.2 * float(clean.std()))
    data = TrajectoryData(bp.add_noise(clean, 0.2, seed=3), noise, clean.isel(time=0, drop=True))
    return fit_trajectory(bp.Equation.from_string("u_t = 0.2*u_xx - 0.7*u_x"), data)


def test_draws_have_the_mean_and_covariance_of_the_trajectory(trajectory, seed):
    draws = 4000
    coefficients, states = trajectory.state.draw(draws, np.random.default_rng(seed))
    sd = np.sqrt(np.diag(trajectory.covariance))
    away = (coefficients - trajectory.equation.coefficients) / sd
    assert np.all(np.abs(away.mean(axis=0)) < 5 / np.sqrt(draws))
    correlation = trajectory.covariance / np.outer(sd, sd)
    assert np.all(np.abs(np.cov(away.T) - correlation) < 5 * np.sqrt(2 / draws))
    np.testing.assert_allclose(states.mean(axis=0), trajectory.start, atol=5 * states.std() / np.sqrt(draws))


def test_draws_of_the_state_given_the_coefficients_are_those_of_the_linearised_problem(trajectory, seed):
    """The covariance of states and coefficients by the Schur complement, written out."""
    state, terms, draws = trajectory.state, 2, 4000
    coefficients, states = state.draw(draws, np.random.default_rng([seed, 1]))
    moved = (coefficients / state.scale - state.parameters[:terms]).T
    inner, mixed = state.precision[terms:, terms:], state.precision[terms:, :terms]
    wanted = state.modes @ (state.parameters[terms:, None] - np.linalg.solve(inner, mixed @ moved))
    left = states.T - wanted
    covariance = state.modes @ np.linalg.inv(inner) @ state.modes.T
    size = np.sqrt(np.diag(covariance))
    assert np.abs(left.mean(axis=1) / size).max() < 5 / np.sqrt(draws)
    correlation = covariance / np.outer(size, size)
    assert np.abs(np.cov(left / size[:, None]) - correlation).max() < 6 * np.sqrt(2 / draws)


class Fixed:
    """Draws that are given: of the coefficients, and standard normal ones of everything else."""

    def __init__(self, moved, standard):
        self.moved, self.standard = moved, standard

    def multivariate_normal(self, mean, covariance, *, size, method):
        return self.moved

    def standard_normal(self, size):
        assert size == self.standard.shape
        return self.standard


def test_one_draw_is_the_conditional_mean_and_a_root_of_the_conditional_covariance(rng):
    """A precision without any structure: two coefficients, three modes, two displacements."""
    root = rng.normal(size=(7, 7))
    precision, modes, parameters = root @ root.T + np.eye(7), rng.normal(size=(6, 3)), rng.normal(size=7)
    scale = np.array([2.0, 0.1])
    state = StatePosterior(parameters, scale, np.eye(2), precision, modes, (2, 3))
    moved = rng.normal(size=(4, 2))
    coefficients, states = state.draw(4, Fixed(moved * scale, np.zeros((5, 4))))
    np.testing.assert_allclose(coefficients, (parameters[:2] + moved) * scale, rtol=1e-12)
    covariance = np.linalg.inv(precision)
    away = covariance[2:, :2] @ np.linalg.solve(covariance[:2, :2], moved.T)
    wanted = modes @ (parameters[2:, None] + away)[:3]
    np.testing.assert_allclose(states.reshape(4, 6), wanted.T, atol=1e-10)
    _, states = state.draw(5, Fixed(np.zeros((5, 2)), np.eye(5)))
    roots = states.reshape(5, 6) - modes @ parameters[2:5]
    given = covariance[2:, 2:] - covariance[2:, :2] @ np.linalg.solve(covariance[:2, :2], covariance[:2, 2:])
    np.testing.assert_allclose(roots.T @ roots, modes @ given[:3, :3] @ modes.T, atol=1e-10)
