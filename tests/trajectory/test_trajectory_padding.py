"""Windows of larger fields: the bridge beyond them, and trajectories of what enters."""

import math

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError, FitError
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


def test_the_bridge_has_the_least_energy(rng):
    """By least squares on the energies of the waves of all of the domain."""
    values = np.cumsum(rng.standard_normal(40))
    found = extend(values, 0.5, dims=1)
    length = np.std(values) / math.sqrt(np.mean(np.diff(values) ** 2))
    waves = 2 * np.pi * np.fft.fftfreq(len(found))
    energy = (np.abs(waves) * (1 + (length * waves) ** 2))[:, None] * np.fft.fft(np.eye(len(found)), axis=0)
    energy = np.vstack([energy.real, energy.imag])
    bridge = np.linalg.lstsq(energy[:, 40:], -energy[:, :40] @ values, rcond=None)[0]
    assert len(found) == 60
    np.testing.assert_array_equal(found[:40], values)
    np.testing.assert_allclose(found[40:], bridge, atol=1e-6 * np.ptp(values))


def test_the_length_is_the_deviation_over_the_slope_and_at_least_a_point():
    ramp = np.arange(30.0)[:, None] * [1.0, -2.0]
    assert _length(ramp) == pytest.approx(math.sqrt((30**2 - 1) / 12))
    assert _length(np.tile([0.0, 1.0], 10)) == 1
    assert _length(np.ones(10)) == 1


@pytest.mark.parametrize("points", [256, 1000])
def test_long_bridges_are_as_exact(points):
    """Their energies span twenty digits: the error is far below that of any first frame."""
    place = np.linspace(-1, 1, points)
    line = extend(place, 2.0, dims=1)
    assert np.abs(line).max() < 1.5
    # Odd about the middle of the window, and so about that of the bridge.
    np.testing.assert_allclose(line[points:], -line[points:][::-1], atol=1e-3)


def test_the_bridge_keeps_constants_and_overshoots_little():
    np.testing.assert_allclose(extend(np.full((2, 30), 3.0), 1.0, dims=1), 3.0)
    step = np.tanh((np.arange(50) - 25) / 4)
    assert np.abs(extend(step, 0.5, dims=1)).max() < 1.05


def test_planes_are_continued_along_both_axes():
    y, x = np.meshgrid(np.sin(np.arange(24) / 4), np.cos(np.arange(30) / 5), indexing="ij")
    found = extend((y * x)[None], 0.5, dims=2)
    assert found.shape == (1, 36, 45)
    along_y, along_x = extend(y[:, 0], 0.5, dims=1), extend(x[0], 0.5, dims=1)
    np.testing.assert_allclose(found[0], np.outer(along_y, along_x), atol=1e-9)
    assert extend(y, 0.0, dims=2) is y


def dense_field(points, length):
    """Covariance of a periodic Gaussian field by a sum over its waves, `[points, points]`."""
    waves = 2 * np.pi * np.fft.fftfreq(points)
    weight = (1 + (length * waves) ** 2 / 3) ** -3.0
    places = np.arange(points)
    return (np.exp(1j * waves * (places[:, None, None] - places[:, None])) @ weight).real / weight.sum()


@pytest.mark.parametrize("shape", [(30,), (10, 12)], ids=["line", "plane"])
def test_extensions_are_draws_of_the_gaussian_field_given_the_window(shape, rng):
    """Mean and covariance of many draws against those of the dense conditional distribution."""
    grid = np.meshgrid(*(np.arange(n) / 4.0 for n in shape), indexing="ij")
    state = 2 + sum(np.sin(g + i) for i, g in enumerate(grid))
    draws = 4000
    found = sample_extension(np.repeat(state[None], draws, axis=0), 0.5, rng, dims=len(shape))
    domain, covariance = found.shape[1:], np.ones((1, 1))
    for axis, points in enumerate(domain):
        change = np.diff(state, axis=axis)
        length = math.sqrt(np.mean(np.var(state, axis=axis)) / np.mean(change**2))
        covariance = np.kron(covariance, dense_field(points, length))
    covariance *= state.var()
    inside = np.zeros(domain, dtype=bool)
    inside[tuple(slice(n) for n in shape)] = True
    inside = inside.ravel()
    known = covariance[np.ix_(inside, inside)] + 1e-6 * state.var() * np.eye(inside.sum())
    onto = np.linalg.solve(known, covariance[np.ix_(inside, ~inside)]).T
    mean = state.mean() + onto @ (state.ravel() - state.mean())
    left = covariance[np.ix_(~inside, ~inside)] - onto @ covariance[np.ix_(inside, ~inside)]
    beyond_it = found.reshape(draws, -1)[:, ~inside]
    assert np.array_equal(found.reshape(draws, -1)[:, inside], np.repeat(state.ravel()[None], draws, axis=0))
    error = np.sqrt(np.diagonal(left).clip(0) / draws) + 2e-3
    assert np.abs((beyond_it.mean(axis=0) - mean) / error).max() < 5
    scatter = np.cov(beyond_it.T) - left
    assert np.abs(scatter).max() < 5 * np.sqrt(2 / draws) * left.max()
    # Without randomness it is the mean.
    plain = sample_extension(state[None], 0.5, None, dims=len(shape)).reshape(-1)[~inside]
    np.testing.assert_allclose(plain, mean, atol=1e-3 * np.ptp(state))


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
    """It has to reach as far as waves come from: narrower ones are refused, or explain less."""
    first, field, _ = window_of("u_t = 0.1*u_xx - u_x - 0.5*u*u_x", seed)
    equation, evidence = bp.Equation.from_string("u_t = 0.09*u_xx - 1.02*u_x - 0.48*u*u_x"), {}
    for padding in (0.0, 0.2, 1.0):
        try:
            config = TrajectoryConfig(padding=padding, iterations=8)
            found = fit_trajectory(equation, TrajectoryData(field, NoiseModel(NOISE), first), config=config)
            evidence[padding] = found.log_evidence
        except FitError:
            evidence[padding] = -np.inf
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
