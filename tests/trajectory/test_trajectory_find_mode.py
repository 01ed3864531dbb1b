"""Whether more points in space make no difference, with stand-ins for the problem and the mode."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from bayespde.core.errors import IntegrationError
from bayespde.solve.config import SolverConfig
from bayespde.trajectory import find_mode as module
from bayespde.trajectory.find_mode import ANOTHER_EQUATION, MORE_STEPS, _change, _longer


@dataclass(frozen=True)
class Finer:
    """Residuals at more points, or none."""

    found: np.ndarray | None
    method: SolverConfig = field(default_factory=SolverConfig)
    observation: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(whiten=lambda residual: residual))

    def residual(self, parameters):
        assert self.method.maximum_steps == MORE_STEPS * SolverConfig().maximum_steps
        if self.found is None:
            raise IntegrationError("It blew up.", got="", wanted="", fix="")
        return self.found


def mode(converged):
    return SimpleNamespace(residual=np.array([1.0, 2.0]), parameters=np.zeros(1), converged=converged)


def test_the_change_by_more_points_is_a_norm_over_all_pixels():
    assert _change(mode(True), Finer(np.array([1.3, 1.6]))) == pytest.approx(0.5)


def test_a_trajectory_that_more_points_do_not_have_is_an_error_at_a_mode_only():
    with pytest.raises(IntegrationError):
        _change(mode(True), Finer(None))
    assert _change(mode(False), Finer(None)) == 0.0


class Diverging:
    """Trajectories over so many frames, one number for each fit that was made; parameters count the fits."""

    observation = SimpleNamespace(whiten=lambda residual: residual)
    whiteness = 0.0

    def __init__(self, ends, frames=100, tried=None):
        self.times, self.size, self.ends = np.arange(float(frames)), 1, ends
        self.seen = np.ones((frames, 1), dtype=bool)
        self.tried = [] if tried is None else tried

    def first_frames(self, count):
        return type(self)(self.ends, count, self.tried)

    def continued(self, parameters):
        return parameters

    def residual(self, parameters):
        fits = int(parameters[0])
        self.tried.append((len(self.times), fits))
        if len(self.times) > self.ends[fits]:
            error = IntegrationError("It blew up.", got="", wanted="", fix="")
            error.time = self.ends[fits] + 0.5 if fits else 90.0
            raise error
        return np.zeros((len(self.times), 1))


class Drifting(Diverging):
    """Trajectories over all frames, which are near the pixels in the first ones only."""

    def residual(self, parameters):
        fits = int(parameters[0])
        self.tried.append((len(self.times), fits))
        return 2.0 * (self.times >= self.ends[fits])[:, None]


@pytest.fixture
def counted_fits(monkeypatch):
    monkeypatch.setattr(
        module,
        "descend",
        lambda part, parameters, _: SimpleNamespace(
            mode=SimpleNamespace(parameters=parameters + 1, whiteness_score=part.whiteness)
        ),
    )


def test_the_first_frames_are_fewer_by_a_fifth_until_there_is_a_trajectory_to_fit(counted_fits):
    problem = Diverging([45, 100])
    assert _longer(problem, np.zeros(1)).tolist() == [1.0]
    assert problem.tried == [(100, 0), (80, 0), (64, 0), (51, 0), (40, 0), (100, 1)]


def test_fewer_frames_are_tried_again_while_the_trajectory_has_become_a_twentieth_longer(counted_fits):
    """After a fit to 40 frames it seems to reach 46, and does not: others may follow; if it seems to reach 41, none."""
    problem = Diverging([40, 45, 100])
    assert _longer(problem, np.zeros(1)).tolist() == [2.0]
    assert problem.tried[5:] == [(100, 1), (46, 1), (36, 1), (100, 2)]
    with pytest.raises(IntegrationError):
        _longer(Diverging([40, 40, 100]), np.zeros(1))


def test_a_start_that_is_lost_in_late_frames_is_fitted_to_more_and_more_of_them(counted_fits):
    """The frames that are near, then those that the fit brought near, at least three in ten more."""
    problem = Drifting([20, 70, 75, 100])
    assert _longer(problem, np.zeros(1)).tolist() == [3.0]
    assert problem.tried == [(100, 0), (100, 1), (100, 2), (100, 3)]
    parts = []
    problem.first_frames = lambda count: parts.append(count) or Drifting(problem.ends, count, problem.tried)
    _longer(problem, np.zeros(1))
    assert parts == [20, 70, 91]


def test_an_equation_that_misses_the_first_frames_is_not_fitted_to_more(counted_fits, monkeypatch):
    monkeypatch.setattr(Diverging, "whiteness", ANOTHER_EQUATION + 1)
    assert _longer(Drifting([20, 70, 100]), np.zeros(1)).tolist() == [1.0]
