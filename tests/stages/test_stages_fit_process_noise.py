"""Equations that are only nearly right: coefficients and the size of what is missing."""

from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import BudgetError, ConfigError
from bayespde.stages import fit_process_noise as module
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.zoo.declaration import read_declaration

X, T = np.linspace(0, 2 * np.pi, 48, endpoint=False), np.linspace(0, 2, 61)
SPLINE = bp.SmoothingConfig(smoother="spline")
GUESS = bp.Equation.from_string("u_t = 0.12*u_xx - 0.9*u*u_x")


def video(text, seed):
    start = bp.make_field(np.tile(1 + np.sin(X) + 0.4 * np.cos(2 * X + 1), (9, 1)), t=T[:9], x=X).isel(
        time=0, drop=True
    )
    clean = bp.integrate(bp.Equation.from_string(text), start, T, method=bp.SolverConfig(rtol=1e-7))
    return bp.add_noise(clean, 0.05, seed=seed)


def fitted(field, equation=GUESS, **settings):
    return bp.fit_process_noise(equation, bp.fit_field(field, options=SPLINE), **settings)


def test_an_equation_that_is_right_needs_no_process_noise(seed):
    found = fitted(video("u_t = 0.1*u_xx - u*u_x", seed))
    assert found.converged
    # By chance, one video in a hundred thousand gains more.
    assert found.log_evidence_gain < 9.8
    assert found.interval[1] < 0.3 * found.size / found.share
    assert (np.abs(np.array(found.equation.coefficients) - [0.1, -1.0]) < 5 * found.sd).all()


def test_what_an_equation_lacks_is_process_noise(seed):
    found = fitted(video("u_t = 0.1*u_xx - u*u_x + 0.3*u**2 - 0.6*u", seed))
    assert found.converged
    assert not found.is_exact
    assert found.log_evidence_gain > 100
    assert 0 < found.interval[0] < found.size < found.interval[1]
    assert "only nearly right" in str(found)
    # In spite of it coefficients are near, and say that they are less certain.
    assert np.abs(np.array(found.equation.coefficients) - [0.1, -1.0]).max() < 0.2
    right = fitted(video("u_t = 0.1*u_xx - u*u_x", seed))
    assert (found.sd > right.sd).all()


def test_the_size_is_that_of_noise_that_was_added(seed):
    """Decaying waves that are kicked at every frame, as smoothly as the field is."""
    rng, step, size = np.random.default_rng([5, seed]), T[1], 0.3
    waves = np.arange(1, 5)
    decay, states = np.exp(-0.2 * waves**2 * step), [rng.normal(size=(2, 4))]
    for _ in T[1:]:
        # Two waves of each number, of mean square one half: their sum has the size at every point.
        kick = size * np.sqrt(step) * rng.normal(size=(2, 4)) / np.sqrt(len(waves))
        states.append(decay * states[-1] + kick)
    shapes = np.stack([np.cos(waves[:, None] * X), np.sin(waves[:, None] * X)])
    clean = np.einsum("tak,akx->tx", np.array(states), shapes)
    field = bp.make_field(clean + 0.05 * rng.normal(size=clean.shape), t=T, x=X)
    found = fitted(field, bp.Equation.from_string("u_t = 0.2*u_xx"))
    assert not found.is_exact
    low, high = np.log(found.interval)
    # Twice the interval, for the prior shape in space is that of the field and not that of the kicks.
    assert abs(np.log(found.size / size)) < 2 * (high - low) + 0.5
    assert abs(found.equation.coefficients[0] - 0.2) < 5 * found.sd[0]


def test_in_the_plane(seed):
    times, places = np.linspace(0, 1, 21), 2 * np.pi * np.arange(16) / 16
    first = np.sin(places)[:, None] + np.cos(places + 0.5)[None] + 0.5 * np.sin(places[:, None] + places)
    start = bp.make_field(np.tile(first, (9, 1, 1)), t=times[:9], y=places, x=places).isel(time=0, drop=True)
    clean = bp.integrate(bp.Equation.from_string("u_t = 0.3*u_xx + 0.2*u_yy - 0.4*u*u_x"), start, times)
    guess = bp.Equation.from_string("u_t = 0.25*u_xx + 0.25*u_yy - 0.5*u*u_x")
    found = fitted(bp.add_noise(clean, 0.05, seed=seed), guess)
    assert found.log_evidence_gain < 9.8
    assert (np.abs(np.array(found.equation.coefficients) - [0.3, 0.2, -0.4]) < 5 * found.sd).all()
    assert found.states.dims == ("time", "y", "x")
    assert float(np.abs(found.states - clean).max()) < 0.1


@pytest.mark.slow  # nine passes over 241 frames
def test_waves_that_turn_many_times_do_not_lead_astray(seed):
    """Along one trajectory this field has a likelihood of many maxima."""
    spec = bp.SimulationSpec.from_mapping(read_declaration("korteweg_de_vries").settings["simulate"])
    field = bp.add_noise(bp.simulate(replace(spec, noise=0.0)), 0.2, seed=seed)
    found = fitted(field, bp.Equation.from_string("u_t = -1700*u_xxx - 15.5*u*u_x"))
    assert (np.abs(np.array(found.equation.coefficients) - [-1650.0, -15.0]) < 5 * found.sd).all()
    assert (found.sd < [10, 0.05]).all()


def test_the_result_in_words(seed):
    found = fitted(video("u_t = 0.1*u_xx - u*u_x", 0), config=TrajectoryConfig(iterations=1))
    assert not found.converged
    assert "NOT CONVERGED" in str(found)
    assert repr(found).startswith("ProcessNoise(equation='u_t = ")
    assert found.states.shape == (len(T), len(X))


def test_what_cannot_be_fitted_is_refused(monkeypatch):
    field = video("u_t = 0.1*u_xx - u*u_x", 0)
    with pytest.raises(ConfigError, match="padding"):
        fitted(field, config=TrajectoryConfig(padding=0.4))
    with pytest.raises(BudgetError):
        fitted(field, progress=bp.Progress().within(0.0))
    monkeypatch.setattr(module, "MOST_MODES", 4)
    with pytest.raises(ConfigError, match="coarsen"):
        fitted(field)
