"""Whether more points in space make no difference, with stand-ins for the problem and the mode."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from bayespde.core.errors import IntegrationError
from bayespde.solve.config import SolverConfig
from bayespde.trajectory import find_mode as module
from bayespde.trajectory.find_mode import MORE_STEPS, _is_resolved, _longer


@dataclass(frozen=True)
class Finer:
    """Residuals at more points, or none."""

    found: np.ndarray | None
    method: SolverConfig = field(default_factory=SolverConfig)

    def whiten(self, residual):
        return residual

    def residual(self, parameters):
        assert self.method.maximum_steps == MORE_STEPS * SolverConfig().maximum_steps
        if self.found is None:
            raise IntegrationError("It blew up.", got="", wanted="", fix="")
        return self.found


def mode(converged):
    return SimpleNamespace(residual=np.array([1.0, 2.0]), parameters=np.zeros(1), converged=converged)


@pytest.mark.parametrize(("change", "resolved"), [(0.05, True), (0.2, False)])
def test_points_are_enough_where_more_change_little(change, resolved):
    found = np.array([1.0, 2.0 + change])
    assert _is_resolved(mode(True), Finer(found), allowed=0.1) is resolved


def test_a_trajectory_that_more_points_do_not_have_is_an_error_at_a_mode_only():
    with pytest.raises(IntegrationError):
        _is_resolved(mode(True), Finer(None), allowed=0.1)
    assert _is_resolved(mode(False), Finer(None), allowed=0.1) is True


class Diverging:
    """A trajectory that ends at a time until as many frames as have one were fitted."""

    def __init__(self, end, frames=100, tried=None):
        self.times, self.size, self.end = np.arange(float(frames)), 2, end
        self.tried = [] if tried is None else tried

    def first_frames(self, count):
        return Diverging(self.end, count, self.tried)

    def continued(self, parameters):
        return parameters

    def residual(self, parameters):
        self.tried.append((len(self.times), float(parameters[0])))
        if len(self.times) > self.end * (1 + parameters[0]):
            error = IntegrationError("It blew up.", got="", wanted="", fix="")
            error.time = 90.0
            raise error


def test_the_first_frames_are_fewer_by_a_fifth_until_there_is_a_trajectory_to_fit(monkeypatch):
    monkeypatch.setattr(module, "gauss_newton", lambda part, parameters, **_: SimpleNamespace(parameters=np.ones(2)))
    problem = Diverging(60)
    found = _longer(problem, np.zeros(2), 0.1)
    assert problem.tried == [(100, 0.0), (80, 0.0), (64, 0.0), (51, 0.0), (100, 1.0)]
    assert found.tolist() == [1.0, 1.0]
