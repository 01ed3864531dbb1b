"""Equation + first frame -> frames: one integrator for demonstrations, models, tests and prediction."""

from bayespde.solve.config import SolverConfig
from bayespde.solve.initial import initial_state
from bayespde.solve.integrate import integrate
from bayespde.solve.simulate import SimulationSpec, simulate

__all__ = ["SimulationSpec", "SolverConfig", "initial_state", "integrate", "simulate"]
