"""Right-hand side + step size -> one step in time and an estimate of its error.

A `Stepper` is a scheme bound to a right-hand side. It turns values into a `State`, and moves a state by a step; the
controller in `time_stepping` chooses the size of the steps. Each scheme is one file here and one line in `STEPPERS`.
"""

from collections.abc import Mapping

from bayespde.solve.steppers.dormand_prince import DormandPrince
from bayespde.solve.steppers.etdrk4 import ETDRK4
from bayespde.solve.steppers.stepper import State, Stepper

# By the name that `SolverConfig.scheme` has for it.
STEPPERS: Mapping[str, type[Stepper]] = {"explicit": DormandPrince, "etd": ETDRK4}

__all__ = ["ETDRK4", "STEPPERS", "DormandPrince", "State", "Stepper"]
