"""Equation + first frame -> frames.

`integrate` takes an `Equation` or `CoupledEquations` and a `SolverConfig`. On a `Grid` the equation becomes a
`RightHandSide`; a `Stepper` from the folder `steppers` moves its state in time, and `time_stepping` controls the steps.
`evolve_draws` integrates many draws of coefficients and first frames, an `EnsembleProblem`; the folder `compiled` has
faster steps for diffusive equations. `Resolution` describes coarser grids. `simulate` turns a `SimulationSpec` into a
field: it integrates from an `initial_state` and adds noise.
"""

from bayespde.solve.config import SolverConfig
from bayespde.solve.initial import initial_state
from bayespde.solve.integrate import integrate
from bayespde.solve.simulate import SimulationSpec, simulate

__all__ = ["SimulationSpec", "SolverConfig", "initial_state", "integrate", "simulate"]
