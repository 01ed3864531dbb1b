"""The share of the information that is lost in noise, where waves turn independently and have closed forms."""

import math

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import OutOfReachError
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.trajectory.cycle_skipping import check_foreseen_share, information, least_share
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.initial_state_basis import state_basis
from bayespde.trajectory.problem import TrajectoryProblem

POINTS, WAVES = 32, 5
X, T = 2 * np.pi * np.arange(POINTS) / POINTS, np.linspace(0, 1, 21)
DISPERSION = bp.Equation.from_string("u_t = -0.3*u_xxx")


def problem_of(noise):
    """One long wave of unit size, and four whose envelope is as wide and which are zero."""
    first = xr.DataArray(np.sin(X), {"x": X}, name="u")
    field = bp.make_field(np.sin(X + 0.3 * T[:, None]), t=T, x=X)
    basis = state_basis(10 * np.cos(WAVES * X), boundary="periodic", error=noise, most=2 * WAVES + 1)
    return TrajectoryProblem.of(DISPERSION, TrajectoryData(field, NoiseModel(noise), first), basis, SolverConfig())


def share_lost(amplitudes):
    """A wave of number k and amplitude a holds information in proportion to a^2 k^6."""
    held = np.square(amplitudes) * np.arange(1, WAVES + 1.0) ** 6
    return 1 - held[0] / held.sum()


def test_the_share_is_that_of_the_closed_form():
    problem, prior = problem_of(1e-3), None
    amplitudes = [1.0, 0.1, 0.03, 0.02, 0.01]
    noisy = sum(a * np.sin(k * X) for k, a in enumerate(amplitudes, start=1))
    prior = np.diag(problem.prior())
    parts = [information(problem.slopes(problem.start(s)).curvature, prior, 1) for s in (np.sin(X), noisy)]
    assert 1 - least_share(*parts) == pytest.approx(share_lost(amplitudes), rel=0.01)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3])
def test_what_noise_would_hold_after_a_fit_is_foreseen(noise):
    """A fit to all frames leaves an error of sqrt(2) noise / sqrt(pixels) in the sine and in the cosine of a wave."""
    problem = problem_of(noise)
    left = 2 * noise / math.sqrt(POINTS * len(T))
    lost = share_lost([1.0, *[left] * (WAVES - 1)])
    # The smoothed first frame is off by as much as its noise.
    rng = np.random.default_rng(1)
    start, draws = np.sin(X), np.sin(X) + 0.2 * noise * rng.standard_normal((20, POINTS))
    if lost < 0.35:
        check_foreseen_share(problem, problem.start(start), draws)
        return
    assert lost > 0.45
    with pytest.raises(OutOfReachError, match="many local maxima") as caught:
        check_foreseen_share(problem, problem.start(start), draws)
    found = float(str(caught.value).split("got:")[1].split("%")[0])
    assert found == pytest.approx(100 * lost, abs=6)
