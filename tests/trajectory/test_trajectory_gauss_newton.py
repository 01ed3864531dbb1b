"""Gauss-Newton steps: slopes that serve several steps lead to the mode that new slopes at every step lead to."""

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import FitError, OutOfReachError
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory import gauss_newton as module
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.gauss_newton import NEAR, Stop, descend
from bayespde.trajectory.initial_state_basis import state_basis
from bayespde.trajectory.problem import TrajectoryProblem


@pytest.fixture
def problem(seed):
    """Burgers' equation, coefficients a fifth off."""
    x, times = 2 * np.pi * np.arange(32) / 32, np.linspace(0, 1, 12)
    start = xr.DataArray(1 + np.sin(x), {"x": x}, name="u")
    clean = bp.integrate(bp.Equation.from_string("u_t = 0.2*u_xx - u*u_x"), start, times)
    field = bp.add_noise(clean, 0.05, seed=seed)
    noise = NoiseModel(0.05 * float(clean.std()))
    basis = state_basis(start.values, boundary="periodic", error=noise.rms, most=9)
    data = TrajectoryData(field, noise, start)
    wrong = bp.Equation.from_string("u_t = 0.24*u_xx - 0.8*u*u_x")
    return TrajectoryProblem.of(wrong, data, basis, SolverConfig()), start.values


@pytest.fixture
def counted(monkeypatch):
    """Of slopes that were computed."""
    calls, right = [], TrajectoryProblem.slopes
    monkeypatch.setattr(TrajectoryProblem, "slopes", lambda *a: calls.append(1) or right(*a))
    return calls


def distance(mode, other):
    """In standard deviations."""
    difference = mode.parameters - other.parameters
    curvature = other.around.curvature + np.diag(other.problem.prior())
    return math.sqrt(difference @ curvature @ difference)


def test_slopes_of_one_point_lead_to_the_same_mode(problem, counted, monkeypatch):
    problem, first = problem
    few = descend(problem, problem.start(first), Stop(30, 1e-3)).mode
    reused = len(counted)
    monkeypatch.setattr(module, "TRUSTED", math.inf)
    monkeypatch.setattr(module, "FRESH", 1e-9)
    new = descend(problem, problem.start(first), Stop(30, 1e-3)).mode
    assert few.converged
    assert new.converged
    assert distance(few, new) < NEAR / 2
    assert reused <= 2 < len(counted) - reused
    # The curvature is that of the mode.
    there = problem.slopes(few.parameters).curvature
    size = np.sqrt(np.diag(there))
    np.testing.assert_allclose(few.around.curvature / np.outer(size, size), there / np.outer(size, size), atol=0.01)


def test_slopes_that_are_given_are_taken_while_they_serve(problem, counted):
    problem, first = problem
    begin = descend(problem, problem.start(first), Stop(30, 1e-3, is_last=False))
    before = len(counted)
    again = descend(problem, begin.mode.parameters, Stop(30, 1e-3, is_last=False), slopes=begin.slopes)
    assert len(counted) == before
    assert again.slopes is begin.slopes
    last = descend(problem, begin.mode.parameters, Stop(30, 1e-3), slopes=begin.slopes)
    assert len(counted) == before + 1
    assert last.slopes is not begin.slopes


def test_a_search_that_cannot_come_below_what_another_equation_has_ends_early(problem, counted):
    problem, first = problem
    mode = descend(problem, problem.start(first), Stop(30, 1e-3)).mode
    least = problem.objective(mode.residual, mode.parameters)
    within_reach = replace(problem, hopeless=least + 1)
    assert descend(within_reach, problem.start(first), Stop(30, 1e-3)).mode.converged
    del counted[:]
    with pytest.raises(FitError, match="Another equation explains the pixels better"):
        descend(replace(problem, hopeless=least - 10), problem.start(first), Stop(30, 1e-3))
    assert len(counted) <= 3


def test_a_residual_beyond_single_precision_is_out_of_reach(problem, monkeypatch):
    """Of a trajectory that is about to diverge, where slopes are those of a point nearby."""
    problem, first = problem
    start = problem.start(first)
    slopes, residual = problem.slopes(start), problem.residual(start)
    monkeypatch.setattr(TrajectoryProblem, "residual", lambda *_: 1e38 * residual)
    with pytest.raises(OutOfReachError, match="diverges"):
        descend(problem, start, Stop(5, 0.1), slopes=slopes)
