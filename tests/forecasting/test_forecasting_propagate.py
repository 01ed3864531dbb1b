"""Launches and what becomes of them: closed forms, the posterior of a trajectory, and no more points than needed."""

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.equation import Equation
from bayespde.core.noise import NoiseModel
from bayespde.forecasting.ensemble import ForecastEnsemble, ensemble_from_trajectories, occurring_terms
from bayespde.forecasting.propagate import propagate
from bayespde.solve.config import SolverConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory

N = 128
X = 2 * np.pi * np.arange(N) / N
FRAME = xr.DataArray(np.zeros(N), dims="x", coords={"x": X}, name="u")
TIGHT = SolverConfig(rtol=1e-8, atol=1e-10)


def heat(draws, rng):
    """Heat at rates of their own from two waves of random heights."""
    rates, heights = 0.1 + 0.2 * rng.random((draws, 1)), rng.standard_normal((draws, 2))
    states = heights @ np.array([np.sin(2 * X), np.cos(3 * X)])
    return ForecastEnsemble(Equation.from_string("u_t = u_xx"), rates, states, 1.0, FRAME, TIGHT), rates, heights


@pytest.mark.parametrize("first", [1.0, 1.7])
def test_predicted_frames_are_the_closed_form_at_fewer_points(rng, first):
    ensemble, rates, heights = heat(6, rng)
    times = np.linspace(first, 3, 9)
    found = propagate(ensemble, times)
    decay = np.exp(-rates[:, :, None] * np.array([4.0, 9.0])[:, None] * (times - 1.0))
    wanted = np.einsum("dw,dwt,wx->dtx", heights, decay, np.array([np.sin(2 * X), np.cos(3 * X)]))
    np.testing.assert_allclose(found.frames, wanted, atol=1e-5)
    assert found.points[0] < N / 2


def test_ill_posed_draws_end_at_their_start_and_change_no_other(rng):
    ensemble, rates, _ = heat(6, rng)
    bad = rates.copy()
    bad[[1, 4]] = -50.0
    mixed = ForecastEnsemble(ensemble.equation, bad, ensemble.states, 1.0, FRAME, TIGHT)
    times = np.linspace(1, 3, 5)
    found = propagate(mixed, times)
    np.testing.assert_array_equal(found.ended, [np.inf, 1.0, np.inf, np.inf, 1.0, np.inf])
    assert np.isnan(found.frames[[1, 4], 1:]).all()
    kept = [0, 2, 3, 5]
    np.testing.assert_allclose(found.frames[kept], propagate(ensemble, times).frames[kept], atol=1e-5)


def test_what_steepens_gets_the_points_that_it_needs():
    """A pulse of Burgers' equation at little viscosity, against all pixels."""
    start = np.exp(-((X - 2) ** 2) * 2)
    equation = Equation.from_string("u_t = -u*u_x + 0.05*u_xx")
    ensemble = ForecastEnsemble(equation, np.array([equation.coefficients]), start[None], 0.0, FRAME, TIGHT)
    times = np.linspace(0, 3, 7)
    found = propagate(ensemble, times)
    whole = bp.integrate(equation, FRAME.copy(data=start), times, method=TIGHT)
    assert found.points[0] > 40
    np.testing.assert_allclose(found.frames[0], whole, atol=2e-3 * start.std())


def test_windows_show_the_first_points_of_their_domain(rng):
    ensemble, *_ = heat(3, rng)
    window = ForecastEnsemble(
        ensemble.equation,
        ensemble.coefficients,
        ensemble.states,
        ensemble.time,
        FRAME.isel(x=slice(40)),
        ensemble.method,
    )
    times = np.linspace(1, 2, 4)
    np.testing.assert_array_equal(propagate(window, times).frames, propagate(ensemble, times).frames[..., :40])


def test_only_terms_that_a_draw_has_are_integrated(rng):
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxx"])
    coefficients = np.zeros((5, 4))
    coefficients[1:3, 2], coefficients[4, 1] = 0.3, -1.0
    ensemble = ForecastEnsemble(
        *occurring_terms(library, coefficients), states=np.tile(np.sin(X), (5, 1)), time=0.0, frame=FRAME, method=TIGHT
    )
    assert ensemble.equation.names == ("u_x", "u_xx")
    frames = propagate(ensemble, np.array([1.0])).frames[:, 0]
    wanted = [np.sin(X), *(2 * [np.exp(-0.3) * np.sin(X)]), np.sin(X), np.sin(X - 1)]
    np.testing.assert_allclose(frames, wanted, atol=1e-6)
    nothing = ForecastEnsemble(
        *occurring_terms(library, np.zeros((2, 4))),
        states=np.tile(np.sin(X), (2, 1)),
        time=0.0,
        frame=FRAME,
        method=TIGHT,
    )
    np.testing.assert_allclose(propagate(nothing, np.array([1.0])).frames[:, 0], [np.sin(X)] * 2, atol=1e-9)


@pytest.fixture(scope="module")
def trajectory():
    """Advection, diffusion and growth, whose solution is linear in the state: 40 x 48 pixels, 20 % noise."""
    x, t = 2 * np.pi * np.arange(48) / 48, np.linspace(0, 1.5, 40)
    waves = ((1, 1.0), (2, 0.6), (3, 0.3))
    values = sum(a * np.exp(-0.2 * k**2 * t[:, None]) * np.sin(k * (x - 0.7 * t[:, None]) + k) for k, a in waves)
    clean = bp.make_field(values, t=t, x=x)
    noise = 0.2 * float(clean.std())
    field = bp.add_noise(clean, 0.2, seed=3)
    equation = Equation.from_string("u_t = 0.2*u_xx - 0.7*u_x")
    data = TrajectoryData(field, NoiseModel(noise), clean.isel(time=0, drop=True))
    return clean, fit_trajectory(equation, data)


def test_predictions_of_a_trajectory_cover_the_truth(trajectory, seed):
    """Over frames seen and not seen; in units of the spread, errors are of its size: two coefficients, six waves."""
    clean, one = trajectory
    library = bp.Library.from_strings(["u_x", "u_xx"])
    ensemble = ensemble_from_trajectories([one], np.ones(1), library, 400, np.random.default_rng(seed))
    times = np.append(clean["time"].values, [2.0, 2.5])
    found = propagate(ensemble, times).frames
    x, t = clean["x"].values, times[:, None]
    truth = sum(a * np.exp(-0.2 * k**2 * t) * np.sin(k * (x - 0.7 * t) + k) for k, a in ((1, 1.0), (2, 0.6), (3, 0.3)))
    score = (found.mean(axis=0) - truth) / found.std(axis=0)
    assert 0.2 < np.sqrt(np.mean(score**2)) < 2.5
    # Frames amid the others are better known than the first.
    spread = found.std(axis=0).mean(axis=1)
    assert spread[20] < 0.5 * spread[0]


def test_several_trajectories_are_drawn_by_their_probability(trajectory):
    _, one = trajectory
    library = bp.Library.from_strings(["u", "u_x", "u_xx"])
    ensemble = ensemble_from_trajectories([one, one], np.array([0.25, 0.75]), library, 200, np.random.default_rng(0))
    assert ensemble.coefficients.shape == (200, 2)
    assert ensemble.states.shape == (200, 48)
    assert ensemble.time == 0.0
