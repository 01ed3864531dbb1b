"""Equation + first frame -> frames: one integrator for demonstrations, models, tests and prediction."""

from bayespde.solve.initial import initial_state
from bayespde.solve.integrate import integrate
from bayespde.solve.method import Method
from bayespde.solve.simulate import SimulationSpec, simulate

__all__ = ["Method", "SimulationSpec", "initial_state", "integrate", "simulate"]
