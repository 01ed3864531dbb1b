"""Rows along a trajectory: the information of a linear model written out, its state and displacements eliminated."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory
from bayespde.trajectory.initial_state_basis import state_basis
from bayespde.trajectory.linearised_rows import linearised_rows

POINTS, NOISE = 32, 0.05
X = 2 * np.pi * np.arange(POINTS) / POINTS
T = np.linspace(0, 1, 25)
RATE = 0.2
LIBRARY = bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxx", "u**2"])
WAVES = {1: 1.0, 2: 0.7, 3: 0.5}


def frame(values):
    return xr.DataArray(values, dims="x", coords={"x": X}, name="u")


def heat(seed=0):
    clean = sum(a * np.exp(-RATE * k**2 * T[:, None]) * np.sin(k * X + k) for k, a in WAVES.items())
    return clean, bp.make_field(clean + NOISE * np.random.default_rng(seed).standard_normal(clean.shape), t=T, x=X)


def fitted(field, first, noise, terms="0.2*u_xx", modes=7):
    config = TrajectoryConfig(most_modes=modes, tolerance=1e-6, method=SolverConfig(rtol=1e-9))
    equation = bp.Equation.from_string(f"u_t = {terms}")
    return fit_trajectory(equation, TrajectoryData(field, noise, frame(first)), config=config)


def written_out(found, basis):
    """Design of the five terms and the modes of the state for the heat equation, `[pixels, 5 + modes]`, by Fourier.

    A small share of a linear term changes each wave by t times its symbol; one of u^2 is the integral of what u^2 does,
    carried on by the heat equation (Duhamel).
    """
    rate, waves = found.equation.coefficients[0], np.fft.rfftfreq(POINTS, 1 / POINTS)
    decay = np.exp(-rate * waves**2 * T[:, None])
    start = found.mode.problem.first_state(found.mode.denoised_parameters)
    spectrum = np.fft.rfft(start) * decay
    symbols = [1j**n * waves**n for n in range(4)]
    linear = [np.fft.irfft(T[:, None] * s * spectrum, POINTS, axis=1).ravel() for s in symbols]
    nodes, weights = np.polynomial.legendre.leggauss(12)
    square = np.zeros((len(T), len(waves)), dtype=complex)
    for i, t in enumerate(T):
        for s, w in zip(t * (nodes + 1) / 2, t * weights / 2, strict=True):
            u = np.fft.irfft(np.fft.rfft(start) * np.exp(-rate * waves**2 * s), POINTS)
            square[i] += w * np.fft.rfft(u**2) * np.exp(-rate * waves**2 * (t - s))
    states = [
        np.fft.irfft(np.fft.rfft(d * m) * decay, POINTS, axis=1).ravel()
        for m, d in zip(basis.modes.T, basis.deviation, strict=True)
    ]
    return np.column_stack([*linear, np.fft.irfft(square, POINTS, axis=1).ravel(), *states])


def eliminated(design, target, prior_mean, terms):
    """Normal equations of the first `terms` columns: the others have normal priors of mean `-prior_mean` and sd 1."""
    rows = np.vstack([design, np.eye(design.shape[1])[terms:]])
    y = np.concatenate([target, -prior_mean])
    others, chosen = rows[:, terms:], rows[:, :terms]
    project = np.eye(len(rows)) - others @ np.linalg.pinv(others)
    return chosen.T @ project @ chosen, chosen.T @ project @ y, float(y @ project @ y)


def test_rows_are_the_linear_model_of_all_terms_with_the_state_eliminated():
    clean, field = heat()
    basis = state_basis(clean[0], boundary="periodic", error=NOISE, most=7)
    found = fitted(field, clean[0], NoiseModel(NOISE))
    rows = linearised_rows(found.mode, LIBRARY)
    design, state = written_out(found, basis), found.mode.parameters[1:]
    residual = (field.values - found.fitted.values).ravel() / NOISE
    information, score, left = eliminated(design / NOISE, residual, state, 5)
    gram = rows.factor.T @ rows.factor
    assert gram[:-1, :-1] == pytest.approx(information, rel=2e-3, abs=2e-3 * np.abs(information).max())
    # The target is the residual plus the part that the fitted coefficient explains.
    now = np.array([0, 0, found.equation.coefficients[0], 0, 0])
    wanted = score + information @ now
    size = np.sqrt(np.diag(information))
    assert gram[:-1, -1] / size == pytest.approx(wanted / size, rel=3e-3, abs=0.02)
    assert rows.block_residuals(now).sum() == pytest.approx(left, rel=1e-3)
    assert rows.rows == field.size + len(state)


def test_displacements_are_eliminated_frame_by_frame_as_all_at_once(rng):
    clean, _ = heat()
    shift = 0.1 * rng.standard_normal(len(T))
    moved = np.stack(
        [np.interp((X + d) % (2 * np.pi), X, row, period=2 * np.pi) for d, row in zip(shift, clean, strict=True)]
    )
    field = bp.make_field(moved + NOISE * rng.standard_normal(clean.shape), t=T, x=X)
    found = fitted(field, clean[0], NoiseModel(NOISE, jitter=(0.1,)))
    rows = linearised_rows(found.mode, LIBRARY)
    problem, parameters = found.mode.problem, found.mode.denoised_parameters
    # Of all terms and modes at the pixels, and displacements that are columns like any other.
    tangent = problem.tangent(parameters, LIBRARY.terms)
    slopes = tangent.slopes(problem.modes(problem.coarse)).astype(float)
    pixels = problem.observation.predicted(np.moveaxis(slopes, 1, 0), problem.displacements(parameters)) / NOISE
    spread = np.zeros((len(T), POINTS, len(T)))
    spread[np.arange(len(T)), :, np.arange(len(T))] = problem.frame_slopes(tangent, parameters)[:, 0]
    design = np.concatenate([np.moveaxis(pixels, 0, -1), spread], axis=-1).reshape(field.size, -1)
    wanted, _, left = eliminated(design, found.mode.residual.ravel(), found.mode.parameters[1:], 5)
    gram = rows.factor.T @ rows.factor
    size = np.sqrt(np.diag(wanted))
    assert gram[:-1, :-1] / np.outer(size, size) == pytest.approx(wanted / np.outer(size, size), abs=1e-8)
    coefficients = np.where(np.array(LIBRARY.names) == "u_xx", found.equation.coefficients[0], 0.0)
    assert rows.block_residuals(coefficients).sum() == pytest.approx(left, rel=1e-8)


def test_least_squares_along_a_trajectory_gives_the_trajectory_of_more_terms():
    """Where all but the products of coefficients is linear, these rows give the fit of a neighbouring equation."""
    clean, field = heat(3)
    here = fitted(field, clean[0], NoiseModel(NOISE))
    there = fitted(field, clean[0], NoiseModel(NOISE), "0.2*u_xx + 0.01*u_x + 0.01*u")
    rows = linearised_rows(here.mode, LIBRARY)
    on = LIBRARY.spins(["u", "u_x", "u_xx"])
    by_rows = dict(zip(LIBRARY.names, rows.least_squares(on), strict=True))
    sd = dict(zip(there.equation.names, there.sd, strict=True))
    for name, own in there.equation.as_dict().items():
        assert by_rows[name] == pytest.approx(own, abs=0.1 * sd[name])
    gain = [rows.block_residuals(rows.least_squares(s)).sum() for s in (LIBRARY.spins(["u_xx"]), on)]
    own = [t.mode.problem.objective(t.mode.residual, t.mode.parameters) for t in (here, there)]
    assert (gain[0] - gain[1]) / 2 == pytest.approx(own[0] - own[1], abs=0.1)


def test_the_spin_model_selects_the_true_term(seed):
    """The true term is certain, and the mean probability of twenty absent ones is low."""
    inclusion = []
    for k in range(5):
        clean, field = heat(5 * seed + k)
        found = fitted(field, clean[0], NoiseModel(NOISE))
        exact = bp.enumerate_models(bp.SpinModel(linearised_rows(found.mode, LIBRARY), LIBRARY))
        inclusion.append(exact.inclusion_probability)
    inclusion = np.array(inclusion)
    true = LIBRARY.spins(["u_xx"])
    assert inclusion[:, true].min() > 0.999
    # A squared score above 25 for one of twenty absent terms has a probability of 1e-5.
    assert inclusion[:, ~true].max() < 0.999
    assert inclusion[:, ~true].mean() < 0.2


def test_a_term_that_is_zero_along_the_trajectory_is_excluded():
    _, field = heat()
    flat = field.copy(data=np.ones(field.shape) + NOISE * np.random.default_rng(0).standard_normal(field.shape))
    found = fitted(flat, np.ones(POINTS), NoiseModel(NOISE), "0.1*u", modes=1)
    rows = linearised_rows(found.mode, LIBRARY)
    exact = bp.enumerate_models(bp.SpinModel(rows, LIBRARY))
    zero = LIBRARY.spins(["u_x", "u_xx", "u_xxx"])
    assert np.all(exact.inclusion_probability[zero] == 0)
    assert np.all(exact.inclusion_probability[~zero] > 0)


def test_a_drift_is_found_along_a_state_at_rest(seed):
    """Displaced frames can absorb it: next to nothing moves, and the unit of a term must not vanish with that."""
    rng = np.random.default_rng(seed)
    x, times, speed, jitter, noise = 2 * np.pi * np.arange(64) / 64, np.linspace(0, 4, 61), 0.05, 0.05, 0.02
    place = x[None] - speed * times[:, None] + jitter * rng.standard_normal((61, 1))
    values = np.sin(place) + 0.5 * np.cos(2 * place) + noise * rng.standard_normal(place.shape)
    first = xr.DataArray(np.sin(x) + 0.5 * np.cos(2 * x), dims="x", coords={"x": x}, name="u")
    data = TrajectoryData(bp.make_field(values, t=times, x=x), NoiseModel(noise, jitter=(jitter,)), first)
    still = fit_trajectory(bp.Equation.from_string("u_t = 1e-6*u_xx"), data)
    mode = replace(still.mode, parameters=np.r_[1e-9, still.mode.parameters[1:]])
    rows = linearised_rows(mode, bp.Library.from_strings(["u_x", "u_xx"]), variance=still.variance)
    found = rows.least_squares(np.array([True, False]))[0]
    assert abs(found + speed) < 5 * jitter / (np.std(times) * np.sqrt(len(times)))
