"""Windows of larger fields: the states beyond them, and trajectories of what enters."""

import math

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory, initial_state
from bayespde.trajectory.padding import _length, extend, sample_extension

STEP, PIXELS, NOISE = 0.1, 60, 0.1
T = np.linspace(0, 4, 41)


def frame(values):
    return xr.DataArray(values, dims="x", coords={"x": STEP * np.arange(len(values))}, name="u")


def window_of(text, seed, *, noise=NOISE, jitter=0.0, points=160, first=70):
    """A larger periodic field, its first frame within the window, and the noisy window."""
    rng = np.random.default_rng(seed)
    x, length = STEP * np.arange(points), STEP * points
    waves = [rng.normal() * np.cos(2 * np.pi * k * x / length + rng.uniform(0, 6)) for k in range(1, 9)]
    start = frame(np.sum(waves, axis=0) / 2)
    clean = bp.integrate(bp.Equation.from_string(text), start, T, method=SolverConfig(rtol=1e-9)).values
    moved = jitter * rng.standard_normal(len(T))
    phase = np.exp(2j * np.pi * np.fft.rfftfreq(points, STEP) * moved[:, None])
    seen = np.fft.irfft(np.fft.rfft(clean, axis=1) * phase, points, axis=1)[:, first : first + PIXELS]
    noisy = seen + noise * rng.standard_normal(seen.shape)
    field = bp.make_field(noisy, t=T, x=STEP * np.arange(PIXELS))
    return frame(clean[0, first : first + PIXELS]), field, moved


def test_the_length_is_the_deviation_over_the_slope_and_at_least_a_point():
    ramp = np.arange(30.0)[:, None] * [1.0, -2.0]
    assert _length(ramp) == pytest.approx(math.sqrt((30**2 - 1) / 12))
    assert _length(np.tile([0.0, 1.0], 10)) == 1
    assert _length(np.ones(10)) == 1


def test_states_are_continued_within_their_range():
    """Slopes at the edges are not extrapolated: those of a smoothed frame are hardly known."""
    np.testing.assert_allclose(extend(np.full((2, 30), 3.0), 1.0, dims=1), 3.0)
    step = np.tanh((np.arange(50) - 25) / 4)
    assert np.abs(extend(step[None], 0.5, dims=1)).max() < 1.05
    steep = np.exp(-np.arange(40) / 5.0)
    assert np.abs(extend(steep[None], 1.0, dims=1)).max() < 1.2


def test_planes_are_continued_along_both_axes():
    y, x = np.meshgrid(np.sin(np.arange(24) / 4), np.cos(np.arange(30) / 5), indexing="ij")
    plane = (y * x)[None]
    plane -= plane.mean()
    found = extend(plane, 0.5, dims=2)
    assert found.shape == (1, 36, 45)
    assert np.std(found[:, :24, :30] - plane) < 0.02 * plane.std()
    # One axis after the other, in any order, as the covariance is a product.
    turned = extend(np.swapaxes(plane, 1, 2), 0.5, dims=2)
    np.testing.assert_allclose(np.swapaxes(turned, 1, 2), found, atol=1e-12)
    assert extend(plane, 0.0, dims=2) is plane


def dense_field(points, length):
    """Covariance of a periodic Gaussian field by a sum over its waves, `[points, points]`."""
    waves = 2 * np.pi * np.fft.fftfreq(points)
    weight = (1 + (length * waves) ** 2 / 3) ** -3.0
    places = np.arange(points)
    return (np.exp(1j * waves * (places[:, None, None] - places[:, None])) @ weight).real / weight.sum()


def dense_regression(points, given, length, nugget):
    """On the first points of a Gaussian field that are off by some noise, `[points, given]`."""
    covariance = dense_field(points, length)
    return covariance[:, :given] @ np.linalg.inv(covariance[:given, :given] + nugget * np.eye(given))


@pytest.mark.parametrize("shape", [(30,), (10, 12)], ids=["line", "plane"])
def test_extensions_are_draws_of_the_gaussian_field_given_the_window(shape, rng):
    """Mean and covariance of many draws against dense matrices."""
    grid = np.meshgrid(*(np.arange(n) / 4.0 for n in shape), indexing="ij")
    state = 2 + sum(np.sin(g + i) for i, g in enumerate(grid))
    draws = 4000
    found = sample_extension(np.repeat(state[None], draws, axis=0), 0.5, rng, dims=len(shape))
    domain, covariance, onto, near = found.shape[1:], np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1))
    for axis, (points, given) in enumerate(zip(domain, shape, strict=True)):
        change = np.diff(state, axis=axis)
        length = math.sqrt(np.mean(np.var(state, axis=axis)) / np.mean(change**2))
        covariance = np.kron(covariance, dense_field(points, length))
        onto = np.kron(onto, dense_regression(points, given, length, 1e-2))
        near = np.kron(near, dense_regression(points, given, 2.0, 1e-6))
    inside = np.zeros(domain, dtype=bool)
    inside[tuple(slice(n) for n in shape)] = True
    inside = inside.ravel()
    # What the first regression leaves is continued by the second one.
    smooth_onto, onto = onto, onto + near @ (np.eye(inside.sum()) - onto[inside])
    mean = state.mean() + onto[~inside] @ (state.ravel() - state.mean())
    free = np.eye(len(covariance))[~inside]
    free[:, inside] -= onto[~inside]
    left = state.var() * free @ covariance @ free.T
    beyond_it = found.reshape(draws, -1)[:, ~inside]
    assert np.array_equal(found.reshape(draws, -1)[:, inside], np.repeat(state.ravel()[None], draws, axis=0))
    error = np.sqrt(np.diagonal(left).clip(0) / draws) + 2e-3
    assert np.abs((beyond_it.mean(axis=0) - mean) / error).max() < 5
    scatter = np.cov(beyond_it.T) - left
    assert np.abs(scatter).max() < 5 * np.sqrt(2 / draws) * left.max()
    # Without randomness it is the mean.
    plain = sample_extension(state[None], 0.5, None, dims=len(shape)).reshape(-1)[~inside]
    np.testing.assert_allclose(plain, mean, atol=1e-3 * np.ptp(state))
    # The start of a fit is that of the first regression alone, within the window too.
    smooth = extend(state[None], 0.5, dims=len(shape)).ravel()
    np.testing.assert_allclose(smooth, state.mean() + smooth_onto @ (state.ravel() - state.mean()), atol=1e-9)


def test_extensions_stay_in_the_range_of_the_window(rng):
    """Noise at the boundary is no slope that continues: bridges of least bending would diverge with it."""
    states = np.sin(np.arange(128) / 9.0) + 0.1 * rng.standard_normal((20, 128))
    assert np.abs(sample_extension(states, 1.0, rng, dims=1)).max() < 5 * states.std()
    assert sample_extension(states, 0.0, rng, dims=1) is states


def test_a_window_of_moving_waves_is_its_closed_form(seed):
    """u_t = -c u_x moves every wave of the domain: pixels are normal, their covariance a matrix for every c."""
    first, field, _ = window_of("u_t = -0.5*u_x", seed)
    config = TrajectoryConfig(padding=1.0, most_modes=13)
    equation, data = bp.Equation.from_string("u_t = -0.48*u_x"), TrajectoryData(field, NoiseModel(NOISE), first)
    found = fit_trajectory(equation, data, config=config)
    _, basis = initial_state(data, config)
    length, x = STEP * 120, STEP * np.arange(PIXELS)
    waves = np.fft.rfft(basis.modes, axis=0) / len(basis.modes)
    waves[1:-1] *= 2
    number = 2 * np.pi * np.arange(len(waves)) / length

    def log_likelihood(speed):
        place = np.exp(1j * number * (x[None, :, None] - speed * T[:, None, None]))
        seen = (place @ waves).real.reshape(-1, waves.shape[1]) * basis.deviation / NOISE
        y = field.values.ravel() / NOISE
        inner = np.eye(waves.shape[1]) + seen.T @ seen
        projected = seen.T @ y
        return (projected @ np.linalg.solve(inner, projected) - np.linalg.slogdet(inner)[1]) / 2

    grid = -found.equation.coefficients[0] + found.sd[0] * np.linspace(-5, 5, 81)
    logs = np.array([log_likelihood(c) for c in grid])
    weights = np.exp(logs - logs.max())
    mean = np.sum(grid * weights) / weights.sum()
    sd = math.sqrt(np.sum((grid - mean) ** 2 * weights) / weights.sum())
    assert found.converged
    assert -found.equation.coefficients[0] == pytest.approx(mean, abs=0.1 * sd)
    assert found.sd[0] * NOISE / found.noise_scale == pytest.approx(sd, rel=0.05)
    assert found.start.shape == (PIXELS,)
    assert found.fitted.shape == field.shape


def test_padding_has_to_hold_what_enters_the_window(seed):
    """It has to reach as far as waves come from: narrower ones explain less."""
    first, field, _ = window_of("u_t = 0.1*u_xx - u_x - 0.5*u*u_x", seed)
    equation, evidence = bp.Equation.from_string("u_t = 0.09*u_xx - 1.02*u_x - 0.48*u*u_x"), {}
    for padding in (0.0, 0.2, 1.0):
        config = TrajectoryConfig(padding=padding, iterations=8)
        found = fit_trajectory(equation, TrajectoryData(field, NoiseModel(NOISE), first), config=config)
        evidence[padding] = found.log_evidence
    assert max(evidence[0.0], evidence[0.2]) < evidence[1.0] - 10
    assert found.mode.whiteness_score < 4.5
    error = np.array(found.equation.coefficients) - [0.1, -1.0, -0.5]
    assert error @ np.linalg.solve(found.covariance, error) < 30
    assert found.noise_scale == pytest.approx(NOISE, rel=0.1)


def test_frames_of_a_window_may_be_displaced(seed):
    first, field, moved = window_of("u_t = 0.2*u_xx - 0.3*u_x", seed, noise=0.02, jitter=0.05)
    data = TrajectoryData(field, NoiseModel(0.02, jitter=(0.05,)), first)
    equation = bp.Equation.from_string("u_t = 0.18*u_xx - 0.28*u_x")
    found = fit_trajectory(equation, data, config=TrajectoryConfig(padding=1.0))
    error = np.array(found.equation.coefficients) - [0.2, -0.3]
    assert error @ np.linalg.solve(found.covariance, error) < 30
    # Their common part that grows with time belongs to the state and the equation.
    left = found.displacements[:, 0] - moved
    left -= np.polyval(np.polyfit(T, left, 1), T)
    assert np.std(left) < 0.3 * 0.05


def test_a_search_may_begin_at_another_state(seed):
    first, field, _ = window_of("u_t = 0.1*u_xx - 0.5*u_x", seed)
    data, config = TrajectoryData(field, NoiseModel(NOISE), first), TrajectoryConfig(padding=1.0)
    other = fit_trajectory(bp.Equation.from_string("u_t = 0.1*u_xx - 0.5*u_x + 0.01*u"), data, config=config)
    equation = bp.Equation.from_string("u_t = 0.08*u_xx - 0.45*u_x")
    found, again = (fit_trajectory(equation, data, near=near, config=config) for near in (None, other))
    np.testing.assert_allclose(again.equation.coefficients, found.equation.coefficients, atol=0.1 * found.sd.min())
    assert again.log_evidence == pytest.approx(found.log_evidence, abs=0.05)
    for config in (
        TrajectoryConfig(),
        TrajectoryConfig(padding=0.5, most_modes=len(other.mode.problem.basis.deviation)),
    ):
        with pytest.raises(ConfigError, match="another state"):
            fit_trajectory(equation, data, near=other, config=config)


@pytest.mark.parametrize("padding", [-0.1, 11.0, math.nan])
def test_padding_has_a_range(padding):
    with pytest.raises(ConfigError, match="out of range"):
        TrajectoryConfig(padding=padding)


def test_a_window_takes_no_boundary_condition():
    with pytest.raises(ConfigError, match="no boundary condition of its own"):
        TrajectoryConfig(padding=0.5, method=SolverConfig(space="difference", boundary="neumann"))
