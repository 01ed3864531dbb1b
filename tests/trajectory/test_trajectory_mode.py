"""The mode without the noise of its waves, by hand, with a stand-in for the problem."""

from functools import partial
from types import SimpleNamespace

import numpy as np

from bayespde.trajectory.mode import Mode
from bayespde.trajectory.problem import TrajectoryProblem


def test_a_wave_keeps_the_share_of_its_square_that_is_no_noise():
    """Two waves of two modes each, between a coefficient and a displacement; the second wave is less than its noise."""
    parameters = np.array([0.7, 3.0, 4.0, 0.1, 0.2, -0.5])
    variance = np.array([1.0, 2.0, 7.0, 0.3, 0.2, 1.0])
    prior = np.full(6, 0.125)
    problem = SimpleNamespace(
        terms=1, shared=5, basis=SimpleNamespace(wave=np.array([2.0, 2.0, 5.0, 5.0])), prior=lambda: prior
    )
    problem.whole_domain = lambda: problem
    problem.denoised = partial(TrajectoryProblem.denoised, problem)
    around = SimpleNamespace(curvature=np.diag(1 / variance - prior))
    mode = SimpleNamespace(problem=problem, around=around, parameters=parameters)
    found = Mode.denoised_parameters.func(mode)
    kept = np.sqrt(1 - (2.0 + 7.0) / (3.0**2 + 4.0**2))
    np.testing.assert_allclose(found, [0.7, 3 * kept, 4 * kept, 0, 0, -0.5], atol=1e-12)
    assert parameters[1] == 3.0
