"""What a trajectory problem takes, and its parameters."""

from itertools import pairwise

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory import problem as module
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.initial_state_basis import state_basis
from bayespde.trajectory.problem import TrajectoryProblem


@pytest.mark.parametrize(("terms", "modes"), [("0.3*u_xx", 7), ("0.3*u_xx - u_x + u", 3), ("0.3*u_xx - u_x + u", 1)])
def test_a_field_with_too_many_slopes_is_refused(terms, modes, monkeypatch):
    """There is one slope for every pixel and parameter."""
    x, t = 2 * np.pi * np.arange(16) / 16, np.linspace(0, 1, 5)
    field = bp.make_field(np.exp(-t[:, None]) * np.sin(x), t=t, x=x)
    equation = bp.Equation.from_string(f"u_t = {terms}")
    data = TrajectoryData(field, NoiseModel(0.1), field.isel(time=0, drop=True))
    basis = state_basis(np.sin(x) + 0.1 * np.arange(16), boundary="periodic", error=1e-9, most=modes)
    slopes = 5 * 16 * (len(equation.coefficients) + len(basis.deviation))
    monkeypatch.setattr(module, "MAXIMUM_SLOPES", slopes)
    assert len(TrajectoryProblem.of(equation, data, basis, SolverConfig()).prior()) == slopes / 80
    monkeypatch.setattr(module, "MAXIMUM_SLOPES", slopes - 1)
    with pytest.raises(ConfigError, match="too large for trajectories"):
        TrajectoryProblem.of(equation, data, basis, SolverConfig())


def test_slopes_become_more_accurate_until_they_are_as_accurate_as_trajectories():
    x, t = 2 * np.pi * np.arange(16) / 16, np.linspace(0, 1, 5)
    field = bp.make_field(np.exp(-t[:, None]) * np.sin(x), t=t, x=x)
    data = TrajectoryData(field, NoiseModel(0.1), field.isel(time=0, drop=True))
    basis = state_basis(np.sin(x), boundary="periodic", error=0.01, most=3)
    problem = TrajectoryProblem.of(bp.Equation.from_string("u_t = 0.3*u_xx"), data, basis, SolverConfig(rtol=1e-7))
    tolerances = []
    while problem is not None:
        tolerances.append(problem.slope_tolerance)
        problem = problem.tighter()
    assert len(tolerances) > 1
    assert all(0 < b <= a / 10 for a, b in pairwise(tolerances))
    assert tolerances[-1] <= 1e-7 < tolerances[-2]
